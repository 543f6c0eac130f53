"""The segmenters of stacks that there are: one line each."""

from __future__ import annotations

from kosmoscope.registry import Registry
from kosmoscope.stacks.segmenters.protocol import StackSegmenter, StackSegmenterKind
from kosmoscope.stacks.segmenters.slices import Slices
from kosmoscope.stacks.segmenters.threshold import Threshold
from kosmoscope.stacks.segmenters.walker import Walker


def _slices() -> StackSegmenter:
    return Slices()


STACK_SEGMENTERS: Registry[StackSegmenterKind] = Registry(
    "segmenter of stacks",
    StackSegmenterKind("walker", "a random walk from the marks, in three dimensions", Walker),
    StackSegmenterKind(
        "slices",
        "each slice led by the one before, for ordinary pictures",
        _slices,
    ),
    StackSegmenterKind("threshold", "values between limits, or Otsu's", Threshold),
)
