"""Text to the ids that the tower for texts reads."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from kosmoscope.dual.config import HIGHEST_ENDS, DualConfig, TextConfig
from kosmoscope.dual.names import TOKENIZER, TOKENIZER_CONFIG
from kosmoscope.errors import PromptError, TokenizerError
from kosmoscope.files.checked import read_object
from kosmoscope.files.text import reason

Ids = NDArray[np.int64]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def canonical(text: str) -> str:
    """Return a text as SigLIP's captions were: lower case, no punctuation, single spaces.

    Source: transformers, models/siglip/tokenization_siglip.py (`canonicalize_text`).
    """
    text = text.replace("▁", " ").lower().translate(_NO_PUNCTUATION)
    return re.sub(r"\s+", " ", text).strip()


@dataclass(frozen=True, slots=True)
class TextReader:
    """A checkpoint's tokenizer, with what its family does before and after."""

    config: TextConfig
    backend: tokenizers.Tokenizer = field(repr=False)
    prepared: Callable[[str], str] | None
    """What is done to a text first."""
    pad: int | None
    """The id that fills a text up to `config.positions`; None for CLIP, whose texts end."""

    @classmethod
    def from_folder(cls, folder: Path, config: DualConfig) -> TextReader:
        """Read tokenizer.json and, for SigLIP, tokenizer_config.json.

        Raises:
            TokenizerError: a file is missing or damaged, or disagrees with config.json; the
                message names it.
        """
        path = folder / TOKENIZER
        backend = _backend(path, config.text)
        ids = backend.encode("").ids
        if config.family == "clip":
            found = cls(config.text, backend, None, None)
            if not ids or found.end(ids) != len(ids) - 1:
                raise TokenizerError(
                    f"{path}: an empty text has the ids {ids}; expected the last to end it, which "
                    f"is {_ending(config.text)}"
                )
            return found
        other = folder / TOKENIZER_CONFIG
        data = read_object(other, TokenizerError)
        end, pad = (_token(data, other, key, backend) for key in ("eos_token", "pad_token"))
        if ids != [end]:
            raise TokenizerError(
                f"{path}: an empty text has the ids {ids}; expected [{end}], the eos_token of "
                f"{TOKENIZER_CONFIG}"
            )
        return cls(config.text, backend, _preparation(data, other), pad)

    def ids(self, text: str) -> Ids:
        """Return a text's ids, int64 (1, N).

        A text that is too long loses its end, as with ``truncation=True`` in transformers. What
        looks like one of the tokenizer's special tokens is text like any other.

        Raises:
            PromptError: the text is blank, or has half a surrogate pair.
        """
        if not text.strip():
            raise PromptError("the text is blank; expected what a picture shows")
        try:
            text.encode()
        except UnicodeEncodeError as e:
            raise PromptError(f"the text has half a surrogate pair at offset {e.start}") from e
        found = self.backend.encode(self.prepared(text) if self.prepared else text).ids
        if self.pad is None:
            found = found[: self.end(found) + 1]
        else:
            found += [self.pad] * (self.config.positions - len(found))
        return np.array([found], np.int64)

    def end(self, ids: list[int]) -> int:
        """Return the place of the token that ends a text of CLIP's.

        What follows is never looked at: the attention is causal.
        """
        last = max(ids) if self.config.end == HIGHEST_ENDS else self.config.end
        return ids.index(last) if last in ids else -1  # -1: not in this vocabulary


def _ending(config: TextConfig) -> str:
    highest = config.end == HIGHEST_ENDS
    return "the highest of them" if highest else f"{config.end}, config.json's eos_token_id"


def _backend(path: Path, config: TextConfig) -> tokenizers.Tokenizer:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise TokenizerError(f"{path}: cannot be read: {e.strerror or e}") from e
    except ValueError as e:
        raise TokenizerError(f"{path}: not JSON: {reason(e)}") from e
    try:
        backend = tokenizers.Tokenizer.from_str(text)
        backend.no_padding()
        backend.enable_truncation(config.positions)
    except Exception as e:  # the library raises nothing narrower
        raise TokenizerError(f"{path}: cannot be loaded: {reason(e)}") from e
    backend.encode_special_tokens = True
    highest = max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= config.vocab_size:
        raise TokenizerError(
            f"{path}: has the id {highest}; config.json's vocab_size is {config.vocab_size}"
        )
    return backend


def _token(data: Mapping[str, Any], path: Path, key: str, backend: tokenizers.Tokenizer) -> int:
    """Return the id of the token that a key of tokenizer_config.json names."""
    value = data.get(key)
    content = value.get("content") if isinstance(value, dict) else value
    found = backend.token_to_id(content) if isinstance(content, str) else None
    if found is None:
        raise TokenizerError(f"{path}: {key} is {str(value)[:80]!r}, no token of {TOKENIZER}")
    return found


def _preparation(data: Mapping[str, Any], path: Path) -> Callable[[str], str]:
    """Return what SigLIP's tokenizers do to a text, by the class that tokenizer_config.json names.

    SigLIP 2 has Gemma's tokenizer, whose files say nothing of the lower case that it was trained on
    (transformers, models/siglip2/tokenization_siglip2.py).
    """
    name = str(data.get("tokenizer_class")).removesuffix("Fast")
    known = {"SiglipTokenizer": canonical, "GemmaTokenizer": str.lower,
             "Siglip2Tokenizer": str.lower}  # fmt: skip
    if name not in known:
        raise TokenizerError(
            f"{path}: tokenizer_class is {name[:80]!r}; expected one of {', '.join(known)}"
        )
    for key, trained in (("padding_side", "right"), ("do_lower_case", True)):
        if (found := data.get(key, trained)) != trained:
            raise TokenizerError(
                f"{path}: {key} is {str(found)[:80]!r}; SigLIP was trained with {trained!r}"
            )
    return known[name]
