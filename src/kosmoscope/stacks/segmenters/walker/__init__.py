"""Grady's random walker with priors of the values, on grids from coarse to fine.

settings     what can be chosen
samples      marks -> the values that they stand for
appearance   those -> how likely a value is each label's
lattice      a grid as a graph, and its system solved
solution     from the coarsest grid to the working one
band         the border at full resolution, as a list of voxels
refine       the working grid's answer -> labels of the full one
strokes      corrections
walker       all of it
"""

from kosmoscope.stacks.segmenters.walker.settings import WalkerOptions
from kosmoscope.stacks.segmenters.walker.walker import Walker

__all__ = ["Walker", "WalkerOptions"]
