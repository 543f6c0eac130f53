"""The folder of `segment -o`: its files, its settings, what is done in it already."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmoscope.cli.annotated import free_name
from kosmoscope.errors import FolderMismatchError, InputError, OptionError
from kosmoscope.files.checked import read_object
from kosmoscope.files.marker import claim
from kosmoscope.files.names import cut
from kosmoscope.files.segments import ROOM, SUFFIX, WORDS_BYTES, segments_file
from kosmoscope.files.writing import parts_in, replacing, told, write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kosmoscope.images import Picture
    from kosmoscope.results import Description
    from kosmoscope.segment import Segmentation

SETTINGS = "segment.settings"
"""JSON. What is written for a picture, whatever it is called, ends in .json, .png or .jpg."""
OLD_SETTINGS = "segment-settings.json"
"""What earlier versions called it: the name of a picture's file too."""
_CLEARING = "clearing"
"""In the settings while `overwrite` removes what others made: whoever comes next goes on."""
_LABELS = "-labels.png"
_OVERLAYS = ("-overlay.jpg", "-overlay.png")
_JPEG_SIDE = 65_500


@dataclass(frozen=True, slots=True)
class ToSegment:
    """One picture to be segmented, by what a description of it says or by the command's options."""

    path: str
    task: str = ""
    description: Description | None = None
    data: bytes | None = None
    """The file, where it came on standard input."""
    problem: str = ""
    """What is wrong, where that is known without opening it: an empty folder, no match."""


def described_in(results: Path) -> list[ToSegment]:
    """Return what is to be segmented for a folder of `describe -o`: each of its descriptions."""
    from kosmoscope.batch import read_results

    return [
        ToSegment(result.description.image.path, result.task, result.description)
        for result in read_results(results)
    ]


