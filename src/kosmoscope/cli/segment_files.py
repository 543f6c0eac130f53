"""The folder of `segment -o`: its files, its settings, what is done in it already."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmoscope.errors import FolderMismatchError, InputError
from kosmoscope.files.checked import read_object
from kosmoscope.files.writing import replacing, write_text

if TYPE_CHECKING:
    from kosmoscope.images import Picture
    from kosmoscope.results import Description
    from kosmoscope.segment import Segmentation

SEGMENTS = "segments"
"""Inside a folder of results: where the segments of its descriptions go."""
SETTINGS = "segment-settings.json"
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class ToSegment:
    """One picture to be segmented, by what a description of it says or by the command's options."""

    path: str
    task: str = ""
    description: Description | None = None


def described_in(results: Path) -> list[ToSegment]:
    """Return what is to be segmented for a folder of `describe -o`: each of its descriptions."""
    from kosmoscope.batch import read_results

    return [
        ToSegment(result.description.image.path, result.task, result.description)
        for result in read_results(results)
    ]


class SegmentFolder:
    """Writes segmentations; the JSON of a picture comes last and says that it is done.

    Args:
        folder: made if it is not there.
        settings: what decides the masks; a folder that was made with others is refused.
        overwrite: take the folder over instead.
        cutout: write each segment with alpha too.

    Raises:
        FolderMismatchError: the folder was made with other settings; the message names them.
        OutputError: it cannot be written.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], *, overwrite: bool, cutout: bool
    ) -> None:
        self.folder, self._cutout, self._overwrite = folder, cutout, overwrite
        self._taken: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / SETTINGS
        now = json.loads(json.dumps(dict(settings)))
        before = read_object(target) if target.exists() else None
        if before is not None and before != now and not overwrite:
            names = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            told = "; ".join(f"{n}: {before.get(n)!r}, now {now.get(n)!r}" for n in names)
            raise FolderMismatchError(
                f"{folder} was made with other options ({told}): choose another folder, or "
                "--overwrite"
            )
        write_text(target, json.dumps(now, indent=2) + "\n")

    def file(self, one: ToSegment) -> Path:
        """Where the JSON goes: by its place in the order for pictures, by path for results."""
        from kosmoscope.cli.annotated import free_name, lasting_name

        if one.task:
            return self.folder / (lasting_name(one.path, one.task) + _SUFFIX)
        return self.folder / (free_name(one.path, self._taken) + _SUFFIX)

    def has(self, one: ToSegment) -> bool:
        """Say whether an earlier run of the same command finished a picture."""
        file = self.file(one)
        if self._overwrite or not file.is_file():
            return False
        try:
            found = read_object(file)
            path, caption = found["image"]["path"], found["caption"]
        except (InputError, KeyError, TypeError):
            return False
        said = caption if one.description is None else one.description.caption
        return bool(path == one.path and caption == said)

    def write(self, file: Path, found: Segmentation, picture: Picture) -> None:
        """Write the files of one picture, each atomically."""
        from kosmoscope.draw import DrawStyle, draw_segmentation, save_image, segment_colours
        from kosmoscope.masks import cut_out, write_label_map

        stem = file.with_name(file.name.removesuffix(_SUFFIX))
        write_label_map(_beside(stem, "-labels.png"), found.labels, segment_colours(found))
        drawn = draw_segmentation(picture.rgb, found, DrawStyle(caption=True))
        save_image(drawn, _beside(stem, "-overlay.jpg"))
        if self._cutout:
            for part in found.segments:
                words = re.sub(r"[^\w]+", "-", part.phrase.lower()).strip("-")[:40]
                with replacing(_beside(stem, f"-{part.id}-{words}.png")) as png:
                    cut_out(picture.rgb, found.mask(part.id)).save(png, "PNG")
        write_text(file, found.to_json() + "\n")


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
        return cls([f for f in sorted(folder.glob(f"*{_SUFFIX}")) if f.name != SETTINGS])

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


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)
