"""Tiny random models for the engine's tests, each made once a run, and slow checkers of texts."""

from __future__ import annotations

import atexit
import copy
import functools
import inspect
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import checkpoints
from checkpoints import PROMPTS, SHAPES, Made
from kosmoscope.engine.core import PromptIds
from kosmoscope.engine.generate import Request
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.grammar import Grammar
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.model.quantization import Precision
from kosmoscope.prompts import Prompt
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.store.convert import convert, open_converted
from kosmoscope.tokens import TokenSet

WORDS = ("a", "dog", "and", "a", "cat", "in", "the", "forest", "with", "fog", "by", "the", "fire")


@functools.cache
def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="kosmoscope-tests-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def _once(make: Any) -> Any:
    """Cache by the arguments as they are meant, however they are passed."""
    signature, kept = inspect.signature(make), {}

    @functools.wraps(make)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        key = tuple(bound.arguments.values())
        if key not in kept:
            kept[key] = make(*key)
        return kept[key]

    return wrapper


@_once
def made(name: str = "base", seed: int = 0) -> Made:
    """Return a random checkpoint in the hub's format. Shared: never write into its folder."""
    shape = next(s for s in SHAPES if s.name == name)
    return checkpoints.make(_root() / f"{name}-{seed}", shape, seed)


def copy_of(source: Path, target: Path) -> Path:
    """Copy a checkpoint or a converted folder, to be damaged."""
    return Path(shutil.copytree(source, target))


@_once
def converted_folder(name: str = "base", precision: Precision = "fp32", seed: int = 0) -> Path:
    """Return a converted folder. Shared: never write into it."""
    target = _root() / f"{name}-{seed}-{precision}"
    return convert(KOSMOS2, made(name, seed).folder, target, precision).folder


@_once
def scope(name: str = "base", precision: Precision = "fp32", seed: int = 0) -> Scope:
    """Return an open random model."""
    return Scope(open_converted(KOSMOS2, converted_folder(name, precision, seed)), threads=1)


@_once
def encoded(
    picture: int = 0, name: str = "base", precision: Precision = "fp32", seed: int = 0
) -> EncodedImage:
    """Return one of the random pictures, encoded by that model."""
    model = scope(name, precision, seed)
    return model.encode(checkpoints.picture(picture), name=f"picture {picture}")


@_once
def talkative(
    name: str = "base", precision: Precision = "fp32", seed: int = 0, boost: float = 6.0
) -> Scope:
    """Return another handle on a model whose head favours phrase tags, so that boxes abound."""
    model = scope(name, precision, seed)
    engine, other = copy.copy(model.engine), copy.copy(model)
    head = engine.logits
    extra = np.zeros(engine.tokens.vocab_size, np.float32)
    extra[[engine.tokens.phrase_open, engine.tokens.phrase_close]] = boost
    engine.logits = lambda hidden: head(hidden) + extra  # type: ignore[method-assign]
    other.engine = engine
    return other


def tagged_prompt(image: EncodedImage, name: str) -> Prompt:
    """Return one of transformers' prompts about a picture."""
    return Prompt().image(image).tagged(PROMPTS[name])


def prompt_ids(model: Scope, prompt: Prompt) -> PromptIds:
    """Compile a prompt as the engine takes it."""
    compiled = prompt.compile(model.tokenizer, model.engine.slot_ids)
    pictures = tuple((start, model.encode(source).state) for start, source in compiled.pictures)
    return PromptIds(compiled.ids, pictures)


def request(model: Scope, prompt: Prompt, **options: object) -> Request:
    """Return a request as `Scope.complete` makes it, with options of its own."""
    compiled = prompt.compile(model.tokenizer, model.engine.slot_ids)
    grammar = Grammar(model.tokenizer.tokens, grounded=compiled.grounded)
    return Request(prompt_ids(model, prompt), GenerationOptions.of(**options), grammar)


_WELL_FORMED = re.compile(r"(w|\(w+\)\[LL(,LL)*\])*")
_CLOSINGS = ("", "w)[LL]", ")[LL]", "[LL]", "LL]", "L]", "]")


def check_form(tokens: TokenSet, prompt: Sequence[int], ids: Sequence[int], *, cut: bool) -> None:
    """Assert that a prompt's tail and its text are well-formed grounded text.

    Written without the product's automaton: the ids become a string of letters for a regular
    expression. A cut-off text must be well-formed with some ending.
    """
    letters = {
        tokens.phrase_open: "(", tokens.phrase_close: ")", tokens.object_open: "[",
        tokens.object_close: "]", tokens.delimiter: ",",
    }  # fmt: skip
    body = [i for i in prompt if i != tokens.grounding] + list(ids)
    if body[-1] == tokens.eos:
        assert not cut
        body.pop()
    form = ""
    corners: list[int] = []
    for i in body:
        if tokens.is_location(i):
            form += "L"
            corners.append(i - tokens.first_location)
        else:
            assert i in letters or i not in tokens.markup, f"markup {i}"
            form += letters.get(i, "w")
    closings = _CLOSINGS if cut else ("",)
    assert any(_WELL_FORMED.fullmatch(form + c) for c in closings), form
    for upper_left, lower_right in zip(corners[::2], corners[1::2], strict=False):
        assert lower_right // tokens.side >= upper_left // tokens.side
        assert lower_right % tokens.side >= upper_left % tokens.side
