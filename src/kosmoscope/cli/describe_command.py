"""describe: pictures in, captions and boxes out, on standard output or into a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kosmoscope.cli.annotated import Annotator, ImageFormat, ImageFormatOption
from kosmoscope.cli.detail_options import DetailOptions
from kosmoscope.cli.folder_options import FolderOptions
from kosmoscope.cli.model_options import ModelOptions, PictureOptions
from kosmoscope.cli.options import Format, FormatOption, NoBoxes, add_commands, changed_flags
from kosmoscope.cli.result_options import check_folder
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Look at pictures", describe)


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
    tagged: Annotated[
        bool,
        typer.Option(
            "--tagged",
            help="Each --prompt is written as for transformers, with its tags: "
            '"<grounding><phrase>It</phrase>".',
        ),
    ] = False,
    no_boxes: NoBoxes = False,
    format: FormatOption = Format.TEXT,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FOLDER",
            help="Write annotated pictures, without --output.",
            rich_help_panel="Annotated pictures",
        ),
    ] = None,
    image_format: ImageFormatOption = ImageFormat.JPG,
    closer: DetailOptions = DetailOptions(),
    folder: FolderOptions = FolderOptions(),
    pictures: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
    generation: GenerationOptions = GenerationOptions(),
) -> None:
    """Describe pictures, with a box for each thing that is named.

    A picture that cannot be read is reported and the rest goes on; the exit status is then 1.
    With --output results go into a folder: results.jsonl, errors.jsonl and run.json. It can be
    stopped at any moment, and the same command goes on from there.

    [bold]Examples[/]

    [cyan]kosmoscope describe photo.jpg[/]
    [cyan]kosmoscope describe --prompt detailed --max-new-tokens 256 photo.jpg[/]
    [cyan]kosmoscope describe --prompt "The two people are" photo.jpg --save annotated[/]
    [cyan]kosmoscope describe --detail 2 street.jpg --save annotated[/]
    [cyan]kosmoscope describe --format json *.jpg > captions.jsonl[/]
    [cyan]kosmoscope describe photos -o out --prompt brief --ground "a dog" --gallery[/]
    [cyan]curl -s https://example.org/photo.jpg | kosmoscope describe -[/]
    """
    check_folder(output, "--output")
    check_folder(save, "--save")
    if output is not None and format is not Format.TEXT:
        raise OptionError("--format goes without --output, which writes JSON lines of its own")
    if output is not None and save is not None:
        raise OptionError("--save goes without --output; there it is --annotate")
    for flag in changed_flags(replace(folder, quiet=False)) if output is None else ():
        raise OptionError(f"{flag} goes with --output FOLDER")
    if tagged and (no_boxes or not prompt):
        raise OptionError("--tagged goes with --prompt, whose tags say whether boxes are wanted")
    detail = closer.detail()
    if detail is not None and no_boxes:
        raise OptionError("--detail is about boxes; it goes without --no-boxes")
    if detail is not None and (ground or ask) and not prompt:
        raise OptionError("--detail goes with descriptions; add --prompt brief for one")
    from kosmoscope.batch import Task

    grounded = not no_boxes
    tasks = [
        Task.describe(text, grounded=grounded, tagged=tagged, detail=detail)
        for text in prompt or ()
    ]
    tasks += [Task.ground(phrase) for phrase in ground or ()]
    tasks += [Task.ask(question, grounded=grounded) for question in ask or ()]
    tasks = tasks or [Task.describe(grounded=grounded, detail=detail)]
    model = model.quietly(folder.quiet)
    if output is not None:
        from kosmoscope.cli.describe_folder import describe_folder

        describe_folder(sources, tasks, output, folder, pictures, model, generation, image_format)
        return
    from kosmoscope.cli.print_descriptions import print_descriptions

    annotator = None
    if save is not None:
        annotator = Annotator(save, image_format, limits=pictures.limits(), quiet=folder.quiet)
    print_descriptions(
        sources, tasks, pictures, model, generation, format, annotator=annotator, several=True
    )
