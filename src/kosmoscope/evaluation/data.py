"""Reading labelled photo sets: `<set>.jsonl` beside `<set>.tar` or a folder of pictures.

One record a line (docs/evaluation.md). Frame of reference: boxes are (x1, y1, x2, y2) in 0..1 of
the upright picture's width and height. Everything is checked before the first picture is read, so
that a long run does not end at a misspelt line.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import CorruptImageError, ImageError, InputError, OptionError
from kosmoscope.files.checked import checked, json_object, read_object
from kosmoscope.files.text import reason
from kosmoscope.geometry import XYXY, area, check_xyxy_norm
from kosmoscope.images import Limits, read_image

HELD_OUT_SHARE = 0.12
HELD_OUT_SHARES: Mapping[str, float] = {"coco": 0.25}
"""Sets of which another share is held out: few pictures, and most of the figures."""


def held_out(set_name: str, file: str) -> bool:
    """Say whether a picture is kept from training, so that figures may be taken on it.

    A rule of the name alone (the first byte of its SHA-256), so that it holds on every machine
    and for every subset.
    """
    digest = hashlib.sha256(f"{set_name}/{file}".encode()).digest()
    return digest[0] < 256 * HELD_OUT_SHARES.get(set_name, HELD_OUT_SHARE)


@dataclass(frozen=True, slots=True)
class Truth:
    """A labelled box; `stuff` is a region such as sky, as against a countable thing.

    Raises:
        InputError: no label, or no box (`check_xyxy_norm`).
    """

    label: str
    xyxy: XYXY
    stuff: bool = False

    def __post_init__(self) -> None:
        if not self.label.strip():
            raise InputError("has no 'label'")
        check_xyxy_norm(self.xyxy)

    @property
    def area(self) -> float:
        """Share of the picture."""
        return area(self.xyxy)


@dataclass(frozen=True, slots=True)
class Expression:
    """A phrase with the boxes that are right for it, as in RefCOCO and Flickr30k Entities.

    Raises:
        InputError: no phrase, or no box.
    """

    phrase: str
    boxes: tuple[XYXY, ...]
    context: str = ""
    """Text of the caption before the phrase; it is put in front of it when the model is asked."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "phrase", self.phrase.strip())
        object.__setattr__(self, "context", self.context.strip())
        if not self.phrase or not self.boxes:
            raise InputError("expected text in 'phrase' and at least one box in 'boxes'")
        for box in self.boxes:
            check_xyxy_norm(box)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one picture."""

    set_name: str
    file: str
    boxes: tuple[Truth, ...] = ()
    captions: tuple[str, ...] = ()
    scene: str | None = None
    label: str | None = None
    labels_complete: bool = False
    """The boxes list every object of the set's label set (countable things; never stuff)."""
    expressions: tuple[Expression, ...] = ()
    size_wh: tuple[int, int] | None = None

    @property
    def held_out(self) -> bool:
        """See `held_out`."""
        return held_out(self.set_name, self.file)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture with its record."""

    record: Record
    rgb: NDArray[np.uint8]
    """(H, W, 3), upright, sRGB."""
    sha256: str
    """Of the picture's file."""
    mask: NDArray[np.uint8] | None
    """(H, W): the class index of every pixel."""


class PhotoSet:
    """One set: its records, and its pictures as they are asked for. Use it in a `with` block.

    Raises:
        InputError: a file is missing or damaged, or a line is wrong; the message names it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._stack = ExitStack()
        lines = _lines(folder / f"{name}.jsonl")
        self.records = tuple(_records(lines, name, folder / f"{name}.jsonl"))
        self.class_names = _classes(folder / f"{name}-classes.json")
        """Index in masks -> name; empty without `<set>-classes.json`."""
        try:
            self._pictures = _source(folder, name, "", self._stack)
            if self._pictures is None:
                raise InputError(
                    f"{folder / name}.tar: not found; expected that file or a folder "
                    f"{name!r} with the pictures that {name}.jsonl names"
                )
            self._masks = _source(folder, name, "-masks", self._stack)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def things(self) -> frozenset[str]:
        """The labels of countable things that occur in the set."""
        return frozenset(b.label for r in self.records for b in r.boxes if not b.stuff)

    @property
    def stuff(self) -> frozenset[str]:
        """The labels of stuff that occur in the set."""
        return frozenset(b.label for r in self.records for b in r.boxes if b.stuff)

    def chosen(self, limit: int | None = None, *, only_held_out: bool = False) -> list[Record]:
        """Return the records to evaluate, evenly spaced where there are more than `limit`.

        Raises:
            InputError: one of their pictures is not in the tar or folder.
        """
        records = [r for r in self.records if r.held_out or not only_held_out]
        if limit is not None and len(records) > limit:
            records = [records[i * len(records) // limit] for i in range(limit)]
        assert self._pictures is not None
        for record in records:
            if record.file not in self._pictures:
                raise InputError(
                    f"{self._pictures.shown}: has no picture {record.file!r}, which "
                    f"{self.name}.jsonl names"
                )
        return records

    def read(self, record: Record, limits: Limits = Limits(), *, mask: bool = False) -> Sample:
        """Read a record's picture, and its mask if it is wanted and there.

        Raises:
            ImageError: the picture or the mask cannot be read, or is not of the stated size.
        """
        assert self._pictures is not None
        data = self._pictures.read(record.file, limits)
        shown = f"{self._pictures.shown}: {record.file}"
        rgb = read_image(data, name=shown, limits=limits).rgb
        h, w = rgb.shape[:2]
        if record.size_wh not in (None, (w, h)):
            assert record.size_wh is not None
            raise CorruptImageError(
                shown, f"is of {w}x{h} pixels; its record says {'x'.join(map(str, record.size_wh))}"
            )
        labels = self._mask(record, (w, h), limits) if mask else None
        return Sample(record, rgb, hashlib.sha256(data).hexdigest(), labels)

    def _mask(
        self, record: Record, wh: tuple[int, int], limits: Limits
    ) -> NDArray[np.uint8] | None:
        name = f"{record.file.rsplit('.', 1)[0]}.png"
        if self._masks is None or name not in self._masks:
            return None
        from PIL import Image

        shown = f"{self._masks.shown}: {name}"
        data = self._masks.read(name, limits)
        read_image(data, name=shown, limits=limits)  # its checks; the indices are read below
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in ("L", "P") or image.size != wh:
                raise CorruptImageError(
                    shown,
                    f"expected an 8-bit picture of {wh[0]}x{wh[1]} pixels, one class index a "
                    f"pixel; got mode {image.mode}, {image.size[0]}x{image.size[1]}",
                )
            return np.array(image, np.uint8)


def open_sets(folder: Path, names: Sequence[str] = ()) -> list[PhotoSet]:
    """Open sets of a folder, in the order given; all of them unless any is named.

    Close each, or use it in a `with` block.

    Raises:
        InputError: there is no such folder or set, or one of its files is wrong.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder with <set>.jsonl and <set>.tar")
    there = sorted(p.name.removesuffix(".jsonl") for p in folder.glob("*.jsonl"))
    if not there:
        raise InputError(f"{folder}: has no <set>.jsonl")
    for name in names:
        if name not in there:
            raise OptionError(f"--set {name}: {folder} has {', '.join(there)}")
    with ExitStack() as stack:
        found = [stack.enter_context(PhotoSet(folder, n)) for n in dict.fromkeys(names or there)]
        stack.pop_all()  # all are good: the caller closes them
    return found


