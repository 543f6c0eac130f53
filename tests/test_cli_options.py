"""Options that are declared once, as fields of records, and expanded for each command."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from cli_runner import one_error, run
from kosmoscope.cli.app import app
from kosmoscope.cli.folder_options import FolderOptions
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import (
    DECLARED,
    Flag,
    Only,
    PrecisionName,
    add_commands,
    changed_flags,
    declare,
)
from kosmoscope.engine.options import GenerationKeywords, GenerationOptions
from kosmoscope.errors import OptionError

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def test_the_keywords_of_the_facade_are_the_fields() -> None:
    types = get_type_hints(GenerationOptions)
    assert get_type_hints(GenerationKeywords) == {
        f.name: types[f.name] for f in fields(GenerationOptions)
    }


@pytest.mark.parametrize("record", [GenerationOptions, ModelOptions, FolderOptions])
def test_what_is_declared_are_fields_with_defaults(record: type[Any]) -> None:
    _, flags = DECLARED[record]
    assert set(flags) <= {f.name for f in fields(record)}
    record()  # every field has a default


@pytest.mark.parametrize("name", ["describe", "ground", "refer", "ask"])
def test_commands_offer_every_option_with_the_records_default(name: str) -> None:
    options = {option: p for p in COMMANDS[name].params for option in p.opts}
    for record in (GenerationOptions(), ModelOptions()):
        for field, flag in DECLARED[type(record)][1].items():
            default = getattr(record, field)
            assert options[flag.name(field)].default == (not default if flag.inverted else default)
    assert {"--no-repeat-ngram", "--unconstrained", "-n", "-m", "-p", "-t"} <= options.keys()


def test_a_command_may_offer_some_with_defaults_of_its_own() -> None:
    options = {option: p for p in COMMANDS["parity"].params for option in p.opts}
    assert options["--max-new-tokens"].default == 64
    assert "--num-beams" not in options
    assert {"--model", "--threads"} <= options.keys()
    assert not {"--num-beams", "--temperature"} & {
        option for p in COMMANDS["segment"].params for option in p.opts
    }


@dataclass(frozen=True)
class Shape:
    size: int = 3
    ratio: float = 0.5
    kind: PrecisionName | None = None
    strict: bool = True
    old: bool = True

    def __post_init__(self) -> None:
        if self.size < 0:
            raise OptionError("size is wrong with this ratio; expected a larger size")


declare(
    Shape,
    "Shapes",
    size=Flag("How large.", "--large", "-l"),
    ratio=Flag("How wide."),
    kind=Flag("Which.", metavar="fp32|int8"),
    strict=Flag("Be lenient.", "--lenient", inverted=True),
    old=Flag("Keep or not.", "--old/--new"),
)


def shapes(**values: Any) -> tuple[Any, list[Any]]:
    """Return an app whose commands take shapes, and the list of what they got."""
    got: list[Any] = []

    def every(word: str = "", shape: Shape = Shape(ratio=0.25)) -> None:
        """Take every option."""
        got.append((word, shape))

    def some(shape: Annotated[Shape, Only("size")] = Shape(9, strict=False)) -> None:
        """Take one option."""
        got.append(shape)

    made = typer.Typer()
    for command in (every, some):
        command.__annotations__ = get_type_hints(command, globals(), include_extras=True)
    add_commands(made, "Commands", every, some)
    return made, got


def test_a_record_becomes_options_and_comes_back() -> None:
    made, got = shapes()

    def call(*args: str) -> Any:
        result = CliRunner().invoke(made, [*args], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return got.pop()

    assert call("every") == ("", Shape(ratio=0.25))
    assert call("every", "--word", "x", "-l", "4", "--ratio", "2", "--lenient", "--new") == (
        "x", Shape(4, 2.0, None, strict=False, old=False))  # fmt: skip
    assert call("every", "--kind", "int8")[1].kind is PrecisionName.INT8
    assert call("some") == Shape(9, strict=False)
    assert call("some", "--large", "1") == Shape(1, strict=False)


def test_its_errors_call_options_as_they_are_typed() -> None:
    made, _ = shapes()
    with pytest.raises(OptionError, match="--large is wrong with this --ratio; expected a larger"):
        CliRunner().invoke(made, ["every", "-l", "-1"], catch_exceptions=False)
    with pytest.raises(OptionError, match="--large is wrong with this ratio"):
        CliRunner().invoke(made, ["some", "-l", "-1"], catch_exceptions=False)


def test_changed_options_are_told_as_they_are_typed() -> None:
    assert changed_flags(Shape()) == []
    assert changed_flags(Shape(size=4, strict=False, old=False)) == [
        "--large",
        "--lenient",
        "--new",
    ]
    assert changed_flags(FolderOptions(skip_existing=False)) == ["--recheck"]
    error = one_error(run("describe", "x.jpg", "--recheck"), 2)
    assert error == "--recheck goes with --output FOLDER"
