"""index and search: a folder of results, asked in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.annotated import Annotator, ImageFormat, ImageFormatOption
from kosmoscope.cli.exit_codes import FAILED
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import Format, FormatOption, add_commands
from kosmoscope.cli.result_options import ImagesOption, check_folder, check_images, tell_problems
from kosmoscope.cli.search_alike import (
    alike_table,
    check_engine,
    check_one_way,
    indexed_embedder,
    make_vectors,
    tell_alike,
    tell_copies,
)
from kosmoscope.errors import ImageError, InputError, OptionError
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kosmoscope.search import Answer, Hit, Index, Sight

_SHOWN = 3

OutArgument = Annotated[
    Path, typer.Argument(metavar="OUT", help="A folder of `describe -o`.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(app, "Search", index, search)


def index(
    out: OutArgument,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Forget the index that is there, also a damaged one.")
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Read the pictures too, for the colours of things, and when and where they were "
            "taken; an index that was made so once goes on so.",
        ),
    ] = False,
    vectors: Annotated[
        bool,
        typer.Option(
            "--vectors",
            help="Look at the pictures with a model, so that `search --like` finds them; what has "
            "a vector of it already is passed over.",
        ),
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="ENGINE",
            help="Who keeps the vectors: sqlite, the index itself; lancedb, or lancedb:PLACE, "
            "for a million of them. Vectors that are elsewhere are moved.",
            show_default="where they are",
        ),
    ] = None,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out pictures whose files are gone.")
    ] = False,
    images: ImagesOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Report errors only.")] = False,
    model: ModelOptions = ModelOptions(),
) -> None:
    """Make the index of a folder of results, for `search`; or bring it up to date.

    It can be stopped at any moment, and the same command goes on from there. Searching goes on
    meanwhile. A model is only used for --vectors.

    [bold]Examples[/]

    [cyan]kosmoscope index out --pictures[/]
    [cyan]kosmoscope index out --vectors --model pocket[/]
    [cyan]kosmoscope index out --vectors --model pocket --engine lancedb[/]
    """
    check_images(images)
    check_engine(engine, vectors)
    make_index(
        out,
        rebuild=rebuild,
        pictures=pictures,
        drop_missing=drop_missing,
        images=images,
        quiet=quiet,
    )
    if vectors:
        make_vectors(out, model.quietly(quiet), images, engine)


def make_index(
    out: Path,
    *,
    rebuild: bool = False,
    pictures: bool = False,
    drop_missing: bool = False,
    images: Path | None = None,
    quiet: bool = False,
) -> None:
    """Bring a folder's index up to date, and say how it went."""
    from kosmoscope.cli.progress import Steps
    from kosmoscope.cli.render import size_text
    from kosmoscope.search import update_index

    with Steps("indexing", "indexing", quiet=quiet) as steps:

        def progress(done: int, total: int) -> None:
            steps(f"{size_text(done)} of {size_text(total)}")

        made = update_index(
            out,
            rebuild=rebuild,
            pictures=pictures,
            drop_missing=drop_missing,
            images=images,
            progress=progress,
        )
    if quiet:
        return
    parts = [f"{made.pictures} pictures in the index"]
    for number, what in ((made.added, "new"), (made.changed, "changed"), (made.dropped, "dropped")):
        parts += [f"{number} {what}"] if number else []
    terminal.note(f"{', '.join(parts)}; {made.seconds:.1f} s")
    if made.unreadable:
        where = "another folder for --images" if images else "--images FOLDER"
        terminal.note(
            f"{made.unreadable} pictures could not be read: their colours and days are not known; "
            f"say with {where} where they are"
        )


