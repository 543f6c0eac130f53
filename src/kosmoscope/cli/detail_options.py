"""How closely a command looks: --detail and --looks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kosmoscope.cli.options import Flag, declare
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.detail import Detail

_AUTO = "auto"


@dataclass(frozen=True, slots=True)
class DetailOptions:
    """How closely to look for every object."""

    level: str | None = None
    looks: int | None = None

    def detail(self, default: str | None = None) -> Detail | None:
        """Return what was asked for; None for the whole picture alone.

        Args:
            default: the level where none is given.

        Raises:
            OptionError: one of them is out of its range, or --looks goes alone.
        """
        from kosmoscope.detail import Detail

        level = default if self.level is None else self.level
        if level is None:
            if self.looks is not None:
                raise OptionError("--looks goes with --detail")
            return None
        try:
            chosen = Detail.of(level if level == _AUTO else _number(level))
            return chosen if self.looks is None else replace(chosen, looks=self.looks)
        except OptionError as e:
            raise OptionError(f"--{str(e).replace(' or a Detail', '')}") from e


def _number(level: str) -> int | str:
    digits = level.removeprefix("-")
    return int(level) if digits.isascii() and digits.isdigit() and len(digits) < 10 else level


declare(
    DetailOptions,
    "Every object",
    level=Flag(
        "Find every object: look at the picture and at so many overlapping tiles along its longer "
        "side, 1 to 6; auto is by its size.",
        "--detail", metavar="N|auto",
    ),
    looks=Flag("With --detail, look no more than so many times at a picture, 1 to 64."),
)  # fmt: skip
