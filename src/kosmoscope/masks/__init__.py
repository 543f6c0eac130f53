"""Masks: pixels with names, and their forms in files.

    mask          one mask: area, box, outline
    rle           COCO's run lengths
    polygons      outlines with holes, exact on pixel edges
    label_map     the typed result: every pixel of a picture has exactly one name
    partition     overlapping proposals -> that
    label_png     a label map as a picture with a palette
    cutout        what a mask shows, with alpha

Frames of reference: masks are (H, W) of the upright picture; polygons are (x, y) in pixels, corners
of pixels, so that pixel (i, j) is the square from (j, i) to (j + 1, i + 1).
"""

from kosmoscope.masks.cutout import cut_out
from kosmoscope.masks.label_map import LabelMap, Segment
from kosmoscope.masks.label_png import read_label_map, write_label_map
from kosmoscope.masks.mask import Mask
from kosmoscope.masks.partition import Candidate, partition
from kosmoscope.masks.polygons import Polygon, mask_polygons, polygons_mask, simplify
from kosmoscope.masks.rle import decode_rle, encode_rle

__all__ = [
    "Candidate",
    "LabelMap",
    "Mask",
    "Polygon",
    "Segment",
    "cut_out",
    "decode_rle",
    "encode_rle",
    "mask_polygons",
    "partition",
    "polygons_mask",
    "read_label_map",
    "simplify",
    "write_label_map",
]
