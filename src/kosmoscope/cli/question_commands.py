"""ground, refer and ask: one picture, and something in particular to know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosmoscope.cli.boxes import FractionsOption, PixelsOption, TypedBox, Units, typed_box
from kosmoscope.cli.model_options import ModelOptions, PictureOptions
from kosmoscope.cli.options import Format, FormatOption, NoBoxes, add_commands
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.batch.pipeline import PictureTask
    from kosmoscope.prompts import Prompt

ImageArgument = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="A picture's file, or - for one on standard input."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(app, "Look at pictures", ground, refer, ask)


def ground(
    image: ImageArgument,
    phrases: Annotated[
        list[str],
        typer.Argument(metavar="PHRASE", help='What to look for, such as "a red car".'),
    ],
    format: FormatOption = Format.TEXT,
    pictures: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
    generation: GenerationOptions = GenerationOptions(),
) -> None:
    """Find phrases in a picture: one result for each phrase, in the order given.

    The model points at something for every phrase, also for what is not in the picture; a low
    box score is then likely.

    [bold]Example[/]

    [cyan]kosmoscope ground photo.jpg "a snowman" "the fire"[/]
    """
    from kosmoscope.batch import Task
    from kosmoscope.cli.print_descriptions import print_descriptions, show_phrases

    tasks = [Task.ground(phrase) for phrase in phrases]
    print_descriptions([image], tasks, pictures, model, generation, format, show=show_phrases)


def refer(
    image: ImageArgument,
    box: Annotated[
        str,
        typer.Option(
            "--box",
            metavar="x1,y1,x2,y2",
            help="Left, top, right and bottom of the box, as fractions 0..1 of width and height "
            "(unless --pixels).",
        ),
    ],
    pixels: PixelsOption = False,
    fractions: FractionsOption = False,
    format: FormatOption = Format.TEXT,
    pictures: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
    generation: GenerationOptions = GenerationOptions(),
) -> None:
    """Say what is in a box.

    [bold]Examples[/]

    [cyan]kosmoscope refer photo.jpg --box 0.25,0.1,0.75,0.9[/]
    [cyan]kosmoscope refer photo.jpg --pixels --box 160,43,480,384[/]
    """
    typed = typed_box(box, Units.of(pixels=pixels, fractions=fractions))
    from kosmoscope.cli.print_descriptions import print_descriptions

    print_descriptions([image], [BoxQuestion(typed)], pictures, model, generation, format)


def ask(
    image: ImageArgument,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In plain words.")],
    box: Annotated[
        str | None,
        typer.Option(
            "--box",
            metavar="x1,y1,x2,y2",
            help="What the question is about: square brackets mark it in the question, without "
            'them it is called "it". In fractions unless --pixels.',
        ),
    ] = None,
    pixels: PixelsOption = False,
    fractions: FractionsOption = False,
    no_boxes: NoBoxes = False,
    format: FormatOption = Format.TEXT,
    pictures: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
    generation: GenerationOptions = GenerationOptions(),
) -> None:
    """Answer a question about a picture.

    [bold]Examples[/]

    [cyan]kosmoscope ask photo.jpg "What is special about this image?"[/]
    [cyan]kosmoscope ask photo.jpg "Where is \\[the fire] next to?" --box 0.1,0.5,0.5,0.9[/]
    """
    typed: TypedBox | None = None
    if box is not None:
        typed = typed_box(box, Units.of(pixels=pixels, fractions=fractions))
    elif pixels or fractions:
        given = "--pixels" if pixels else "--fractions"
        raise OptionError(f"{given} says how --box is to be read; there is no --box")
    from kosmoscope.batch import Task
    from kosmoscope.cli.print_descriptions import print_descriptions

    grounded = not no_boxes
    task: PictureTask = Task.ask(question, grounded=grounded)
    if typed is not None:
        task = BoxQuestion(typed, question, grounded)
    print_descriptions([image], [task], pictures, model, generation, format)


@dataclass(frozen=True, slots=True)
class BoxQuestion:
    """What is in a box, or a question about it; the picture says where pixels are."""

    box: TypedBox
    question: str | None = None
    grounded: bool = True
    key: str = "box"

    def prompt(self, image: Any) -> Prompt:
        """Return the prompt for a picture. Raises `BoxError` for pixels outside of it."""
        from kosmoscope.prompts import ask_prompt, refer_prompt

        # Where only the words are checked there is no picture yet, and any box will do.
        info = getattr(image, "info", None)
        xyxy = (0.0, 0.0, 1.0, 1.0) if info is None else self.box.normalised(info)
        if self.question is None:
            return refer_prompt(image, xyxy)
        return ask_prompt(image, self.question, xyxy, grounded=self.grounded)
