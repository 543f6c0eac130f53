"""verify: whether the released model says here what was published of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.exit_codes import FAILED
from kosmoscope.cli.info import facts
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import Format, FormatOption, Only, PrecisionName, add_commands
from kosmoscope.cli.progress import Steps
from kosmoscope.cli.render import columns
from kosmoscope.errors import ModelError
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from kosmoscope.verification.report import Check, Verification

_VERSIONS = ("onnxruntime", "numpy", "pillow", "tokenizers")
_RESULTS = {True: "ok", False: "FAILED", None: "-"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Inspect", verify)


def verify(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="kosmos-2, as it was pulled, or another copy of it in the hub's format.",
        ),
    ] = "kosmos-2",
    image: Annotated[
        Path | None,
        typer.Option(
            "--image",
            metavar="FILE",
            help="The picture that the results are of; the hub's own snowman.png unless given.",
        ),
    ] = None,
    goldens: Annotated[
        Path | None,
        typer.Option(
            "--goldens",
            metavar="FILE",
            help="Results of another checkpoint to compare with (docs/models.md).",
        ),
    ] = None,
    precision: Annotated[
        PrecisionName,
        typer.Option(
            "--precision",
            "-p",
            metavar="int8|int4|fp32",
            help="What to compare beside fp32; fp32 for that alone.",
            rich_help_panel="Model",
        ),
    ] = PrecisionName.INT8,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep the fp32 form, 7.2 GB, in the cache of conversions.",
            rich_help_panel="Model",
        ),
    ] = False,
    format: FormatOption = Format.TEXT,
    model: Annotated[ModelOptions, Only("threads")] = ModelOptions(),
) -> None:
    """Compare the released Kosmos-2 with the results that transformers' tests publish of it.

    The tokenizer's ids, then at fp32 the text, scores and boxes of two prompts about the hub's
    snowman.png, then how far int8 is from that. The fp32 form takes 7.2 GB of disk meanwhile. The
    exit status is 0 if all is as published, 1 if not. Nobody of this project has the weights:
    please send us the block that this prints.

    [bold]Example[/]

    [cyan]kosmoscope verify kosmos-2[/]
    """
    model.check()
    from kosmoscope.verification.goldens import Goldens
    from kosmoscope.verification.picture import find_picture, read_published
    from kosmoscope.verification.run import find_checkpoint
    from kosmoscope.verification.run import verify as run_verify

    published = Goldens.published() if goldens is None else Goldens.from_file(goldens)
    found = find_checkpoint(name)
    if image is None:
        try:
            image = find_picture(name, found, published.picture)
        except ModelError as e:
            raise type(e)(f"{e}; --image FILE gives the picture by hand") from e
    picture = read_published(image)
    verifying = f"comparing {found.name} with published results"
    with Steps(verifying, verifying) as steps:
        report = run_verify(
            found,
            picture,
            published,
            precision=precision.kind,
            keep=keep,
            threads=model.threads,
            progress=steps,
        )
    about = facts()
    if format is Format.JSON:
        about = {key: about[key] for key in about if key not in ("default_model", "caches")}
        terminal.emit(terminal.json_line({**report.to_dict(), "environment": about}))
    else:
        block = "\n".join(_issue(report, about))
        line = one_line(report.verdict)
        terminal.emit_rich(_table(report), "", line, "", "For an issue:", "", block)
    if not report.passed:
        raise typer.Exit(FAILED)


def _table(report: Verification) -> Table:
    from rich.text import Text

    table = columns("check", "weights", "result", "found")
    for row in map(_cells, report.checks):
        table.add_row(*map(Text, row))
    return table


def _cells(check: Check) -> tuple[str, str, str, str]:
    what, detail = one_line(check.what), one_line(check.detail)
    return what, check.precision or "-", _RESULTS[check.passed], detail


def _issue(report: Verification, about: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a block in Markdown."""
    packages = ", ".join(f"{name} {about['packages'][name]}" for name in _VERSIONS)
    yield f"**kosmoscope verify: {one_line(report.verdict)}**"
    yield ""
    yield f"- kosmoscope {about['kosmoscope']}, Python {about['python']}, {packages}"
    yield f"- {about['processor']}, {about['threads']} threads, {about['platform']}"
    yield f"- published: {one_line(report.published)}"
    for name, digest in report.hashes.items():
        yield f"- {name}: `{digest}`"
    yield ""
    yield "| check | weights | result | found |"
    yield "|---|---|---|---|"
    for row in map(_cells, report.checks):
        yield "| " + " | ".join(_markdown(cell) for cell in row) + " |"


def _markdown(text: str) -> str:
    r"""Return text for a cell: tags are markup in Markdown, as bars and backslashes are.

    >>> _markdown("<s> | a")
    '\\<s> \\| a'
    """
    return "".join(f"\\{c}" if c in "\\|<`*_" else c for c in text)
