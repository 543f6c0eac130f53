"""Boxes to masks by colour, texture, borders and place: needs OpenCV, no large model."""

from kosmoscope.segment.classical.segmenter import ClassicalSegmenter
from kosmoscope.segment.classical.words import is_stuff

__all__ = ["ClassicalSegmenter", "is_stuff"]