class SegmentFolder:
    """Writes segmentations; the JSON of a picture comes last and says that it is done.

    Whoever makes one holds the folder's lock.

    Args:
        folder: made if it is not there.
        settings: what decides the masks; a folder that was made with others is refused.
        overwrite: remove what earlier runs wrote for their pictures instead, all of it: masks of
            two kinds never lie side by side, also where this run is killed.
        cutout: write each segment with alpha too.

    Raises:
        FolderMismatchError: the folder was made with other settings; the message names them.
        OutputError: it cannot be written.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], *, overwrite: bool, cutout: bool
    ) -> None:
        self.folder, self.cutout = folder, cutout
        self._taken: dict[str, str] = {}
        self._written: set[Path] = set()
        self._sources: set[Path] = set()
        self._claim = claim(folder)
        with told(folder):
            for part in parts_in(folder):  # of a run that was killed: the lock is ours
                part.unlink(missing_ok=True)
        now = json.loads(json.dumps(dict(settings)))
        before = self._settings(damaged_is_none=overwrite)
        if before is not None and (overwrite or before.get(_CLEARING)):
            write_text(folder / SETTINGS, json.dumps({**before, _CLEARING: True}) + "\n")
            self._clear()
        elif before is not None:
            names = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            if names:
                changes = "; ".join(f"{n}: {before.get(n)!r}, now {now.get(n)!r}" for n in names)
                raise FolderMismatchError(
                    f"{folder} was made with other options ({changes}): choose another folder, or "
                    "--overwrite"
                )
        elif overwrite:
            self._clear()
        write_text(folder / SETTINGS, json.dumps(now, indent=2) + "\n")
        if self._old_settings() is not None:
            (folder / OLD_SETTINGS).unlink(missing_ok=True)

    def _settings(self, *, damaged_is_none: bool) -> dict[str, Any] | None:
        if not (self.folder / SETTINGS).exists():
            return self._old_settings()
        try:
            return read_object(self.folder / SETTINGS)
        except InputError:
            if damaged_is_none:
                return None
            raise

    def _old_settings(self) -> dict[str, Any] | None:
        """The settings of an earlier version, unless the file is that of a picture."""
        with suppress(InputError):
            found = read_object(self.folder / OLD_SETTINGS)
            return None if "schema" in found else found
        return None

    def _clear(self) -> None:
        """Remove what earlier runs wrote for their pictures; files of others stay."""
        for file in _segment_files(self.folder):
            self._forget(file)

    def _forget(self, file: Path) -> None:
        """Remove what an earlier run wrote for a picture: its JSON last, which names the rest."""
        try:
            found = read_object(file)
            cut_outs = [_cut_out_ending(s["id"], s["phrase"]) for s in found["segments"]]
        except (InputError, KeyError, TypeError, AttributeError):
            return
        with told(file):
            for ending in (*cut_outs, _LABELS, *_OVERLAYS, SUFFIX):
                _beside(file, ending).unlink(missing_ok=True)

    def expect(self, pictures: Sequence[ToSegment]) -> None:
        """Know which pictures this run reads: none of them is ever replaced by what it writes."""
        here = self.folder.absolute()
        paths = (Path(one.path).absolute() for one in pictures if one.data is None)
        self._sources = {path for path in paths if path.parent == here}

    def file(self, one: ToSegment) -> Path:
        """Where the JSON goes: by its place in the order for pictures, by path for results."""
        if one.task:
            return segments_file(self.folder, one.path, one.task)
        path = one.path if one.data is None else one.path.strip("<>")
        return self.folder / (free_name(path, self._taken, room=ROOM) + SUFFIX)

    def has(self, one: ToSegment) -> bool:
        """Say whether this run or an earlier one of the same command finished a picture."""
        file = self.file(one)
        if file in self._written:
            return True
        # What comes on standard input is a new picture each time.
        if one.data is not None or not file.is_file():
            return False
        try:
            found = read_object(file)
            path, caption = found["image"]["path"], found["caption"]
        except (InputError, KeyError, TypeError):
            return False
        said = caption if one.description is None else one.description.caption
        if path != one.path or caption != said:
            return False
        self._written.add(file)
        return True

    def others(self, files: Iterable[Path]) -> int:
        """Count the pictures with files here that are none of these."""
        return len({*_segment_files(self.folder)} - {*files})

    def write(
        self,
        one: ToSegment,
        found: Segmentation,
        picture: Picture,
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Write the files of one picture, each atomically.

        Args:
            one: the picture.
            found: its segments.
            picture: of their size.
            alpha: of the picture, which the cut-outs keep.

        Raises:
            OptionError: a file would replace one of the pictures that this run reads.
            OutputError: a file cannot be written.
        """
        from kosmoscope.draw import DrawStyle, draw_segmentation, save_image, segment_colours
        from kosmoscope.masks import cut_out, write_label_map

        file = self.file(one)
        drawn = draw_segmentation(picture.rgb, found, DrawStyle(caption=True))
        overlay = _beside(file, _OVERLAYS[max(drawn.shape[:2]) > _JPEG_SIDE])
        labels = _beside(file, _LABELS)
        cut_outs = [
            (_beside(file, _cut_out_ending(part.id, part.phrase)), part.id)
            for part in (found.segments if self.cutout else ())
        ]
        for target in (labels, overlay, *(path for path, _ in cut_outs)):
            if target.absolute() in self._sources:
                raise OptionError(f"{target} is one of the pictures; choose another folder")
        self._claim.note(labels, overlay, *(path for path, _ in cut_outs))
        self._forget(file)
        write_label_map(labels, found.labels, segment_colours(found))
        save_image(drawn, overlay)
        for path, id in cut_outs:
            with replacing(path) as png:
                shown = cut_out(picture.rgb, found.mask(id), alpha=alpha, matte=found.matte_of(id))
                shown.save(png, "PNG")
        write_text(file, found.to_json() + "\n")
        self._written.add(file)


class SegmentFiles:
    """Segmentations in files, read whenever one goes through them: one is in memory at a time.

    Args:
        files: of `segment -o`.

    Raises:
        InputError: while going through: a file is none; the message names it.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    @classmethod
    def of(cls, folder: Path) -> SegmentFiles:
        """All files of a folder, by name."""
        return cls(_segment_files(folder))

    def __iter__(self) -> Iterator[Segmentation]:
        return map(read_segment, self.files)


def read_segment(file: Path) -> Segmentation:
    """Read one of its files. Raises `InputError` naming it."""
    from kosmoscope.segment import Segmentation

    try:
        return Segmentation.from_json(file.read_text(encoding="utf-8"))
    except InputError as e:
        raise InputError(f"{file}: {e}") from e
    except (OSError, ValueError) as e:
        raise InputError(f"{file}: cannot be read: {e}") from e


def _segment_files(folder: Path) -> list[Path]:
    """The files of pictures in a folder, by name: not the settings of an earlier version."""
    return [
        file
        for file in sorted(folder.glob(f"*{SUFFIX}"))
        if file.name != OLD_SETTINGS or _has_schema(file)
    ]


def _has_schema(file: Path) -> bool:
    try:
        return "schema" in read_object(file)
    except InputError:
        return False


def _cut_out_ending(id: int, phrase: str) -> str:
    words = cut(re.sub(r"[^\w]+", "-", phrase.lower()).strip("-"), WORDS_BYTES)
    return f"-{id}-{words}.png"


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name.removesuffix(SUFFIX) + ending)
