"""The result of a segmentation: a label map that draws and exports itself."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import ImageError
from kosmoscope.images import ImageSource, read_image
from kosmoscope.images.jpeg import reduced_to
from kosmoscope.masks import LabelMap

if TYPE_CHECKING:
    from PIL.Image import Image

    from kosmoscope.draw import DrawStyle


class Segmentation(LabelMap):
    """Every pixel of a picture with exactly one name: a segment's, or "rest" (0)."""

    __slots__ = ()

    def draw(self, image: ImageSource | None = None, style: DrawStyle | None = None) -> Image:
        """Draw the segments on the picture: fills, contours and numbered plates.

        Args:
            image: the picture, as `Scope.describe` takes it; None reads `image.path` again.
            style: None for the standard one.

        Returns:
            A new picture, upright, RGB, of the picture's size (with `style.caption` taller).

        Raises:
            ImageError: the picture cannot be read.
            InputError: it has another size.
        """
        from PIL import Image

        return Image.fromarray(self._drawn(image, style))

    def save(
        self,
        path: str | PathLike[str],
        image: ImageSource | None = None,
        style: DrawStyle | None = None,
        *,
        quality: int = 90,
    ) -> Path:
        """Write the drawing as PNG, JPEG or WebP, by the path's suffix; see `save_image`.

        Args:
            path: where to; the folder exists, a file there is replaced.
            image: as for `draw`.
            style: as for `draw`.
            quality: 1..100, of JPEG and WebP.
        """
        from kosmoscope.draw import save_image

        save_image(self._drawn(image, style), path, quality=quality)
        return Path(path)

    def matte_of(self, id: int) -> NDArray[np.uint8] | None:  # noqa: ARG002
        """How much of each pixel belongs to a segment: (H, W), 0..255.

        None where its segmenter tells in or out only, as most do.
        """
        return None

    def cut_out(
        self, id: int, image: ImageSource | None = None, *, crop: bool = True, soft: bool = True
    ) -> Image:
        """Return one segment alone, with alpha; what was transparent in the picture stays so.

        Args:
            id: of the segment; 0 for the rest.
            image: as for `draw`.
            crop: to the segment's box.
            soft: alpha as `matte_of` has it, else let it fall off over about a pixel on both sides
                of the outline.

        Raises:
            ImageError: the picture cannot be read.
            InputError: there is no such segment, or the picture has another size.
        """
        from kosmoscope.masks import cut_out

        picture = read_image(self.image.path if image is None else image, alpha=True)
        rgb = reduced_to(picture.rgb, self.labels.shape)
        alpha = None if rgb is not picture.rgb else picture.alpha
        return cut_out(
            rgb, self.mask(id), crop=crop, soft=soft, alpha=alpha, matte=self.matte_of(id)
        )

    def export(self, to: str, path: str | PathLike[str] | None = None, **options: Any) -> Any:
        """Write the segmentation in another program's format, or return it without a path.

        Args:
            to: one of `kosmoscope.export.formats("segmentations")`.
            path: the folder to write; see `kosmoscope.export.export`.
            options: as of `kosmoscope.export.export`: `vocabulary`, `overwrite` and so on.

        Returns:
            The path; without one what the format's own function (`to_coco_instances` of
            "coco-instances") returns.

        Raises:
            OptionError: no such format, or no such option; the path exists.
            OutputError: it cannot be written.
        """
        from kosmoscope.export import export, exported

        if path is None:
            return exported([self], to, **options)
        return export([self], Path(path), to, **options)

    def _drawn(self, image: ImageSource | None, style: DrawStyle | None) -> Any:
        from kosmoscope.draw import DrawStyle, draw_segmentation

        picture = read_image(self.image.path if image is None else image)
        rgb = reduced_to(picture.rgb, self.labels.shape)
        return draw_segmentation(rgb, self, style or DrawStyle())

    def _repr_html_(self) -> str:
        """Return the picture with its segments, and their names, for a notebook."""
        from kosmoscope.draw.notebook import label_map_html

        try:
            rgb = reduced_to(read_image(self.image.path).rgb, self.labels.shape)
        except ImageError:  # it was never a file, or it is gone: the labels are shown alone
            rgb = None
        return label_map_html(
            self, rgb if rgb is None or rgb.shape[:2] == self.labels.shape else None
        )
