"""Image stacks: from slices to a solid, measured in millimetres (extra ``stacks``).

Not a medical device: nothing here is for diagnosis or treatment.
"""

from kosmoscope.stacks.reading import read_stack
from kosmoscope.stacks.seeds import Seeds
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.volume import Volume

__all__ = ["Seeds", "Segmented", "Volume", "read_stack"]
