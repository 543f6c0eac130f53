"""From a task to token ids: what Kosmos-2 was trained to be asked.

A prompt is an immutable list of segments, built by chaining::

    Prompt().image(photo).grounding().phrase("a snowman")
    Prompt().image(a).text("An image of a dog.").image(b).grounding().text("An image of")

Source of the tasks' wording: arXiv:2306.14824 and the model card of
microsoft/kosmos-2-patch14-224.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kosmoscope.errors import PromptError
from kosmoscope.tokens import Tokenizer, xyxy_to_cells

BRIEF = "An image of"
DETAILED = "Describe this image in detail:"


@dataclass(frozen=True, slots=True)
class _Image:
    source: Any


@dataclass(frozen=True, slots=True)
class _Text:
    text: str


@dataclass(frozen=True, slots=True)
class _Tagged:
    text: str


@dataclass(frozen=True, slots=True)
class _Phrase:
    text: str
    boxes: tuple[Sequence[float], ...]


@dataclass(frozen=True, slots=True)
class _Grounding:
    pass


@dataclass(frozen=True, slots=True)
class CompiledPrompt:
    """A prompt as token ids."""

    ids: tuple[int, ...]
    """All of it, with placeholder words in the pictures' slots."""
    pictures: tuple[tuple[int, Any], ...]
    """The index of each picture's first slot, and the picture as it was given."""
    tail: int
    """Index of the first token after the last picture: where transformers' caption begins."""
    grounded: bool
    """The prompt asks for boxes (``<grounding>`` is in it)."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Pictures, text, phrases and boxes, in order."""

    segments: tuple[_Image | _Text | _Tagged | _Phrase | _Grounding, ...] = ()
    echo: bool = True
    """The text begins the sentence that the model goes on with, and belongs into the caption;
    False for an instruction or a question."""
    stop_after_entities: int = 0
    """The task is done after so many located phrases; 0: when the model says so."""

    def image(self, source: Any) -> Prompt:
        """Add a picture: anything that `kosmoscope.images.read_image` takes, or an encoded one."""
        return self._with(_Image(source))

    def text(self, text: str) -> Prompt:
        """Add plain text; markup in it is refused when the prompt is compiled."""
        return self._with(_Text(text))

    def grounding(self) -> Prompt:
        """Add ``<grounding>``: ask for boxes in what follows."""
        return self._with(_Grounding())

    def phrase(self, text: str, boxes: Sequence[Sequence[float]] = ()) -> Prompt:
        """Add a phrase, optionally with its boxes (normalised xyxy)."""
        return self._with(_Phrase(text, tuple(boxes)))

    def tagged(self, text: str) -> Prompt:
        """Add text that contains tags, as in transformers' prompts: you answer for its form."""
        return self._with(_Tagged(text))

    def compile(self, tokenizer: Tokenizer, slot_ids: Sequence[int]) -> CompiledPrompt:
        """Turn the segments into ids.

        Args:
            tokenizer: the model's.
            slot_ids: the placeholder ids of one picture.

        Raises:
            PromptError: nothing in it, no picture, or markup or unusable characters in text.
            BoxError: a box is not a valid normalised one.
        """
        tokens = tokenizer.tokens
        ids = [tokens.bos]
        pictures: list[tuple[int, Any]] = []
        tail = 1
        for segment in self.segments:
            match segment:
                case _Image(source):
                    pictures.append((len(ids) + 1, source))
                    ids += [tokens.image_open, *slot_ids, tokens.image_close]
                    tail = len(ids)
                case _Grounding():
                    ids.append(tokens.grounding)
                case _Text(text):
                    ids += tokenizer.encode(text)
                case _Tagged(text):
                    ids += tokenizer.encode_tagged(text)
                case _Phrase(text, boxes):
                    ids += [tokens.phrase_open, *tokenizer.encode(text), tokens.phrase_close]
                    ids += _object(tokenizer, boxes)
        if not pictures:
            raise PromptError("the prompt has no picture")
        grounded = tokens.grounding in ids[tail:]
        return CompiledPrompt(tuple(ids), tuple(pictures), tail, grounded)

    def _with(self, segment: _Image | _Text | _Tagged | _Phrase | _Grounding) -> Prompt:
        return replace(self, segments=(*self.segments, segment))


def _object(tokenizer: Tokenizer, boxes: Sequence[Sequence[float]]) -> list[int]:
    tokens = tokenizer.tokens
    ids: list[int] = []
    for xyxy in boxes:
        ids.append(tokens.delimiter if ids else tokens.object_open)
        ids += [tokens.location_id(cell) for cell in xyxy_to_cells(xyxy, tokens.side)]
    return [*ids, tokens.object_close] if ids else []


GROUNDING = "<grounding>"


def describe_prompt(
    source: Any, prompt: str | None = None, *, grounded: bool = True, tagged: bool = False
) -> Prompt:
    """Ask for a description.

    Args:
        source: the picture.
        prompt: "brief" (also None), "detailed", or how the text should begin. With transformers'
            ``<grounding>`` in front it means what it means there: the same ids.
        grounded: ask for boxes.
        tagged: the prompt is written as for transformers, with tags: you answer for its form.
            Otherwise markup in it is refused when it is compiled.

    Raises:
        PromptError: ``<grounding>`` in front and not `grounded`; `tagged` without a prompt.
    """
    start = Prompt().image(source)
    if tagged:
        if prompt is None:
            raise PromptError("tagged is said of a prompt, and there is none")
        return start.tagged(prompt)
    if prompt is not None and prompt.lstrip().startswith(GROUNDING):
        if not grounded:
            raise PromptError(f"the prompt asks for boxes ({GROUNDING}), and none are wanted")
        prompt = prompt.lstrip().removeprefix(GROUNDING).strip()
    if grounded:
        start = start.grounding()
    if prompt in (None, "brief", BRIEF):
        return start.text(BRIEF)
    if prompt in ("detailed", DETAILED):
        return replace(start.text(DETAILED), echo=False)
    return start.text(prompt)


def ground_prompt(source: Any, phrase: str) -> Prompt:
    """Ask where a phrase is."""
    return replace(Prompt().image(source).grounding().phrase(phrase), stop_after_entities=1)


def refer_prompt(source: Any, box: Sequence[float]) -> Prompt:
    """Ask what is in a box (normalised xyxy)."""
    return Prompt().image(source).grounding().phrase("It", [box]).text("is")


_MARKED = re.compile(r"\[([^\[\]]+)\]")


def ask_prompt(
    source: Any, question: str, box: Sequence[float] | None = None, *, grounded: bool = True
) -> Prompt:
    """Ask a question, optionally about a box (normalised xyxy).

    With a box, mark what it is in square brackets ("Where is [the fire] next to?"); without
    brackets the question is asked about "it", which gets the box.

    Raises:
        PromptError: a box, but several phrases in brackets.
    """
    start = Prompt(echo=False).image(source)
    if grounded:
        start = start.grounding()
    start = start.text("Question:")
    marked = _MARKED.findall(question)
    if box is None:
        return start.text(question).text("Answer:")
    if not marked:
        return start.phrase("it", [box]).text(question).text("Answer:")
    if len(marked) > 1:
        raise PromptError(f"one box, but {len(marked)} phrases in brackets: {question!r}")
    before, phrase, after = _MARKED.split(question, maxsplit=1)
    if before.strip():
        start = start.text(before)
    start = start.phrase(phrase, [box])
    if after.strip():
        start = start.text(after)
    return start.text("Answer:")
