"""Boxes to masks: segmenters behind one small protocol.

`protocol` says what goes in and comes out; `classical` needs OpenCV and no weights.
"""

from kosmoscope.segment.protocol import BoxPrompt, Point, Proposal, Segmenter
from kosmoscope.segment.run import load_segmenter
from kosmoscope.segment.segmentation import Segmentation

__all__ = ["BoxPrompt", "Point", "Proposal", "Segmentation", "Segmenter", "load_segmenter"]
