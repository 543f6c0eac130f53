"""describe, ground, refer and ask: the commands that look at pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import options as o
from kosmoscope.cli import render, terminal
from kosmoscope.cli.boxes import TypedBox, typed_box
from kosmoscope.cli.options import DEFAULTS, Format, help_text
from kosmoscope.cli.work import Work
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.types import Description

_PANEL = "Look at pictures"

Image = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="A picture's file, or - for one on standard input."),
]
Pixels = Annotated[
    bool,
    typer.Option("--pixels", help="The box is in pixels of the upright picture, not in 0..1."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (describe, ground, refer, ask):
        app.command(rich_help_panel=_PANEL, help=help_text(command))(command)


def describe(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE", help="Pictures; - reads one from standard input."),
    ],
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt",
            metavar="brief|detailed|TEXT",
            help="A short caption, a long one, or how the text should begin.",
        ),
    ] = "brief",
    no_boxes: o.NoBoxes = False,
    format: o.FormatOption = Format.TEXT,
    model: o.Model = None,
    precision: o.PrecisionOption = None,
    threads: o.Threads = None,
    max_new_tokens: o.MaxNewTokens = DEFAULTS.max_new_tokens,
    num_beams: o.NumBeams = DEFAULTS.num_beams,
    temperature: o.Temperature = DEFAULTS.temperature,
    top_p: o.TopP = DEFAULTS.top_p,
    seed: o.Seed = DEFAULTS.seed,
    no_repeat_ngram: o.NoRepeatNgram = DEFAULTS.no_repeat_ngram_size,
    unconstrained: o.Unconstrained = False,
) -> None:
    """Describe pictures, with a box for each thing that is named.

    A picture that cannot be read is reported on standard error and the rest goes on; the exit
    status is then 1.

    [bold]Examples[/]

    [cyan]kosmoscope describe photo.jpg[/]
    [cyan]kosmoscope describe --prompt detailed --max-new-tokens 256 photo.jpg[/]
    [cyan]kosmoscope describe --prompt "The two people are" photo.jpg[/]
    [cyan]kosmoscope describe --format json *.jpg > captions.jsonl[/]
    [cyan]curl -s https://example.org/photo.jpg | kosmoscope describe -[/]
    """
    choices = o.generation(
        max_new_tokens, num_beams, temperature, top_p, seed, no_repeat_ngram, unconstrained
    )
    work = Work(model, precision, threads, choices, format)
    from kosmoscope.prompts import describe_prompt

    work.run(
        images,
        [describe_prompt(b"", prompt, grounded=not no_boxes)],
        lambda image: [describe_prompt(image, prompt, grounded=not no_boxes)],
        _show,
    )


def ground(
    image: Image,
    phrases: Annotated[
        list[str],
        typer.Argument(metavar="PHRASE", help='What to look for, such as "a red car".'),
    ],
    format: o.FormatOption = Format.TEXT,
    model: o.Model = None,
    precision: o.PrecisionOption = None,
    threads: o.Threads = None,
    max_new_tokens: o.MaxNewTokens = DEFAULTS.max_new_tokens,
    num_beams: o.NumBeams = DEFAULTS.num_beams,
    temperature: o.Temperature = DEFAULTS.temperature,
    top_p: o.TopP = DEFAULTS.top_p,
    seed: o.Seed = DEFAULTS.seed,
    no_repeat_ngram: o.NoRepeatNgram = DEFAULTS.no_repeat_ngram_size,
    unconstrained: o.Unconstrained = False,
) -> None:
    """Find phrases in a picture: one result for each phrase, in the order given.

    The model points at something for every phrase, also for what is not in the picture; a low
    box score is then likely.

    [bold]Example[/]

    [cyan]kosmoscope ground photo.jpg "a snowman" "the fire"[/]
    """
    choices = o.generation(
        max_new_tokens, num_beams, temperature, top_p, seed, no_repeat_ngram, unconstrained
    )
    work = Work(model, precision, threads, choices, format)
    from kosmoscope.prompts import ground_prompt

    work.run(
        [image],
        [ground_prompt(b"", phrase) for phrase in phrases],
        lambda encoded: [ground_prompt(encoded, phrase) for phrase in phrases],
        lambda results: terminal.emit_rich(*render.grounded(results)),
    )


def refer(
    image: Image,
    box: Annotated[
        str,
        typer.Option(
            "--box",
            metavar="x1,y1,x2,y2",
            help="Left, top, right and bottom of the box, as fractions 0..1 of width and height.",
        ),
    ],
    pixels: Pixels = False,
    format: o.FormatOption = Format.TEXT,
    model: o.Model = None,
    precision: o.PrecisionOption = None,
    threads: o.Threads = None,
    max_new_tokens: o.MaxNewTokens = DEFAULTS.max_new_tokens,
    num_beams: o.NumBeams = DEFAULTS.num_beams,
    temperature: o.Temperature = DEFAULTS.temperature,
    top_p: o.TopP = DEFAULTS.top_p,
    seed: o.Seed = DEFAULTS.seed,
    no_repeat_ngram: o.NoRepeatNgram = DEFAULTS.no_repeat_ngram_size,
    unconstrained: o.Unconstrained = False,
) -> None:
    """Say what is in a box.

    [bold]Examples[/]

    [cyan]kosmoscope refer photo.jpg --box 0.25,0.1,0.75,0.9[/]
    [cyan]kosmoscope refer photo.jpg --pixels --box 160,43,480,384[/]
    """
    choices = o.generation(
        max_new_tokens, num_beams, temperature, top_p, seed, no_repeat_ngram, unconstrained
    )
    typed = typed_box(box, pixels=pixels)
    work = Work(model, precision, threads, choices, format)
    from kosmoscope.prompts import refer_prompt

    work.run(
        [image],
        [refer_prompt(b"", _WHOLE)],
        lambda encoded: [refer_prompt(encoded, typed.normalised(encoded.info))],
        _show,
    )


def ask(
    image: Image,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In plain words.")],
    box: Annotated[
        str | None,
        typer.Option(
            "--box",
            metavar="x1,y1,x2,y2",
            help="What the question is about: square brackets mark it in the question, without "
            'them it is called "it".',
        ),
    ] = None,
    pixels: Pixels = False,
    no_boxes: o.NoBoxes = False,
    format: o.FormatOption = Format.TEXT,
    model: o.Model = None,
    precision: o.PrecisionOption = None,
    threads: o.Threads = None,
    max_new_tokens: o.MaxNewTokens = DEFAULTS.max_new_tokens,
    num_beams: o.NumBeams = DEFAULTS.num_beams,
    temperature: o.Temperature = DEFAULTS.temperature,
    top_p: o.TopP = DEFAULTS.top_p,
    seed: o.Seed = DEFAULTS.seed,
    no_repeat_ngram: o.NoRepeatNgram = DEFAULTS.no_repeat_ngram_size,
    unconstrained: o.Unconstrained = False,
) -> None:
    """Answer a question about a picture.

    [bold]Examples[/]

    [cyan]kosmoscope ask photo.jpg "What is special about this image?"[/]
    [cyan]kosmoscope ask photo.jpg "Where is \\[the fire] next to?" --box 0.1,0.5,0.5,0.9[/]
    """
    choices = o.generation(
        max_new_tokens, num_beams, temperature, top_p, seed, no_repeat_ngram, unconstrained
    )
    typed: TypedBox | None = None
    if box is not None:
        typed = typed_box(box, pixels=pixels)
    elif pixels:
        raise OptionError("--pixels says how --box is to be read; there is no --box")
    work = Work(model, precision, threads, choices, format)
    from kosmoscope.prompts import ask_prompt

    work.run(
        [image],
        [ask_prompt(b"", question, _WHOLE if typed else None, grounded=not no_boxes)],
        lambda encoded: [
            ask_prompt(
                encoded,
                question,
                typed.normalised(encoded.info) if typed else None,
                grounded=not no_boxes,
            )
        ],
        _show,
    )


_WHOLE = (0.0, 0.0, 1.0, 1.0)
"""Stands for any box where only the words of a prompt are checked."""


def _show(results: Sequence[Description]) -> None:
    for result in results:
        terminal.emit_rich(*render.described(result))
