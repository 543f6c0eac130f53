"""Image stacks: from slices to a solid, measured in millimetres (extra ``stacks``).

volume        voxels, where they lie, what they measure
reading       files and folders -> a volume
seeds         what a person marks on a few slices
grids         a volume at several resolutions
segmented     every voxel's name
segmenters    marks -> that
run           by name, with boxes and phrases
fractions     how much of a border voxel is filled
solids        closed surfaces
measures      volumes with an interval, areas, places, values
keeping       what a correction goes on from, as a file
out           files, pictures, the page

Not a medical device: nothing here is for diagnosis or treatment.
"""

from kosmoscope.stacks.keeping import read_segmented
from kosmoscope.stacks.measures import NOTICE, Measure, measure
from kosmoscope.stacks.out.saving import Saved, save_stack
from kosmoscope.stacks.reading import read_stack
from kosmoscope.stacks.run import correct, phrase_seeds, segment_stack
from kosmoscope.stacks.seeds import Box, Label, Marked, MaskOn, Scribble, Seeds
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.segmenters import (
    STACK_SEGMENTERS,
    Between,
    Slices,
    SlicesOptions,
    Threshold,
    ThresholdOptions,
    Walker,
    WalkerOptions,
)
from kosmoscope.stacks.solids import Solid, solid
from kosmoscope.stacks.volume import Volume

__all__ = [
    "NOTICE",
    "STACK_SEGMENTERS",
    "Between",
    "Box",
    "Label",
    "Marked",
    "MaskOn",
    "Measure",
    "Saved",
    "Scribble",
    "Seeds",
    "Segmented",
    "Slices",
    "SlicesOptions",
    "Solid",
    "Threshold",
    "ThresholdOptions",
    "Volume",
    "Walker",
    "WalkerOptions",
    "correct",
    "measure",
    "phrase_seeds",
    "read_segmented",
    "read_stack",
    "save_stack",
    "segment_stack",
    "solid",
]
