"""describe, ground, refer and ask: the commands that look at pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import options as o
from kosmoscope.cli import render, terminal
from kosmoscope.cli.annotated import Annotator, ImageFormat, ImageFormatOption
from kosmoscope.cli.boxes import TypedBox, typed_box
from kosmoscope.cli.options import DEFAULTS, Format, help_text
from kosmoscope.cli.work import Work, expanded
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.results import Description

_PANEL = "Look at pictures"
_FOLDER, _PICTURES = "With --output", "Annotated pictures"

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
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Pictures, folders, patterns, lists of paths (@FILE, .csv, .jsonl); - reads a "
            "picture from standard input, with --output paths.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write results into a folder; the same command goes on where it was stopped.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="brief|detailed|TEXT",
            help="A short caption (as without any question), a long one, or how the text should "
            "begin. Repeatable, as the next two.",
        ),
    ] = None,
    ground: Annotated[
        list[str] | None,
        typer.Option("--ground", metavar="PHRASE", help="Find a phrase."),
    ] = None,
    ask: Annotated[
        list[str] | None,
        typer.Option("--ask", metavar="QUESTION", help="Answer a question."),
    ] = None,
    no_boxes: o.NoBoxes = False,
    format: o.FormatOption = Format.TEXT,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FOLDER",
            help="Write annotated pictures, without --output.",
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    image_format: ImageFormatOption = ImageFormat.JPG,
    annotate: Annotated[
        bool,
        typer.Option(
            "--annotate",
            help="Write annotated pictures into FOLDER/annotated.",
            rich_help_panel=_FOLDER,
        ),
    ] = False,
    gallery: Annotated[
        bool,
        typer.Option(
            "--gallery",
            help="Make a page of all results in FOLDER/gallery at the end.",
            rich_help_panel=_FOLDER,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Forget what is in the folder.", rich_help_panel=_FOLDER),
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing/--recheck",
            help="Trust a path that has its results, or read every file again and describe "
            "those that changed.",
            rich_help_panel=_FOLDER,
        ),
    ] = True,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Go on with what comes into the folders, until Ctrl-C.",
            rich_help_panel=_FOLDER,
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            metavar="N",
            help="Pictures at the model at the same time.",
            rich_help_panel=_FOLDER,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Report errors only.", rich_help_panel=_FOLDER),
    ] = False,
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

    A picture that cannot be read is reported and the rest goes on; the exit status is then 1.
    With --output results go into a folder: results.jsonl, errors.jsonl and run.json. It can be
    stopped at any moment, and the same command goes on from there.

    [bold]Examples[/]

    [cyan]kosmoscope describe photo.jpg[/]
    [cyan]kosmoscope describe --prompt detailed --max-new-tokens 256 photo.jpg[/]
    [cyan]kosmoscope describe --prompt "The two people are" photo.jpg --save annotated[/]
    [cyan]kosmoscope describe --format json *.jpg > captions.jsonl[/]
    [cyan]kosmoscope describe photos -o out --prompt brief --ground "a dog" --gallery[/]
    [cyan]curl -s https://example.org/photo.jpg | kosmoscope describe -[/]
    """
    choices = o.generation(
        max_new_tokens, num_beams, temperature, top_p, seed, no_repeat_ngram, unconstrained
    )
    from kosmoscope.cli import folder

    if output is not None and format is not Format.TEXT:
        raise OptionError("--format goes without --output, which writes JSON lines of its own")
    if output is not None and save is not None:
        raise OptionError("--save goes without --output; there it is --annotate")
    options = folder.FolderOptions(
        annotate, gallery, overwrite, not skip_existing, watch, batch_size, quiet
    )
    if output is None:
        options.refuse()
    work = Work(model, precision, threads, choices, format)
    from kosmoscope.batch import Task

    grounded = not no_boxes
    tasks = [Task.describe(text, grounded=grounded) for text in prompt or ()]
    tasks += [Task.ground(phrase) for phrase in ground or ()]
    tasks += [Task.ask(question, grounded=grounded) for question in ask or ()]
    tasks = tasks or [Task.describe(grounded=grounded)]
    if output is not None:
        folder.run(work, sources, tasks, output, options, image_format)
        return
    annotator = None if save is None else Annotator(save, image_format)

    def show(results: Sequence[Description]) -> None:
        for task, result in zip(tasks, results, strict=True):
            if task.kind == "ground":
                terminal.emit_rich(*render.grounded([result]))
            else:
                terminal.emit_rich(*render.described(result))

    def keep(results: Sequence[Description]) -> None:
        for task, result in zip(tasks, results, strict=True):
            if annotator is not None:
                annotator.write(result, task.key if len(tasks) > 1 else "")

    work.run(
        expanded(sources),
        [task.prompt(b"") for task in tasks],
        lambda image: [task.prompt(image) for task in tasks],
        show,
        keep=None if annotator is None else keep,
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
