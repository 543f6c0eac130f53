"""`salient`: a picture in, what it is about out, as one segment with a soft edge."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import InputError, OptionError
from kosmoscope.files.text import one_space
from kosmoscope.images import ImageSource, Limits, read_image
from kosmoscope.masks import Mask, Segment
from kosmoscope.masks.partition import rest_regions
from kosmoscope.segment.protocol import check_picture
from kosmoscope.segment.salience.network import SIDE, Salience, shared_salience
from kosmoscope.segment.segmentation import Segmentation
from kosmoscope.types import ImageInfo

SUBJECT = "subject"
"""What the segment is called unless its name is given: one class for all of them."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Salient(Segmentation):
    """A segmentation whose first segment is what the picture is about, with its soft mask.

    It draws, exports and writes itself as every `Segmentation` does. Its JSON has the mask alone:
    what is read back is cut out along the mask's edge.
    """

    matte: NDArray[np.uint8] | None = field(default=None)
    """(H, W), read-only, 0..255: how much of each pixel belongs to segment 1, which is the pixels
    of 128 and more. None where it was read from JSON."""

    def __post_init__(self) -> None:
        Segmentation.__post_init__(self)
        if self.matte is None:
            return
        if self.matte.shape != self.labels.shape or self.matte.dtype != np.uint8:
            raise InputError(
                f"a matte of {self.matte.dtype}, {self.matte.shape}; expected uint8, "
                f"{self.labels.shape}"
            )
        if self.matte.flags.writeable:
            matte = self.matte.copy()
            matte.setflags(write=False)
            object.__setattr__(self, "matte", matte)

    @property
    def subject(self) -> Mask:
        """The mask of segment 1."""
        return self.mask(1)

    @property
    def xyxy_px(self) -> tuple[float, float, float, float] | None:
        """The tight box of the mask in pixels; None where nothing was found."""
        return self.segments[0].xyxy_px

    @property
    def score(self) -> float:
        """0..1: how sure the network is of the outline of what it chose; see `Look.score`."""
        return self.segments[0].score or 0.0

    def matte_of(self, id: int) -> NDArray[np.uint8] | None:
        """Return the soft mask of segment 1; of others there is none."""
        return self.matte if id == 1 else None


def salient(
    image: ImageSource,
    *,
    label: str = "",
    regions: bool = False,
    side: int = SIDE,
    threads: int | None = None,
    limits: Limits = Limits(),
) -> Salient:
    """Tell what a picture is about: mask, box and score. No other model is loaded.

    Args:
        image: the picture, as `read_image` takes it.
        label: its name; "subject" unless given.
        regions: divide the rest into unnamed coherent regions.
        side: of what the network sees, the longer one, in pixels, a multiple of 32: 224 takes half
            the time of 320 and finds a little less.
        threads: for arithmetic; None for one per processor.
        limits: what the picture may cost.

    Raises:
        ImageError: the picture cannot be read.
        OptionError: side or threads out of range.
    """
    network = shared_salience(threads, side)
    picture = read_image(image, limits=limits)
    return segment_salient(picture.rgb, picture.rgb_info, network, label=label, regions=regions)


def segment_salient(
    rgb: NDArray[np.uint8],
    info: ImageInfo,
    network: Salience,
    *,
    label: str = "",
    regions: bool = False,
) -> Salient:
    """Tell what a picture that is read is about; see `salient`.

    Args:
        rgb: (H, W, 3) uint8, upright; the size that `info` says.
        info: of the result: `Picture.rgb_info`.
        network: loaded.
        label: as for `salient`.
        regions: as for `salient`.

    Raises:
        InputError: not an (H, W, 3) array of bytes.
        OptionError: the picture has another size than `info` says.
    """
    began = time.perf_counter()
    image_wh = check_picture(rgb)
    if image_wh != (info.width, info.height):
        raise OptionError(f"a picture of {image_wh} pixels; expected {(info.width, info.height)}")
    seen = network.look(rgb)
    bits = seen.matte >= 128
    labels = bits.astype(np.uint16)
    box = Mask(bits).xyxy_px
    xyxy = None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    score = 0.0 if box is None else round(seen.score, 4)
    segments = [Segment(1, one_space(label) or SUBJECT, "thing", None, xyxy, score)]
    if regions:
        for number, region in enumerate(rest_regions(rgb, ~bits), 1):
            segments.append(Segment(len(segments) + 1, f"region {number}", "region"))
            labels[region] = len(segments)
    seconds = round(time.perf_counter() - began, 4)
    return Salient(info, network.name, labels, tuple(segments), "", seconds, seen.matte)