class _Tar:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.shown = str(path)
        try:
            # Uncompressed only: reading here and there in a compressed one takes for ever.
            self._tar = stack.enter_context(tarfile.TarFile(path))
            self._members = {m.name: m for m in self._tar.getmembers() if m.isreg()}
        except (tarfile.TarError, OSError, EOFError) as e:
            raise InputError(f"{path}: not a readable uncompressed tar: {reason(e)}") from e

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, limits: Limits) -> bytes:
        member = self._members[name]
        try:
            file = self._tar.extractfile(member)
            assert file is not None  # a regular file
            data = file.read(min(member.size, limits.max_bytes + 1))
        except (tarfile.TarError, OSError, EOFError) as e:
            raise CorruptImageError(f"{self.shown}: {name}", reason(e)) from e
        if len(data) < min(member.size, limits.max_bytes + 1):
            raise CorruptImageError(f"{self.shown}: {name}", "the tar ends within this file")
        return data


class _Folder:
    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self._path = path

    def __contains__(self, name: str) -> bool:
        return (self._path / name).is_file()

    def read(self, name: str, limits: Limits) -> bytes:
        path = self._path / name
        try:
            with path.open("rb") as file:
                return file.read(limits.max_bytes + 1)
        except OSError as e:
            raise ImageError(str(path), f"cannot be read: {e.strerror or e}") from e


def _source(folder: Path, name: str, kind: str, stack: ExitStack) -> _Tar | _Folder | None:
    tar, plain = folder / f"{name}{kind}.tar", folder / f"{name}{kind}"
    if os.path.lexists(tar):
        return _Tar(tar, stack)
    return _Folder(plain) if plain.is_dir() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except OSError as e:
        raise InputError(f"{path}: cannot be read: {e.strerror or e}") from e
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8: {e.reason} at byte {e.start}") from e


@dataclass(frozen=True, slots=True)
class _StoredRecord:
    """A line of `<set>.jsonl`. Null is as good as not there."""

    file: str
    width: int | None = None
    height: int | None = None
    boxes: tuple[Truth, ...] | None = None
    captions: tuple[str, ...] | None = None
    scene: str | None = None
    label: str | None = None
    labels_complete: bool | None = None
    phrases: tuple[Expression, ...] | None = None

    def record(self, set_name: str) -> Record:
        parts = PurePosixPath(self.file)
        if not self.file or "\0" in self.file or parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"'file' is {self.file!r}; expected a picture's name inside the set")
        w, h = self.width or 0, self.height or 0
        if min(w, h) < 0 or (w == 0) != (h == 0):
            raise InputError(f"'width' and 'height' are {w} and {h}; expected pixels")
        return Record(
            set_name,
            self.file,
            self.boxes or (),
            self.captions or (),
            self.scene,
            self.label,
            bool(self.labels_complete),
            self.phrases or (),
            (w, h) if w else None,
        )


def _records(lines: Sequence[str], name: str, path: Path) -> Iterator[Record]:
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = checked(json_object(line), _StoredRecord).record(name)
            if record.file in seen:
                raise InputError(f"the file {record.file!r} has a record already")
        except InputError as e:
            raise InputError(f"{path}: line {number}: {reason(e)}") from e
        seen.add(record.file)
        yield record
    if not seen:
        raise InputError(f"{path}: has no records")


def _classes(path: Path) -> dict[int, str]:
    if not path.exists():
        return {}
    try:
        return checked(read_object(path), dict[int, str])
    except InputError as e:
        raise InputError(f"{path}: expected an object, class index to name: {reason(e)}") from e
