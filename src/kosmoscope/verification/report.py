"""What was compared, and the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kosmoscope.parity import Drift


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    what: str
    precision: str
    """Of the weights; empty where none are needed."""
    passed: bool | None
    """None: told, and no part of the verdict."""
    detail: str
    """What was found, in one line, and where it is not what was published, both."""
    value: float | None = None
    """The number behind it, if it is one."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The table that `kosmoscope verify` prints."""

    model: str
    published: str
    """Where the published results are from."""
    precision: str
    """What was compared beside fp32."""
    hashes: dict[str, str]
    """SHA-256 of files, the pixels of the picture, and the revision of a model from the hub."""
    checks: tuple[Check, ...]
    drift: Drift | None = None
    """Of `precision` from fp32 along the published texts; None where that was not asked."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def passed(self) -> bool:
        """Whether all is as published."""
        return not self.failed

    @property
    def verdict(self) -> str:
        """One line."""
        if self.passed:
            other = "" if self.precision == "fp32" else f", and {self.precision} stays close to it"
            return f"pass: {self.model} says at fp32 what was published{other}"
        named = [" ".join((c.precision, c.what)).strip() for c in self.failed]
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        compared = sum(check.passed is not None for check in self.checks)
        return f"fail: {len(named)} of {compared} checks: {', '.join(named[:3])}{more}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return {**asdict(self), "passed": self.passed, "verdict": self.verdict}