def search(
    out: OutArgument,
    question: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUESTION", help='What to find, such as "two dogs left of a car".'),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="PHOTO",
            help="Find pictures that show what this one does; needs `index --vectors`.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            "--box", metavar="X1,Y1,X2,Y2", help="Of --like this part alone, in fractions."
        ),
    ] = None,
    duplicates: Annotated[
        bool,
        typer.Option(
            "--duplicates",
            help="Find pictures that look the same at any size or quality; needs `index "
            "--pictures`.",
        ),
    ] = False,
    vectors: Annotated[
        bool,
        typer.Option(
            "--vectors",
            help="Ask the vectors of a CLIP or SigLIP model too, by the question's words.",
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="Show so many pictures at most.")
    ] = 20,
    cut_off: Annotated[
        float,
        typer.Option(
            "--cut-off",
            metavar="X",
            help="From which probability on a picture is an answer, 0 to 1.",
        ),
    ] = 0.5,
    format: FormatOption = Format.TEXT,
    draw: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            metavar="FOLDER",
            help="Write the pictures with the evidence drawn on them, and nothing else.",
        ),
    ] = None,
    image_format: ImageFormatOption = ImageFormat.JPG,
    images: ImagesOption = None,
    model: ModelOptions = ModelOptions(),
) -> None:
    """Ask a folder of results a question in words; needs an index, which `index` makes.

    Counts, colours, sizes, places, left and right, "no", "or", dates, folders and scores are read
    (docs/search.md). Each picture comes with the probability that it is an answer, and with what
    speaks for it. Where nothing is likely enough the answer is that, with what came nearest.

    A model is only used for --like and --vectors: the one that made the index' vectors.

    [bold]Examples[/]

    [cyan]kosmoscope search out "two dogs left of a car"[/]
    [cyan]kosmoscope search out "a red boat, no people" --draw found[/]
    [cyan]kosmoscope search out "at least 3 people in 2024" --format json[/]
    [cyan]kosmoscope search out --like photo.jpg --box 0.2,0.1,0.6,0.9[/]
    """
    check_folder(draw, "--draw")
    check_images(images)
    if limit < 1:
        raise OptionError(f"--limit is {limit}; expected 1 or more")
    if not 0 <= cut_off <= 1:
        raise OptionError(f"--cut-off is {cut_off:g}; expected 0 to 1")
    check_one_way(question or [], like, duplicates)
    if box is not None and like is None:
        raise OptionError("--box goes with --like")
    text = " ".join(question or [])
    if question and not text.strip():
        raise InputError("the question is empty; expected words, such as 'two dogs'")
    from kosmoscope.search import Index

    problems: list[ImageError] = []
    with Index.open(out) as opened:
        if like is not None:
            tell_alike(opened, like, box, model, limit, format)
            return
        if duplicates:
            tell_copies(opened, format)
            return
        embedder = indexed_embedder(opened, model) if vectors else None
        answer = opened.search(text, limit=limit, cut_off=cut_off, embedder=embedder)
        if draw is not None:
            problems = _draw(opened, answer.hits, Annotator(draw, image_format), images)
    if format is Format.JSON:
        terminal.emit(terminal.json_line(answer.to_dict()))
    else:
        for note in answer.notes:
            terminal.note(note)
        terminal.emit_rich(*_answered(answer))
        if answer.alike:
            terminal.emit_rich("Nearest by vectors, right or not:", *alike_table(answer.alike))
    if problems:
        tell_problems(problems, images)
        raise typer.Exit(FAILED)


def _draw(
    opened: Index, hits: Sequence[Hit], annotator: Annotator, images: Path | None
) -> list[ImageError]:
    problems = []
    for hit in hits:
        try:
            annotator.write(opened.shown(hit, images))
        except ImageError as e:
            problems.append(e)
    return problems


def _answered(answer: Answer) -> list[RenderableType]:
    """Return how the question was read, and a table with a row for each picture."""
    from rich.text import Text

    from kosmoscope.cli.render import columns

    of = f"{answer.total} of {answer.pictures} pictures" if answer.total else "nothing"
    parts: list[RenderableType] = [
        Text.assemble((one_line(answer.read_as or "everything"), "bold"), f": {of}")
    ]
    hits = answer.hits or answer.nearest
    if not hits:
        return parts
    if not answer.total:
        parts.append(Text("What came nearest:", "dim"))
    table = columns("#", "sure", "picture", "evidence", right=(0, 1))
    for number, hit in enumerate(hits, 1):
        table.add_row(
            str(number),
            f"{100 * hit.probability:.0f} %",
            Text(one_line(hit.source)),
            Text(one_line(_evidence(hit.evidence) or hit.caption)),
        )
    return [*parts, table]


def _evidence(sights: Sequence[Sight]) -> str:
    """Return the first sights in words: "a dog (93 %) left of two cars"."""
    from kosmoscope.questions.language.wording import RELATION_WORDS

    words = []
    for sight in sights[:_SHOWN]:
        related = ""
        if sight.relation:
            how = RELATION_WORDS.get(sight.relation, sight.relation)
            related = f" {how} {sight.other_phrase}"
        words.append(f"{sight.phrase} ({100 * sight.probability:.0f} %){related}")
    if len(sights) > _SHOWN:
        words.append(f"and {len(sights) - _SHOWN} more")
    return "; ".join(words)
