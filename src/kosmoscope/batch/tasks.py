"""What is asked about every picture of a batch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kosmoscope.batch.pipeline import PictureTask
from kosmoscope.detail import Detail
from kosmoscope.errors import OptionError, PromptError
from kosmoscope.prompts import Prompt, ask_prompt, describe_prompt, ground_prompt
from kosmoscope.scope import Scope

TaskKind = Literal["describe", "ground", "ask"]
_NAMED = ("brief", "detailed")


@dataclass(frozen=True, slots=True)
class Task:
    """One question to every picture. Build it with `describe`, `ground` or `ask`."""

    kind: TaskKind
    text: str
    """"brief", "detailed" or how the text should begin; the phrase; the question."""
    grounded: bool = True
    """Ask for boxes. A phrase is always asked for with boxes."""
    tagged: bool = False
    """The text has tags, as for transformers, which say whether boxes are wanted."""
    detail: Detail | None = None
    """Look for every object as well; only of a description with boxes."""

    def __post_init__(self) -> None:
        if self.kind not in ("describe", "ground", "ask"):
            raise OptionError(f"task {self.kind!r}: expected describe, ground or ask")
        if not isinstance(self.text, str) or not self.text.strip():
            raise PromptError(f"a task to {self.kind} needs a text; got {self.text!r}")
        if self.kind == "ground" and not self.grounded:
            raise OptionError("grounding a phrase without boxes asks for nothing")
        if self.tagged and (self.kind != "describe" or not self.grounded):
            raise OptionError("only a description can be tagged, and its tags say the rest")
        if self.detail is not None and (self.kind != "describe" or not self.grounded):
            raise OptionError("detail goes with a description that has boxes")

    @classmethod
    def describe(
        cls,
        prompt: str = "brief",
        *,
        grounded: bool = True,
        tagged: bool = False,
        detail: int | str | Detail | None = None,
    ) -> Task:
        """Describe: "brief", "detailed", or how the text should begin.

        Args:
            prompt: as `Scope.describe` takes it.
            grounded: ask for boxes.
            tagged: the prompt has tags, as for transformers; never with a stranger's text in it.
            detail: look for every object, as `Scope.describe` takes it.
        """
        closer = None if detail is None else Detail.of(detail)
        return cls("describe", prompt, grounded, tagged, closer)

    @classmethod
    def ground(cls, phrase: str) -> Task:
        """Find a phrase."""
        return cls("ground", phrase)

    @classmethod
    def ask(cls, question: str, *, grounded: bool = True) -> Task:
        """Answer a question."""
        return cls("ask", question, grounded)

    @property
    def key(self) -> str:
        """A name for records and files: lower-case ASCII, the same in every run.

        "brief", "detailed", or the kind, the words and 8 digits of a hash, such as
        "ground-a-red-car-1f2e3d4c"; with "-plain" where no boxes are asked for, "-tagged", and
        "-detail-2".
        """
        return self._asked + ("" if self.detail is None else f"-{self.detail.key}")

    @property
    def _asked(self) -> str:
        plain = "-tagged" if self.tagged else "" if self.grounded else "-plain"
        if self.kind == "describe" and self.text in _NAMED and not self.tagged:
            return self.text + plain
        words = re.sub(r"[^a-z0-9]+", "-", self.text.lower()).strip("-")[:24].strip("-")
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return "-".join(filter(None, (self.kind, words, digest))) + plain

    def prompt(self, image: Any) -> Prompt:
        """Return the prompt for a picture."""
        if self.kind == "ground":
            return ground_prompt(image, self.text)
        if self.kind == "ask":
            return ask_prompt(image, self.text, grounded=self.grounded)
        return describe_prompt(image, self.text, grounded=self.grounded, tagged=self.tagged)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the key."""
        found = {"key": self.key, **asdict(self)}
        if self.detail is None:
            del found["detail"]
        return found


def checked(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Return the tasks, each once.

    Raises:
        OptionError: there are none.
    """
    if not tasks:
        raise OptionError("nothing is asked about the pictures: expected at least one task")
    return tuple({task.key: task for task in tasks}.values())


def check_prompts(scope: Scope, tasks: Sequence[PictureTask]) -> None:
    """Raise `PromptError` if a task cannot be asked: before the first picture is read."""
    for task in tasks:
        try:
            scope.check(task.prompt(b""))
        except PromptError as e:
            raise PromptError(f"{task.key}: {e}" if len(tasks) > 1 else str(e)) from e
