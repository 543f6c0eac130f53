"""Multi-page TIFF files (ImageJ's, OME's, plain ones), by tifffile."""

from __future__ import annotations

from typing import Any

import numpy as np

from kosmoscope.optional import optional
from kosmoscope.stacks.reading.request import Request, StackFormat, room, told
from kosmoscope.stacks.volume import Volume, affine_of

_MM = {
    "nm": 1e-6, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "microns": 1e-3,
    "mm": 1.0, "cm": 10.0, "m": 1000.0, "inch": 25.4, "\\u00b5m": 1e-3,
}  # fmt: skip
_PER_UNIT = {2: 25.4, 3: 10.0}
"""mm in a unit of TIFF's tag ResolutionUnit: inch, centimetre."""


def read(request: Request) -> Volume:
    """Return a file's pages as slices; a file that is not packed is mapped.

    Raises:
        StackError: it is damaged, in colour, of pages of several sizes, says no size of its voxels
            (and no spacing is given), or holds several volumes of which none was chosen.
    """
    tifffile = optional("tifffile", "stacks")
    with told(request, tifffile.TiffFileError, KeyError, IndexError, TypeError, RuntimeError):
        with tifffile.TiffFile(request.path) as file:
            series = file.series
            if not series:
                raise request.refuse("no pages")
            if len(series) > 1:
                shapes = sorted({"x".join(str(n) for n in s.shape[::-1]) for s in series})
                raise request.refuse(f"pages of several sizes or kinds ({', '.join(shapes)})")
            spacing = request.spacing_mm or _spacing(file)
            if spacing is None:
                raise request.refuse(
                    "says no size of its voxels; give it with spacing (--spacing i,j,k in mm)"
                )
            voxels = _voxels(request, tifffile, series[0])
        return Volume(voxels, affine_of(spacing), source=request.shown, in_patient=False)


def _voxels(request: Request, tifffile: Any, series: Any) -> Any:
    """Return (K, J, I) of a series of pages."""
    axes, shape = str(series.axes), tuple(int(n) for n in series.shape)
    if "S" in axes:
        raise request.refuse("colour; expected one number a voxel (or pictures in a folder)")
    if axes[-2:] != "YX" or len(axes) < 3:
        raise request.refuse(f"axes {axes}; expected pages of rows and columns, two at least")
    others = [(a, n) for a, n in zip(axes[:-2], shape[:-2], strict=True) if n > 1]
    depth = next((a for a, _ in others if a in "ZIQ"), others[-1][0] if others else axes[0])
    rest = [(a, n) for a, n in others if a != depth]
    count = int(np.prod([n for _, n in rest], dtype=np.int64)) if rest else 1
    chosen = request.chosen(count, f"volumes (axes {axes})" if count > 1 else "volumes")
    try:
        data = tifffile.memmap(request.path, mode="r")
        data = data.reshape(shape)
    except ValueError:  # packed, or not in one piece
        data = series.asarray(out=room(shape, series.dtype))
    order = [axes.index(a) for a, _ in rest] + [axes.index(depth)]
    order += [n for n in range(len(axes)) if n not in order and n < len(axes) - 2]
    order += [len(axes) - 2, len(axes) - 1]
    return data.transpose(order).reshape(count, -1, *shape[-2:])[chosen]


def _spacing(file: Any) -> tuple[float, float, float] | None:
    """Return mm along i, j and k, or None where the file does not say all three."""
    if file.is_ome:
        return _ome_spacing(file)
    page = file.pages[0]
    meta: dict[str, Any] = file.imagej_metadata or {}
    tags = page.tags
    if "XResolution" not in tags or "YResolution" not in tags or "spacing" not in meta:
        return None
    unit = _MM.get(str(meta.get("unit", "")))
    if unit is None:
        unit = (
            _PER_UNIT.get(int(tags["ResolutionUnit"].value)) if "ResolutionUnit" in tags else None
        )
    if unit is None:
        return None
    found = [float(meta["spacing"])]
    for name in ("YResolution", "XResolution"):
        above, below = tags[name].value
        if not above:
            return None
        found.insert(0, below / above)
    i, j, k = (abs(s) * unit for s in found)
    return (i, j, k) if min(i, j, k) > 0 else None


def _ome_spacing(file: Any) -> tuple[float, float, float] | None:
    import xml.etree.ElementTree as ElementTree

    try:
        root = ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return None
    pixels = next((e for e in root.iter() if e.tag.endswith("}Pixels") or e.tag == "Pixels"), None)
    if pixels is None:
        return None
    found = []
    for axis in "XYZ":
        size = pixels.get(f"PhysicalSize{axis}")
        unit = _MM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if size is None or unit is None:
            return None
        found.append(float(size) * unit)
    return found[0], found[1], found[2]


TIFF = StackFormat("TIFF", (".tif", ".tiff", ".btf"), read)
