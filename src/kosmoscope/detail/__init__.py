"""Every object its own box: the whole and its tiles, asked again and again, merged into one result.

`Detail` says how closely, `look_closer` looks, `described` and `counted` make values of it.
"""

from kosmoscope.detail.counting import Count
from kosmoscope.detail.describing import counted, described
from kosmoscope.detail.run import Closer, Looked, Said, Subject, look_closer
from kosmoscope.detail.settings import Detail

__all__ = [
    "Closer",
    "Count",
    "Detail",
    "Looked",
    "Said",
    "Subject",
    "counted",
    "described",
    "look_closer",
]
