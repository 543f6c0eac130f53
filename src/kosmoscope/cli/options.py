"""Options that several commands share: each is declared once, and a command takes them as a record.

A parameter whose type is a record that was declared here (`GenerationOptions`, `ModelOptions`)
becomes an option for each field: types and defaults are the record's, words stand beside the
field's name in the call of `declare`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer

from kosmoscope.engine.options import MAX_NEW_TOKENS, GenerationOptions
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.model.quantization import Precision


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


class PrecisionName(StrEnum):
    """`kosmoscope.model.quantization.PRECISIONS`, here without NumPy for a fast --help."""

    FP32 = "fp32"
    INT8 = "int8"
    INT4 = "int4"

    @property
    def kind(self) -> Precision:
        """The same as the type that the lower rooms take."""
        return self.value


NoBoxes = Annotated[
    bool,
    typer.Option(
        "--no-boxes",
        help="Ask for plain text, without phrases and boxes.",
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        "-f",
        metavar="text|json",
        help="Text for people, or one JSON object a line.",
    ),
]


class Flag:
    """A record's field on the command line.

    Args:
        help: one sentence.
        names: as typed; two dashes and the field's name unless given.
        metavar: what the value is; N for whole numbers and X for others unless given.
        inverted: the switch says the contrary of what the field does.
    """

    def __init__(
        self, help: str, *names: str, metavar: str | None = None, inverted: bool = False
    ) -> None:
        self.help, self.names, self.metavar, self.inverted = help, names, metavar, inverted

    def name(self, field: str) -> str:
        """Return the first name that changes the field from its default."""
        return self.names[0].rpartition("/")[2] if self.names else f"--{field.replace('_', '-')}"

    def parameter(self, field: str, kind: Any, default: Any, panel: str) -> inspect.Parameter:
        """Return the parameter of a command that Typer makes an option of."""
        number = {int: "N", float: "X"}.get(next(iter(get_args(kind)), kind))
        option = typer.Option(
            *(self.names or (self.name(field),)),
            metavar=self.metavar or number,
            help=self.help,
            rich_help_panel=panel,
        )
        return inspect.Parameter(
            field,
            inspect.Parameter.KEYWORD_ONLY,
            default=(not default) if self.inverted else default,
            annotation=Annotated[kind, option],
        )


class Only:
    """In a parameter's annotation: the fields that this command offers, instead of all."""

    def __init__(self, *fields: str) -> None:
        self.fields = fields


DECLARED: dict[type[Any], tuple[str, dict[str, Flag]]] = {}
"""Records that commands can take: the help page's panel, and the flags by the fields' names."""


def declare(record: type[Any], panel: str, **flags: Flag) -> None:
    """Make a dataclass one that commands can take.

    Args:
        record: every field has a default.
        panel: of the help page.
        flags: by the names of the fields that people can set, in the help page's order.
    """
    DECLARED[record] = panel, flags


def changed_flags(record: Any) -> list[str]:
    """Return the options, as typed, that a declared record was given."""
    _, flags = DECLARED[type(record)]
    defaults = {f.name: f.default for f in fields(record)}
    return [f.name(n) for n, f in flags.items() if getattr(record, n) != defaults[n]]


def _gathered(default: Any, flags: dict[str, Flag], values: dict[str, Any]) -> Any:
    """Return a record with its options, which are taken out of a call's values.

    Raises:
        OptionError: one is out of its range; the message calls it as it is typed.
    """
    given = {name: values.pop(name) for name in flags}
    given |= {name: not given[name] for name, flag in flags.items() if flag.inverted}
    try:
        return replace(default, **given)
    except OptionError as e:
        names = re.compile(rf"\b({'|'.join(flags)})\b")
        raise OptionError(names.sub(lambda m: flags[m[0]].name(m[0]), str(e))) from e


def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with an option for each field of the records that it takes."""
    parameters: list[inspect.Parameter] = []
    records: dict[str, tuple[Any, dict[str, Flag]]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind, *notes = (
            get_args(parameter.annotation)
            if get_origin(parameter.annotation) is Annotated
            else (parameter.annotation,)
        )
        if kind not in DECLARED:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        panel, flags = DECLARED[kind]
        chosen = next((note.fields for note in notes if isinstance(note, Only)), tuple(flags))
        default, types = parameter.default, get_type_hints(kind)
        records[parameter.name] = default, {name: flags[name] for name in chosen}
        parameters += [
            flags[name].parameter(name, types[name], getattr(default, name), panel)
            for name in chosen
        ]

    def call(**values: Any) -> Any:
        for name, (default, flags) in records.items():
            values[name] = _gathered(default, flags, values)
        return command(**values)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def add_commands(app: typer.Typer, panel: str, *commands: Callable[..., Any]) -> None:
    """Add commands under a heading of `kosmoscope --help`."""
    for command in commands:
        app.command(rich_help_panel=panel, help=help_text(command))(with_options(command))


def help_text(command: Callable[..., Any]) -> str:
    """Return a command's docstring with each paragraph in one line, to be wrapped by the terminal.

    Examples, which are the lines in colour, stay lines.
    """
    paragraphs = inspect.getdoc(command) or ""
    return "\n\n".join(
        text if "[cyan]" in text else " ".join(text.split()) for text in paragraphs.split("\n\n")
    )


declare(
    GenerationOptions,
    "Generation",
    max_new_tokens=Flag(
        f"Stop after so many tokens, 1 to {MAX_NEW_TOKENS}; a box costs four.",
        "--max-new-tokens", "-n",
    ),
    num_beams=Flag("Search with so many beams; 1 takes the likeliest token each time."),
    temperature=Flag("Above 0 tokens are drawn at random, the more freely the higher."),
    top_p=Flag(
        "Draw only from the likeliest tokens that add up to this probability; needs a temperature."
    ),
    seed=Flag("Makes drawing repeatable: the same seed draws the same tokens."),
    no_repeat_ngram_size=Flag(
        "Let no run of so many words occur twice (with --unconstrained, of tags and boxes too); "
        "0 is off. What the model's files say unless given: kosmos-2's 3.",
        "--no-repeat-ngram",
    ),
    another=Flag(
        "After a box, go on to another one of its phrase from this probability on that there is "
        "one, 0 to 1; 0.5 is what the model finds likelier."
    ),
    max_boxes=Flag("No more boxes of one phrase than so many; 0 is off."),
    constrained=Flag(
        "Let the model write malformed tags and boxes too, as transformers does.",
        "--unconstrained", inverted=True,
    ),
)  # fmt: skip
