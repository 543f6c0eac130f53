"""Drawing: a picture and its description -> an annotated picture, an SVG overlay, a file.

style     what the caller may choose
palette   phrase -> colour, safe for the colour-blind
text      cleaning, measuring and cutting words; the font that ships with the package
layout    pure geometry: where the labels go
strip     pure geometry: the caption under the picture
plan      description and size -> everything that is drawn, in pixels
raster    plan -> pixels
svg       plan -> vectors
reference  how a drawing in vectors refers to its picture
masks     segmentation -> fills, contours and a legend, in pixels
saving    pixels -> file, in one piece or not at all
"""

from kosmoscope.draw.layout import Placement, place_labels
from kosmoscope.draw.masks import draw_segmentation, segment_colours
from kosmoscope.draw.palette import phrase_colour, picture_colours
from kosmoscope.draw.raster import annotate
from kosmoscope.draw.reference import picture_address
from kosmoscope.draw.saving import save_image
from kosmoscope.draw.style import DrawStyle
from kosmoscope.draw.svg import annotate_svg

__all__ = [
    "DrawStyle",
    "Placement",
    "annotate",
    "annotate_svg",
    "draw_segmentation",
    "phrase_colour",
    "picture_address",
    "picture_colours",
    "place_labels",
    "save_image",
    "segment_colours",
]
