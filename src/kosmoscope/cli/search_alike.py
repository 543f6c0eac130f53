"""Pictures like a picture, and copies: what index and search do with vectors and hashes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.cli import terminal
from kosmoscope.cli.boxes import Units, typed_box
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import Format
from kosmoscope.cli.progress import Steps
from kosmoscope.errors import OptionError
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kosmoscope.search import Alike, Embedder, Index


def embedder_of(model: ModelOptions, name: str | None = None) -> Embedder:
    """Load the model that makes vectors: the one that was named, else `name`, else the default."""
    model.check()
    from kosmoscope.search import load_embedder

    chosen = model.name or name or model.chosen_name()
    with Steps(f"loading {chosen}", f"converting {chosen}", quiet=model.quiet) as steps:
        return load_embedder(
            chosen, precision=model.precision, threads=model.threads, progress=steps
        )


def indexed_embedder(index: Index, model: ModelOptions) -> Embedder:
    """Load the model that an index has vectors of, the latest of several, unless one is named."""
    there = list(index.embedders.values())
    return embedder_of(model, there[-1] if there else None)


def make_vectors(
    out: Path, model: ModelOptions, images: Path | None, engine: str | None = None
) -> None:
    """Give the pictures of an index vectors, and say how it went."""
    from kosmoscope.search import update_vectors

    embedder = embedder_of(model)
    with Steps("looking", "looking at pictures", quiet=model.quiet) as steps:
        made = update_vectors(
            out, embedder, engine=engine, images=images,
            progress=lambda done, total: steps(f"{done} of {total} pictures"),
        )  # fmt: skip
    if model.quiet:
        return
    new = f", {made.added} new" if made.added else ""
    terminal.note(
        f"{made.pictures} pictures with a vector of {embedder.name}{new}; {made.seconds:.1f} s"
    )
    if made.unreadable:
        where = "another folder for --images" if images else "--images FOLDER"
        terminal.note(
            f"{made.unreadable} pictures could not be read and have none; say with {where} where "
            "they are"
        )


def tell_alike(
    opened: Index, photo: str, box: str | None, model: ModelOptions, limit: int, format: Format
) -> None:
    """Print the pictures that are like one."""
    typed = None if box is None else typed_box(box, Units(pixels=False)).xyxy
    embedder = indexed_embedder(opened, model)
    found = opened.like(embedder, embedder.picture(photo, typed), limit=limit)
    if format is Format.JSON:
        alike = [one.to_dict() for one in found]
        terminal.emit(terminal.json_line({"model": embedder.name, "alike": alike}))
    else:
        terminal.emit_rich(*alike_table(found))


def alike_table(found: Sequence[Alike]) -> Iterable[RenderableType]:
    """Return a table with a row for each picture."""
    from rich.text import Text

    from kosmoscope.cli.render import columns

    table = columns("#", "alike", "picture", "caption", right=(0, 1))
    for number, one in enumerate(found, 1):
        table.add_row(
            str(number), f"{one.likeness:.2f}", Text(one_line(one.source)),
            Text(one_line(one.caption)),
        )  # fmt: skip
    yield table


def tell_copies(opened: Index, format: Format) -> None:
    """Print groups of pictures that look the same."""
    from rich.text import Text

    groups = opened.copies()
    if format is Format.JSON:
        terminal.emit(terminal.json_line({"copies": [list(group) for group in groups]}))
        return
    count = sum(len(group) - 1 for group in groups)
    said = f"{len(groups)} pictures have copies, {count} altogether" if groups else "no copies"
    listed = (Text("\n".join(["", *map(one_line, group)])) for group in groups)
    terminal.emit_rich(Text(said, "bold"), *listed)


def check_engine(engine: str | None, vectors: bool) -> None:
    """Raise `OptionError` for an engine that there is not, or without --vectors."""
    if engine is None:
        return
    if not vectors:
        raise OptionError("--engine goes with --vectors")
    from kosmoscope.search.index.keeping import Keeping

    Keeping.of(engine)


def check_one_way(question: Sequence[str], like: str | None, duplicates: bool) -> None:
    """Raise `OptionError` unless there is a question, or --like, or --duplicates, and one alone."""
    ways = bool(question) + (like is not None) + duplicates
    if ways > 1:
        raise OptionError("a question, --like and --duplicates go one at a time")
    if not ways:
        raise OptionError('expected a question, such as "two dogs", or --like, or --duplicates')
