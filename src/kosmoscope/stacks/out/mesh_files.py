"""Surfaces as STL, PLY and OBJ: binary where the format has that, in mm, RAS, and saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from kosmoscope.stacks.solids import Solid

_ABOUT = "kosmoscope; mm; SPACE=RAS; not a medical device"
_LINES = 20_000
"""Written at a time."""


def write_stl(solid: Solid, file: BinaryIO) -> None:
    """Write binary STL; its head says the frame as 3D Slicer reads it."""
    at = solid.vertices[solid.faces]
    normals = np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    rows = np.zeros(len(at), np.dtype([("normal", "<f4", 3), ("at", "<f4", (3, 3)), ("_", "<u2")]))
    rows["normal"], rows["at"] = normals, at
    file.write(_ABOUT.encode().ljust(80)[:80])
    file.write(np.array(len(at), "<u4").tobytes())
    file.write(rows.tobytes())


def write_ply(solid: Solid, file: BinaryIO) -> None:
    """Write binary little-endian PLY."""
    head = (
        f"ply\nformat binary_little_endian 1.0\ncomment {_ABOUT}\n"
        f"element vertex {len(solid.vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(solid.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.zeros(len(solid.faces), np.dtype([("n", "u1"), ("of", "<i4", 3)]))
    rows["n"], rows["of"] = 3, solid.faces
    file.write(head.encode())
    file.write(solid.vertices.astype("<f4").tobytes())
    file.write(rows.tobytes())


def write_obj(solid: Solid, file: BinaryIO) -> None:
    """Write OBJ, which is text."""
    file.write(f"# {_ABOUT}\n".encode())
    for text in _obj_lines(solid):
        file.write(text.encode())


def _obj_lines(solid: Solid) -> Iterator[str]:
    for first in range(0, len(solid.vertices), _LINES):
        part = solid.vertices[first : first + _LINES].tolist()
        yield "".join(f"v {x:.6g} {y:.6g} {z:.6g}\n" for x, y, z in part)
    for first in range(0, len(solid.faces), _LINES):
        part = (solid.faces[first : first + _LINES] + 1).tolist()
        yield "".join(f"f {a} {b} {c}\n" for a, b, c in part)


MESHES: dict[str, Callable[[Solid, BinaryIO], None]] = {
    "stl": write_stl,
    "ply": write_ply,
    "obj": write_obj,
}
"""By the ending of the file."""
