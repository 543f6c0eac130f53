"""Results that can do something with themselves: be drawn, segmented, exported, shown.

The values are `kosmoscope.types`'; this room stands above those that do the work, and each method
imports what it needs when it is used, so that importing the package stays fast.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmoscope.types import GroundedCaption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from kosmoscope.draw import DrawStyle
    from kosmoscope.images import ImageSource, Picture
    from kosmoscope.segment import Segmentation, Segmenter


def _exporter(to: str) -> Callable[..., Any]:
    """Return the method `to_NAME`, which is `export(NAME)` with the type of its value."""

    def method(self: Description, **options: Any) -> Any:
        return self.export(to, **options)

    method.__name__ = f"to_{to}"
    method.__qualname__ = f"Description.to_{to}"
    method.__doc__ = f"Return `export({to!r})`; see `kosmoscope.export.to_{to}` for its options."
    return method


class Description(GroundedCaption):
    """What the model said about a picture."""

    __slots__ = ()

    def draw(self, image: ImageSource | None = None, style: DrawStyle | None = None) -> Image:
        """Draw the boxes and phrases on the picture.

        Args:
            image: the picture, as `Scope.describe` takes it; None reads `image.path` again.
            style: None for the standard one.

        Returns:
            A new picture, upright, RGB, of the picture's size (with `style.caption` taller).

        Raises:
            ImageError: the picture cannot be read.
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
        """Write the annotated picture as PNG, JPEG, WebP or SVG, by the path's suffix.

        EXIF data are kept where the picture is a file. The file is there whole or not at all. SVG
        refers to a picture that is a file, relative to its own folder, and holds any other.

        Args:
            path: where to; the folder exists, a file there is replaced.
            image: as for `draw`.
            style: as for `draw`.
            quality: 1..100, of JPEG and WebP.

        Raises:
            ImageError: the picture cannot be read.
            OptionError: an unknown suffix, a quality out of range.
            OutputError: it cannot be written.
        """
        from kosmoscope.draw import DrawStyle, annotate_svg, picture_address, save_image
        from kosmoscope.files.writing import write_text

        target = Path(path)
        source = self.image.path if image is None else image
        if target.suffix.lower() == ".svg":
            href = picture_address(source, target.parent)
            write_text(target, annotate_svg(self, image_href=href, style=style or DrawStyle()))
            return target
        file = source if isinstance(source, str | PathLike) else None
        save_image(self._drawn(image, style), target, quality=quality, exif_from=file)
        return target

    def chosen(self, *, min_score: float | None = None) -> Description:
        """Return the description without the boxes of lower scores; its entities keep their places.

        Args:
            min_score: 0..1; boxes without a score stay.

        Raises:
            OptionError: `min_score` is out of its range.
        """
        from kosmoscope.choosing import chosen

        return next(chosen([self], min_score=min_score))

    def segment(
        self,
        image: ImageSource | None = None,
        segmenter: Segmenter | str | Path = "classical",
        *,
        regions: bool = False,
    ) -> Segmentation:
        """Turn the boxes into pixels: every pixel of the picture gets exactly one name.

        Args:
            image: the picture, as `Scope.describe` takes it; None reads `image.path` again.
            segmenter: a name for `load_segmenter` (it stays loaded), or what that returned.
            regions: divide what nobody named into unnamed coherent regions.

        Raises:
            ImageError: the picture cannot be read.
            KosmoscopeError: the segmenter's library is not installed.
        """
        from kosmoscope.segment.run import segment_description

        picture = self._picture(image)
        return segment_description(self, picture.rgb, picture.rgb_info, segmenter, regions=regions)

    def to_svg(self, style: DrawStyle | None = None) -> str:
        """Return the drawing as SVG that refers to the picture by its path, as an address.

        A picture that was never a file is left out: the overlay alone. `save` puts it inside.
        """
        from kosmoscope.draw import DrawStyle, annotate_svg
        from kosmoscope.files.addresses import is_url, quoted

        path = self.image.path
        nameless = not path or (path.startswith("<") and path.endswith(">"))
        href = None if nameless else path if is_url(path) else quoted(path)
        return annotate_svg(self, image_href=href, style=style or DrawStyle())

    def export(self, to: str, path: str | PathLike[str] | None = None, **options: Any) -> Any:
        """Write the description in another program's format, or return it without a path.

        Args:
            to: one of `kosmoscope.export.formats()`.
            path: the file or folder to write; see `kosmoscope.export.export`.
            options: as of `kosmoscope.export.export`: `vocabulary`, `overwrite` and so on.

        Returns:
            The path; without one what the format's own function returns: of "coco" a dict, of
            "csv" a text, of "yolo" the files by name.

        Raises:
            OptionError: no such format, or no such option; the path exists.
            OutputError: it cannot be written.
            KosmoscopeError: a library is missing.
        """
        from kosmoscope.export import export, exported

        if path is None:
            return exported([self], to, **options)
        return export([self], Path(path), to, **options)

    to_coco: Callable[..., dict[str, Any]] = _exporter("coco")
    to_yolo: Callable[..., dict[str, str]] = _exporter("yolo")
    to_voc: Callable[..., dict[str, str]] = _exporter("voc")
    to_labelme: Callable[..., dict[str, Any]] = _exporter("labelme")
    to_labelstudio: Callable[..., list[dict[str, Any]]] = _exporter("labelstudio")
    to_csv: Callable[..., str] = _exporter("csv")
    to_html: Callable[..., str] = _exporter("html")
    to_markdown: Callable[..., str] = _exporter("markdown")

    def to_coco_captions(self) -> dict[str, Any]:
        """Return COCO's captions JSON."""
        from kosmoscope.export import to_coco_captions

        return to_coco_captions([self])

    def to_links(self) -> str:
        """Return the caption with Kosmos-2's own links: ``[a dog](<patch_index_...>)``."""
        from kosmoscope.export import to_links

        return to_links(self)

    def to_supervision(self, **options: Any) -> Any:
        """Return `supervision.Detections` (extra ``supervision``)."""
        from kosmoscope.export import to_supervision

        return to_supervision(self, **options)

    def to_arrow(self, **options: Any) -> Any:
        """Return a `pyarrow.Table` with a row for each box (extra ``parquet``)."""
        return self.export("parquet", **options)

    def to_pandas(self, **options: Any) -> Any:
        """Return a `pandas.DataFrame` with a row for each box (extra ``pandas``)."""
        from kosmoscope.export import to_pandas

        return to_pandas([self], **options)

    def _picture(self, image: ImageSource | None) -> Picture:
        from kosmoscope.images import read_image

        return read_image(self.image.path if image is None else image)

    def _drawn(self, image: ImageSource | None, style: DrawStyle | None) -> NDArray[np.uint8]:
        from kosmoscope.draw import DrawStyle, annotate

        return annotate(self._picture(image).rgb, self, style or DrawStyle())

    def _repr_html_(self) -> str:
        """Return the picture with its boxes, and the caption in their colours, for a notebook."""
        from kosmoscope.draw.notebook import caption_html
        from kosmoscope.errors import ImageError

        try:
            rgb = self._picture(None).rgb
        except ImageError:  # it was never a file, or it is gone: the boxes are shown alone
            rgb = None
        return caption_html(self, rgb)
