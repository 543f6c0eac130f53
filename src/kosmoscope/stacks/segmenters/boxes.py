"""Boxes as marks: on its slice a thing is cut out of its box by a segmenter of pictures.

What is well inside of that marks the thing; what is just outside the box marks the background.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.segment.protocol import BoxPrompt, Segmenter
from kosmoscope.stacks.seeds import Box, Marked, box_window, slice_of
from kosmoscope.stacks.segmenters.pictures import grey, grey_window
from kosmoscope.stacks.volume import Volume

_ARRAY_AXIS = {"k": 0, "j": 1, "i": 2}
_RIM = 2
"""Voxels that a box may be drawn too narrow by, and how wide its outside is marked."""


def with_boxes(volume: Volume, marked: Marked, segmenter: Callable[[], Segmenter]) -> Marked:
    """Return the marks with those that the boxes stand for; what is marked by hand stays.

    Args:
        volume: in which the boxes are.
        marked: without boxes it is given back as it is.
        segmenter: loads the segmenter of pictures, which is not needed without boxes.
    """
    if not marked.boxes:
        return marked
    tool, window = segmenter(), grey_window(volume)
    places, labels = [marked.kji], [marked.labels]
    for label, box in marked.boxes:
        top, left, low, right = box_window(marked.names[label], box, volume)
        plane = slice_of(volume.stored, box.axis, box.slice)
        values = plane.astype(np.float32) * np.float32(volume.slope) + np.float32(volume.intercept)
        picture = np.repeat(grey(np.nan_to_num(values), window)[..., None], 3, axis=2)
        prompt = BoxPrompt((float(left), float(top), float(right), float(low)), stuff=False)
        (proposal,) = tool.segment(picture, [prompt])
        depth = ndimage.distance_transform_edt(np.pad(proposal.mask, 1))[1:-1, 1:-1]
        inside = depth > min(2.0, 0.5 * float(depth.max()))
        outside = np.zeros_like(inside)
        wide = _RIM * 2
        outside[max(top - wide, 0) : low + wide, max(left - wide, 0) : right + wide] = True
        outside[max(top - _RIM, 0) : low + _RIM, max(left - _RIM, 0) : right + _RIM] = False
        for bits, number in ((inside, label), (outside, 0)):
            at = _on(bits, box)
            places.append(at)
            labels.append(np.full(len(at), number, np.int8))
    kji, numbers = np.concatenate(places), np.concatenate(labels)
    # By hand first, then each box's own thing before another box's outside.
    rank = np.concatenate([np.zeros(len(marked.kji)), 2.0 - (numbers[len(marked.kji) :] > 0)])
    order = np.argsort(rank, kind="stable")
    _, first = np.unique(kji[order], axis=0, return_index=True)
    chosen = order[first]
    return Marked(marked.names, kji[chosen], numbers[chosen], marked.boxes)


def _on(bits: NDArray[np.bool_], box: Box) -> NDArray[np.int64]:
    return np.insert(np.argwhere(bits), _ARRAY_AXIS[box.axis], box.slice, axis=1)
