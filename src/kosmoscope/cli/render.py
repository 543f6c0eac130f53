"""Results as text for people: the caption with its phrases numbered, and a table of boxes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from kosmoscope.results import Description
    from kosmoscope.types import XYXY, Entity, ImageInfo

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")


def described(result: Description) -> list[RenderableType]:
    """Return a heading, the caption, the table of boxes (if any) and how it went."""
    parts: list[RenderableType] = [_heading(result.image), caption(result)]
    if result.entities:
        parts += ["", boxes(result.entities), ""]
    return [*parts, *_closing([result])]


def grounded(results: Sequence[Description]) -> list[RenderableType]:
    """Return one table for phrases of one picture that were looked for."""
    found = [entity for result in results for entity in result.entities]
    return [_heading(results[0].image), boxes(found, surest_first=False), "", *_closing(results)]


def caption(result: Description) -> Text:
    """Return the caption; phrases are coloured and followed by their number in the table."""
    from rich.text import Text

    text, at = Text(), 0
    for number, entity in sorted(enumerate(result.entities, 1), key=lambda e: e[1].span):
        start, stop = entity.span
        if start < at or (start == stop and entity.phrase):
            continue
        text.append(one_line(result.caption[at:start]))
        text.append(one_line(result.caption[start:stop]), f"bold {_colour(number)}")
        text.append(f"[{number}]", _colour(number))
        at = stop
    return text.append(one_line(result.caption[at:]))


def boxes(entities: Sequence[Entity], *, surest_first: bool = True) -> Table:
    """Return a table with a row for each box.

    Boxes are written as `--box` reads them. There is one number that says how sure each is: how
    often such boxes are right, in per cent, or for a model that nobody has measured its score.
    """
    from rich.text import Text

    rows: list[tuple[float, list[Text]]] = []
    measured = any(box.confidence is not None for entity in entities for box in entity.boxes)
    for number, entity in enumerate(entities, 1):
        phrase = one_line(entity.phrase) or "(no phrase)"
        if not entity.complete:
            phrase += " (cut off)"
        lead = [Text(str(number), _colour(number)), Text(phrase, f"bold {_colour(number)}")]
        if not entity.boxes:
            rows.append((-1.0, [*lead, Text(), Text("no box", "dim"), Text()]))
        for box in entity.boxes:
            sure = box.shown_score
            rows.append(
                (
                    -0.5 if sure is None else sure,
                    [*lead, _sure(sure, measured), Text(_corners(box.xyxy, 3)),
                     Text(_corners(box.xyxy_px, 0))],
                )
            )  # fmt: skip
    # Numbers are best kept in one piece, but on a narrow terminal better broken than cut off.
    whole = (0, 2, 3, 4) if shutil.get_terminal_size().columns >= 80 else ()
    names = ("#", "phrase", "right" if measured else "score", "box", "pixels")
    table = columns(*names, right=(0, 2), whole=whole)
    if surest_first:
        rows.sort(key=lambda row: -row[0])
    for _, row in rows:
        table.add_row(*row)
    return table


def _sure(score: float | None, measured: bool) -> Text:
    from rich.text import Text

    if score is None:
        return Text("-")
    colour = "green" if score >= 0.8 else "yellow" if score >= 0.5 else "red"
    return Text(f"{100 * score:.0f} %" if measured else f"{score:.2f}", colour)


def columns(*names: str, right: Sequence[int] = (), whole: Sequence[int] = ()) -> Table:
    """Return an empty table without lines, whose cells are wrapped and never cut.

    Args:
        names: of the columns.
        right: the columns that are set flush right.
        whole: the columns that are never wrapped.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i, name in enumerate(names):
        table.add_column(
            name,
            justify="right" if i in right else "left",
            overflow="fold",
            no_wrap=i in whole,
        )
    return table


def size_text(size: int) -> str:
    """Return a number of bytes for people, in powers of 1000: 6.7 GB."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def _heading(image: ImageInfo) -> Text:
    from rich.text import Text

    size = f"  {image.width}x{image.height}"
    frames = f", first of {image.frames}" if image.frames > 1 else ""
    return Text.assemble((one_line(image.path), "bold"), (size + frames, "dim"))


def _closing(results: Sequence[Description]) -> list[RenderableType]:
    """Return what is worth a remark, and which model took how long."""
    from rich.text import Text

    remarks = [one_line(warning) for result in results for warning in result.warnings]
    if any(result.finish_reason == "length" for result in results):
        remarks.append("cut off; --max-new-tokens allows more")
    last = results[-1]
    # In a batch the picture is looked at once, and each result counts the same shared passes.
    spent = max(result.timing.total for result in results)
    tokens = sum(len(result.token_ids) for result in results)
    how = f"{last.model} {last.precision}, {tokens} tokens, {spent:.2f} s"
    return [*(Text(f"! {remark}", "yellow") for remark in remarks), Text(one_line(how), "dim")]


def _corners(xyxy: XYXY, digits: int) -> str:
    return ",".join(f"{v:.{digits}f}" for v in xyxy)


def _colour(number: int) -> str:
    return _COLOURS[(number - 1) % len(_COLOURS)]
