"""A segmentation as a folder of files, each there whole or not at all."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kosmoscope.errors import KosmoscopeWarning, OptionError
from kosmoscope.files.marker import Claim, claim
from kosmoscope.files.names import cut
from kosmoscope.files.writing import output_error, replacing
from kosmoscope.stacks.keeping import LABELS, can_be_corrected, file_name, others, write_state
from kosmoscope.stacks.measures import Measure, measure, measures_csv, measures_dict
from kosmoscope.stacks.out.contours import contours
from kosmoscope.stacks.out.dicom_seg import write_dicom_seg
from kosmoscope.stacks.out.dicom_source import NoUidError, is_dicom_stack
from kosmoscope.stacks.out.labels_nifti import write_labels
from kosmoscope.stacks.out.mesh_files import MESHES
from kosmoscope.stacks.out.overlays import sheet
from kosmoscope.stacks.out.page import FACES as PAGE_FACES
from kosmoscope.stacks.out.page import make_page
from kosmoscope.stacks.out.rtstruct import write_rtstruct
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.solids import FACES, Solid, solids

_WORDS_BYTES = 60
_QUALITY = 88


@dataclass(frozen=True, slots=True)
class Saved:
    """What was written."""

    measures: tuple[Measure, ...]
    page: Path
    files: tuple[Path, ...]


def save_stack(
    found: Segmented,
    folder: str | Path,
    *,
    meshes: Sequence[str] = ("stl",),
    faces: int = FACES,
    title: str | None = None,
) -> Saved:
    """Write labels, measures, contours, surfaces, an overlay and the page.

    ``labels.nii.gz``, ``measures.json``, ``measures.csv``, ``contours.json``,
    ``overlay.jpg``, ``index.html``, for each label ``N-name.stl`` (or another kind); of a DICOM
    series ``labels.dcm`` and ``contours.dcm``; of the walker ``corrections-DIGEST.zip``, from
    which `read_segmented` goes on.

    Args:
        found: a segmentation.
        folder: made if it is not there; files of others in it stay.
        meshes: of "stl", "ply" and "obj"; none writes none.
        faces: of a surface at most.
        title: of the page; what the file or folder of the stack is called unless given.

    Raises:
        OptionError: a kind of mesh that there is not, or `faces` is out of its range.
        OutputError: the folder or a file in it cannot be written.
    """
    for kind in meshes:
        if kind not in MESHES:
            raise OptionError(f"mesh {kind!r}: expected {', '.join(MESHES)}")
    out = _Folder(Path(folder))
    full: dict[str, Solid] = {}
    light: dict[str, Solid] = {}
    few = max(PAGE_FACES // max(len(found.names) - 1, 1), 200)
    for label, name in enumerate(found.names[1:], 1):
        for into, made in zip((full, light), solids(found, label, (faces, few)), strict=True):
            if made is not None:
                into[name] = made
    measures = measure(found, full)
    kept = file_name(found.labels) if can_be_corrected(found) else ""
    if kept:
        out.write(kept, lambda file: write_state(found, file))
    if is_dicom_stack(found) and measures:
        try:
            out.write("labels.dcm", lambda file: write_dicom_seg(found, file))
            out.write("contours.dcm", lambda file: write_rtstruct(found, file))
        except NoUidError as e:
            warnings.warn(KosmoscopeWarning(f"{e}: without labels.dcm, contours.dcm"), stacklevel=2)
    out.text("measures.json", json.dumps(measures_dict(found, measures), indent=1) + "\n")
    out.text("measures.csv", measures_csv(measures))
    out.text("contours.json", json.dumps(contours(found), separators=(",", ":")) + "\n")
    for one in full.values():
        name = f"{found.number(one.name)}-{_slug(one.name)}"
        for kind in dict.fromkeys(meshes):
            out.write(f"{name}.{kind}", _writer(MESHES[kind], one))
    out.write("overlay.jpg", lambda file: sheet(found).save(file, "JPEG", quality=_QUALITY))
    shown = title or Path(found.volume.source).name
    out.write("index.html", lambda file: _put(file, make_page(found, measures, light, shown)))
    # Last, see `keeping`: from now on a correction goes on from these.
    out.write(LABELS, lambda file: write_labels(found, file))
    out.remove(others(out.folder, kept))
    return Saved(tuple(measures), out.folder / "index.html", tuple(out.files))


class _Folder:
    """Where files go; it notes them as ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Path] = []
        self._claim: Claim = claim(folder)

    def write(self, name: str, put: Callable[[BinaryIO], object]) -> None:
        path = self.folder / name
        self._claim.note(path)
        try:
            with replacing(path) as file:
                put(file)
        except OSError as e:
            raise output_error(path, e) from e
        self.files.append(path)

    def remove(self, files: Sequence[Path]) -> None:
        for path in files:
            try:
                path.unlink(missing_ok=True)
            except OSError as e:
                raise output_error(path, e) from e

    def text(self, name: str, text: str) -> None:
        self.write(name, lambda file: _put(file, text.encode("utf-8")))


def _put(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _writer(write: Callable[[Solid, BinaryIO], None], one: Solid) -> Callable[[BinaryIO], object]:
    return lambda file: write(one, file)


def _slug(name: str) -> str:
    return cut(re.sub(r"[^\w]+", "-", name.lower()).strip("-"), _WORDS_BYTES) or "label"
