"""Marks on a few slices -> every voxel's label: segmenters behind one protocol.

protocol    what they take and give
walker      a random walk with priors of the values
slices      a segmenter of pictures, slice by slice
threshold   values between limits
boxes       boxes -> marks
islands     parts of a label without a mark
pictures    slices as pictures
registry    their names
"""

from kosmoscope.stacks.segmenters.protocol import (
    CorrectingSegmenter,
    StackSegmenter,
    StackSegmenterKind,
)
from kosmoscope.stacks.segmenters.registry import STACK_SEGMENTERS
from kosmoscope.stacks.segmenters.slices import Slices, SlicesOptions
from kosmoscope.stacks.segmenters.threshold import Between, Threshold, ThresholdOptions
from kosmoscope.stacks.segmenters.walker import Walker, WalkerOptions

__all__ = [
    "STACK_SEGMENTERS",
    "Between",
    "CorrectingSegmenter",
    "Slices",
    "SlicesOptions",
    "StackSegmenter",
    "StackSegmenterKind",
    "Threshold",
    "ThresholdOptions",
    "Walker",
    "WalkerOptions",
]
