"""Pictures: a path, bytes, a PIL image or an array -> upright RGB within limits -> pixel tensor.

`read_image` is the one way in: after it every picture is upright, sRGB, 8 bits, without alpha.
`pixel_tensor` makes of it what the model's vision tower takes. Nothing here knows a model.
"""

from kosmoscope.images.pixels import PixelSpec, fitting, part_of, pixel_tensor
from kosmoscope.images.reader import Picture, read_image
from kosmoscope.images.sources import ImageSource, Limits

__all__ = [
    "ImageSource",
    "Limits",
    "Picture",
    "PixelSpec",
    "fitting",
    "part_of",
    "pixel_tensor",
    "read_image",
]
