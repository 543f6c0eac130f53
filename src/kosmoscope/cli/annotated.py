"""Annotated pictures as files, for `describe --save`, `describe -o --annotate` and `draw`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import terminal
from kosmoscope.errors import ImageError, OptionError
from kosmoscope.files.marker import Claim, claim
from kosmoscope.files.names import fitted, lasting_name
from kosmoscope.files.text import one_line
from kosmoscope.files.writing import write_text

if TYPE_CHECKING:
    from kosmoscope.batch import PictureDone
    from kosmoscope.draw import DrawStyle
    from kosmoscope.images import Limits
    from kosmoscope.results import Description

QUALITY = 90


class ImageFormat(StrEnum):
    """What an annotated picture is written as."""

    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"
    SVG = "svg"


ImageFormatOption = Annotated[
    ImageFormat,
    typer.Option(
        "--image-format",
        metavar="jpg|png|webp|svg",
        help="Of annotated pictures; svg is an overlay that refers to the picture.",
    ),
]


@dataclass(slots=True)
class Annotator:
    """Writes annotated pictures into a folder.

    Args:
        folder: created with the first picture.
        format: of the files.
        style: None for the standard one.
        quality: of jpg and webp, 1 to 100.
        lasting_names: only a picture's path and the task decide the file's name, so that a batch
            that goes on makes the same ones.
        limits: of the pictures; None for the standard ones.
        given: the contents of pictures that cannot be read again, by what they are called.
        quiet: say nothing about what was left out.
    """

    folder: Path
    format: ImageFormat = ImageFormat.JPG
    style: DrawStyle | None = None
    quality: int = QUALITY
    lasting_names: bool = False
    limits: Limits | None = None
    given: Mapping[str, bytes] = field(default_factory=dict)
    quiet: bool = False
    _taken: dict[str, str] = field(default_factory=dict)
    _claim: Claim | None = None

    def draw_all(self, done: PictureDone) -> None:
        """Draw all that was said about a picture; raises what `write` raises."""
        for task, description in zip(done.tasks, done.descriptions, strict=True):
            self.write(description, task.key if len(done.tasks) > 1 else "")

    def write(self, description: Description, task: str = "") -> Path:
        """Draw one description; returns the file.

        Args:
            description: whose picture is read again, in full size.
            task: added to the picture's name, where there are several descriptions of it.

        Raises:
            ImageError: the picture cannot be read, or is too large for the format.
            OptionError: the file would replace the picture itself.
            OutputError: it cannot be written.
        """
        from kosmoscope.draw import DrawStyle, annotate, annotate_svg, picture_address, save_image
        from kosmoscope.images import Limits, read_image

        style = self.style or DrawStyle()
        given = self.given.get(description.image.path)
        # Standard input has no name: "<stdin>" is none that every system takes.
        source = Path(description.image.path if given is None else "stdin")
        ending = f".{self.format.value}"
        if self.lasting_names:
            name = lasting_name(description.image.path, task, room=len(ending))
        else:
            name = "-".join(filter(None, (free_name(str(source), self._taken), task)))
            name = fitted(name, len(ending))
        target = self.folder / (name + ending)
        same = given is None and target.exists() and source.exists() and target.samefile(source)
        if same:
            raise OptionError(f"{target} is the picture itself; choose another folder")
        if self._claim is None:
            self._claim = claim(self.folder)
        self._claim.note(target)
        if self.format is ImageFormat.SVG and given is not None:
            raise OptionError(
                "an SVG overlay refers to the picture's file, and standard input is none; expected "
                "--image-format jpg, png or webp"
            )
        if self.format is ImageFormat.SVG:
            href = picture_address(description.image.path, self.folder)
            write_text(target, annotate_svg(description, image_href=href, style=style))
            return target
        picture = read_image(
            source if given is None else given,
            name=description.image.path,
            limits=self.limits or Limits(),
        )
        drawn = annotate(picture.rgb, description, style)
        try:
            notes = save_image(
                drawn, target, quality=self.quality, exif_from=source if given is None else None
            )
        except OptionError as e:
            raise ImageError(one_line(source), str(e)) from e
        for text in () if self.quiet else notes:
            terminal.note(f"{one_line(source)}: {text}")
        return target


def free_name(path: str, taken: dict[str, str], *, room: int = 0) -> str:
    """Return a picture's own name, without suffix, numbered where two pictures share one.

    Args:
        path: the picture's.
        taken: which names belong to which paths; added to.
        room: bytes that will be put behind it, see `kosmoscope.files.names.fitted`.
    """
    stem, number = Path(path).stem or "picture", 1
    name = fitted(stem, room)
    while taken.setdefault(name.casefold(), path) != path:
        number += 1
        name = fitted(f"{stem}-{number}", room)
    return name


def style_of(
    scale: float,
    labels: bool,
    scores: bool,
    caption: bool,
    box_width: float,
    text_size: float,
) -> DrawStyle:
    """Gather the options of a drawing; the message of an error calls them as they are typed."""
    from kosmoscope.draw import DrawStyle

    try:
        return DrawStyle(
            scale=scale, labels=labels, scores=scores, caption=caption,
            box_width=box_width, text_size=text_size,
        )  # fmt: skip
    except OptionError as e:
        message = str(e)
        for name in ("box_width", "text_size", "scale"):
            if message.startswith(name):
                message = f"--{name.replace('_', '-')}{message.removeprefix(name)}"
        raise OptionError(message) from e
