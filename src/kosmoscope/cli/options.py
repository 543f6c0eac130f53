"""The options that several commands share, with one sentence each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosmoscope.engine.options import MAX_NEW_TOKENS, GenerationOptions
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.model.quantization import Precision

_MODEL = "Model"
_GENERATION = "Generation"

DEFAULTS = GenerationOptions()


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


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|FOLDER",
        help="A model's name (kosmos-2, pocket, org/name) or folder; without this option "
        "kosmos-2 if it was pulled, otherwise pocket.",
        rich_help_panel=_MODEL,
    ),
]
PrecisionOption = Annotated[
    PrecisionName | None,
    typer.Option(
        "--precision",
        "-p",
        metavar="fp32|int8|int4",
        help="How the weights are kept: int8 unless the folder is converted already; fp32 is "
        "exact, int4 is the smallest.",
        rich_help_panel=_MODEL,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        "-t",
        metavar="N",
        help="Threads for arithmetic; one for each processor unless given.",
        rich_help_panel=_MODEL,
    ),
]
MaxNewTokens = Annotated[
    int,
    typer.Option(
        "--max-new-tokens",
        "-n",
        metavar="N",
        help=f"Stop after so many tokens, 1 to {MAX_NEW_TOKENS}; a box costs four.",
        rich_help_panel=_GENERATION,
    ),
]
NumBeams = Annotated[
    int,
    typer.Option(
        "--num-beams",
        metavar="N",
        help="Search with so many beams; 1 takes the likeliest token each time.",
        rich_help_panel=_GENERATION,
    ),
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="X",
        help="Above 0 tokens are drawn at random, the more freely the higher.",
        rich_help_panel=_GENERATION,
    ),
]
TopP = Annotated[
    float,
    typer.Option(
        "--top-p",
        metavar="X",
        help="Draw only from the likeliest tokens that add up to this probability; needs a "
        "temperature.",
        rich_help_panel=_GENERATION,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        help="Makes drawing repeatable: the same seed draws the same tokens.",
        rich_help_panel=_GENERATION,
    ),
]
NoRepeatNgram = Annotated[
    int,
    typer.Option(
        "--no-repeat-ngram",
        metavar="N",
        help="Let no run of so many tokens occur twice; 0 is off.",
        rich_help_panel=_GENERATION,
    ),
]
Unconstrained = Annotated[
    bool,
    typer.Option(
        "--unconstrained",
        help="Let the model write malformed tags and boxes too, as transformers does.",
        rich_help_panel=_GENERATION,
    ),
]
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

_FLAGS = {"no_repeat_ngram_size": "--no-repeat-ngram"}


def help_text(command: Callable[..., Any]) -> str:
    """Return a command's docstring with each paragraph in one line, to be wrapped by the terminal.

    Examples, which are the lines in colour, stay lines.
    """
    paragraphs = inspect.getdoc(command) or ""
    return "\n\n".join(
        text if "[cyan]" in text else " ".join(text.split()) for text in paragraphs.split("\n\n")
    )


def generation(
    max_new_tokens: int,
    num_beams: int = DEFAULTS.num_beams,
    temperature: float = DEFAULTS.temperature,
    top_p: float = DEFAULTS.top_p,
    seed: int = DEFAULTS.seed,
    no_repeat_ngram: int = DEFAULTS.no_repeat_ngram_size,
    unconstrained: bool = not DEFAULTS.constrained,
) -> GenerationOptions:
    """Gather the options of a generation.

    Raises:
        OptionError: one is out of its range; the message calls it as the command line does.
    """
    values: dict[str, int | float | bool] = {
        "max_new_tokens": max_new_tokens,
        "num_beams": num_beams,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "no_repeat_ngram_size": no_repeat_ngram,
    }
    try:
        return GenerationOptions.of(**values, constrained=not unconstrained)
    except OptionError as e:
        message = str(e)
        for name in values:
            message = message.replace(name, _FLAGS.get(name, f"--{name.replace('_', '-')}"))
        raise OptionError(message) from e
