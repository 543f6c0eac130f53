"""A segmentation as one static page: three planes, contours, and the solid turning.

Everything is in the file: two mosaics of slices, the surfaces with few faces, the scripts. It works
from a disk, asks no network, and may not (Content-Security-Policy).
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope._version import __version__
from kosmoscope.draw.palette import picture_colours
from kosmoscope.gallery.html import safe_json, static_page
from kosmoscope.stacks.grids import Grid, block_means, working_grid
from kosmoscope.stacks.measures import NOTICE, Measure
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.segmenters.pictures import grey, grey_window
from kosmoscope.stacks.solids import Solid
from kosmoscope.stacks.volume import Affine, Volume

SHOWN_VOXELS = 3_000_000
"""The grid that is shown has at most so many."""
FACES = 24_000
"""Of all surfaces together: what a processor draws without a graphics card."""
_QUALITY = 82
_SCRIPTS = ("volume.js", "planes.js", "solid.js", "main.js")


def make_page(
    found: Segmented, measures: Sequence[Measure], solids: Mapping[str, Solid], title: str
) -> bytes:
    """Return the page.

    Args:
        found: what is shown.
        measures: for the table.
        solids: by the names of labels, of `FACES` faces together at most.
        title: plain text.
    """
    style, script = _parts()
    values = {
        "notice": html.escape(NOTICE),
        "meta": safe_json(_meta(found, measures, solids)),
    }
    body = (files("kosmoscope.stacks") / "out" / "page" / "page.html").read_text("utf-8")
    return static_page(body, title, style, script, values)


def _meta(
    found: Segmented, measures: Sequence[Measure], solids: Mapping[str, Solid]
) -> dict[str, Any]:
    volume = found.volume
    grid = working_grid(volume, ((0, 0, 0), volume.shape), SHOWN_VOXELS)
    shown = grey(block_means(volume, grid), grey_window(volume))
    labels = _centres(found.labels, grid)
    affine = _grid_affine(volume, grid)
    if volume.in_patient:
        shown, labels, affine = _upright(shown, labels, affine)
    depth, rows, columns = shown.shape
    across = max(1, round((depth * rows / columns) ** 0.5))
    by_name = {one.name: one for one in measures}
    colours = picture_colours(found.names[1:])
    size = "x".join(str(n) for n in volume.shape[::-1])
    spacing = " x ".join(f"{s:.3g}" for s in volume.spacing_mm[::-1])
    return {
        "notice": NOTICE,
        "version": __version__,
        "facts": f"{size} voxels of {spacing} mm; labels by {found.segmenter}",
        "patient": volume.in_patient,
        "unit": volume.unit,
        "size": [columns, rows, depth],
        "step": np.linalg.norm(affine[:3, :3], axis=0).tolist(),
        "affine": affine[:3].tolist(),
        "blocks": list(grid.factors[::-1]),
        "start": _start(labels),
        "columns": across,
        "grey": _mosaic(shown, across, "JPEG"),
        "map": _mosaic(labels, across, "PNG"),
        "labels": [{"name": found.names[0], "colour": [0, 0, 0]}]
        + [
            {
                "name": name,
                "colour": list(colours[name]),
                "measure": _figures(by_name.get(name)),
            }
            for name in found.names[1:]
        ],
        "solids": [
            _packed(solids[name], label)
            for label, name in enumerate(found.names)
            if name in solids and len(solids[name].faces)
        ],
    }


def _figures(one: Measure | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {key: v for key, v in one.to_dict().items() if key != "slice_areas_mm2"}


def _centres(labels: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """The label in the middle of each block: labels have no mean."""
    k, j, i = (
        np.minimum(np.arange(n) * f + f // 2, size - 1)
        for n, f, size in zip(grid.shape, grid.factors, labels.shape, strict=True)
    )
    return np.ascontiguousarray(labels[np.ix_(k, j, i)])


def _grid_affine(volume: Volume, grid: Grid) -> Affine:
    """Return the affine of the blocks' centres, (x, y, z) in the place of (i, j, k)."""
    factors = np.array(grid.factors[::-1], np.float64)
    blocks = np.diag([*factors, 1.0])
    blocks[:3, 3] = (factors - 1) / 2
    affine: Affine = volume.affine @ blocks
    return affine


def _upright(
    shown: NDArray[np.uint8], labels: NDArray[np.uint8], affine: Affine
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Affine]:
    """Turn arrays by right angles until x, y and z run nearly to the right, front and head."""
    turn = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order = max(permutations(range(3)), key=lambda p: sum(abs(turn[n, p[n]]) for n in range(3)))
    out = np.eye(4)
    arrays = [shown, labels]
    sizes = np.array(shown.shape[::-1])
    for axis, source in enumerate(order):
        column, sign = affine[:3, source], np.sign(turn[axis, source])
        out[:3, axis] = column * sign
    out[:3, 3] = affine[:3, 3]
    for axis, source in enumerate(order):
        if turn[axis, source] < 0:
            out[:3, 3] += affine[:3, source] * (sizes[source] - 1)
    turned = []
    for array in arrays:
        moved = array.transpose([2 - order[2], 2 - order[1], 2 - order[0]])
        for axis, source in enumerate(order):
            if turn[axis, source] < 0:
                moved = np.flip(moved, 2 - axis)
        turned.append(np.ascontiguousarray(moved))
    return turned[0], turned[1], out


def _start(labels: NDArray[np.uint8]) -> list[int]:
    """Return x, y, z where most is to be seen: in the middle of what is labelled."""
    at = []
    for axis in (2, 1, 0):
        others = tuple(a for a in range(3) if a != axis)
        counts = (labels > 0).sum(axis=others)
        half = counts.cumsum() >= counts.sum() / 2
        at.append(int(np.argmax(half)) if counts.any() else labels.shape[axis] // 2)
    return at


def _mosaic(slices: NDArray[np.uint8], across: int, kind: str) -> str:
    """Return a data address of all slices in rows, as the page's scripts take them apart."""
    depth, rows, columns = slices.shape
    down = -(-depth // across)
    page = np.zeros((down * rows, across * columns), np.uint8)
    for n, one in enumerate(slices):
        row, column = divmod(n, across)
        page[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = one
    out = io.BytesIO()
    options = {"quality": _QUALITY} if kind == "JPEG" else {"optimize": True}
    Image.fromarray(page).save(out, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


def _packed(solid: Solid, label: int) -> dict[str, Any]:
    low, high = solid.vertices.min(axis=0), solid.vertices.max(axis=0)
    room = np.maximum(high - low, 1e-12)
    packed = np.rint((solid.vertices - low) / room * 65535).astype("<u2")
    return {
        "label": label,
        "low": low.tolist(),
        "high": high.tolist(),
        "vertices": base64.b64encode(packed.tobytes()).decode("ascii"),
        "faces": base64.b64encode(solid.faces.astype("<u4").tobytes()).decode("ascii"),
    }


@cache
def _parts() -> tuple[str, str]:
    """Return the page's style and script."""
    ours = files("kosmoscope.stacks") / "out" / "page"
    base = (files("kosmoscope.gallery") / "page" / "base.css").read_text("utf-8")
    style = f"\n{base}\n{(ours / 'page.css').read_text('utf-8')}"
    body = "\n".join((ours / name).read_text("utf-8") for name in _SCRIPTS)
    return style, f'\n(() => {{\n"use strict";\n{body}}})();\n'
