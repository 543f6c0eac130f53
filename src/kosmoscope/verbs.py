"""What a `Description` can do with itself: be drawn, be written in other programs' formats.

The rooms that do it lie above `kosmoscope.types` and know it. These methods are doors to them that
open when they are used: nothing here is imported before, so that results stay plain values and the
import of the package stays fast.
"""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


class Verbs:
    """Mixed into `Description`."""

    __slots__ = ()

    image: Any  # of `Description`

    def draw(self, image: Any = None, style: Any = None) -> Image:
        """Draw the boxes and phrases on the picture.

        Args:
            image: the picture, as `Scope.describe` takes it; None reads `image.path` again.
            style: a `kosmoscope.draw.DrawStyle`; None for the standard one.

        Returns:
            A new picture, upright, RGB, of the picture's size (with `style.caption` taller).

        Raises:
            ImageError: the picture cannot be read.
        """
        drawn: Image = import_module("PIL.Image").fromarray(self._drawn(image, style))
        return drawn

    def save(
        self,
        path: str | PathLike[str],
        image: Any = None,
        style: Any = None,
        *,
        quality: int = 90,
    ) -> Path:
        """Write the annotated picture as PNG, JPEG, WebP or SVG, by the path's suffix.

        EXIF data are kept where the picture is a file. The file is there whole or not at all.

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
        target = Path(path)
        if target.suffix.lower() == ".svg":
            atomic = import_module("kosmoscope.export.atomic")
            atomic.write_chunks(target, [self.to_svg(style)], overwrite=True)
            return target
        source = self.image.path if image is None else image
        file = source if isinstance(source, str | PathLike) else None
        draw = import_module("kosmoscope.draw")
        draw.save_image(self._drawn(image, style), target, quality=quality, exif_from=file)
        return target

    def _drawn(self, image: Any, style: Any) -> Any:
        draw, images = import_module("kosmoscope.draw"), import_module("kosmoscope.images")
        picture = images.read_image(self.image.path if image is None else image)
        return draw.annotate(picture.rgb, self, style or draw.DrawStyle())

    def segment(
        self, image: Any = None, segmenter: Any = "classical", *, regions: bool = False
    ) -> Any:
        """Turn the boxes into pixels: every pixel of the picture gets exactly one name.

        Args:
            image: the picture, as `Scope.describe` takes it; None reads `image.path` again.
            segmenter: a name for `kosmoscope.segment.load_segmenter`, or what that returned.
            regions: divide what nobody named into unnamed coherent regions.

        Returns:
            A `kosmoscope.masks.Segmentation`.

        Raises:
            ImageError: the picture cannot be read.
            KosmoscopeError: the segmenter's library is not installed.
        """
        run = import_module("kosmoscope.segment.run")
        images = import_module("kosmoscope.images")
        picture = images.read_image(self.image.path if image is None else image)
        return run.segment_description(self, picture.rgb, picture.info, segmenter, regions=regions)

    def to_svg(self, style: Any = None) -> str:
        """Return the drawing as an SVG overlay that refers to the picture by its path."""
        draw = import_module("kosmoscope.draw")
        svg: str = draw.annotate_svg(
            self, image_href=self.image.path, style=style or draw.DrawStyle()
        )
        return svg

    def to_coco(self, **options: Any) -> dict[str, Any]:
        """Return COCO's detection JSON; see `kosmoscope.export.to_coco` for the options."""
        result: dict[str, Any] = self._export("to_coco", options)
        return result

    def to_coco_captions(self) -> dict[str, Any]:
        """Return COCO's captions JSON."""
        result: dict[str, Any] = self._export("to_coco_captions", {})
        return result

    def to_yolo(self, **options: Any) -> dict[str, str]:
        """Return Ultralytics YOLO's files, name -> text; see `kosmoscope.export.to_yolo`."""
        result: dict[str, str] = self._export("to_yolo", options)
        return result

    def to_voc(self, **options: Any) -> dict[str, str]:
        """Return Pascal VOC's files, name -> XML; see `kosmoscope.export.to_voc`."""
        result: dict[str, str] = self._export("to_voc", options)
        return result

    def to_labelme(self, **options: Any) -> dict[str, Any]:
        """Return LabelMe's files, name -> data; see `kosmoscope.export.to_labelme`."""
        result: dict[str, Any] = self._export("to_labelme", options)
        return result

    def to_labelstudio(self, **options: Any) -> list[dict[str, Any]]:
        """Return Label Studio's tasks with predictions; see `kosmoscope.export.to_labelstudio`."""
        result: list[dict[str, Any]] = self._export("to_labelstudio", options)
        return result

    def to_csv(self, **options: Any) -> str:
        """Return a table with a row for each box; see `kosmoscope.export.to_csv`."""
        result: str = self._export("to_csv", options)
        return result

    def to_html(self, **options: Any) -> str:
        """Return a small page; see `kosmoscope.export.to_html`."""
        result: str = self._export("to_html", options)
        return result

    def to_markdown(self, **options: Any) -> str:
        """Return a document; see `kosmoscope.export.to_markdown`."""
        result: str = self._export("to_markdown", options)
        return result

    def to_links(self) -> str:
        """Return the caption with Kosmos-2's own links: ``[a dog](<patch_index_...>)``."""
        result: str = import_module("kosmoscope.export").to_links(self)
        return result

    def to_supervision(self, **options: Any) -> Any:
        """Return `supervision.Detections` (extra ``supervision``)."""
        export = import_module("kosmoscope.export")
        return export.to_supervision(self, **options)

    def to_arrow(self, **options: Any) -> Any:
        """Return a `pyarrow.Table` with a row for each box (extra ``parquet``)."""
        return self._export("to_arrow", options)

    def to_pandas(self, **options: Any) -> Any:
        """Return a `pandas.DataFrame` with a row for each box (extra ``pandas``)."""
        return self._export("to_pandas", options)

    def _export(self, name: str, options: dict[str, Any]) -> Any:
        return getattr(import_module("kosmoscope.export"), name)([self], **options)
