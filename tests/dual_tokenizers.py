"""Small tokenizers as CLIP, SigLIP and SigLIP 2 have them, and transformers' readers of them."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import CLIPTokenizer, Siglip2Tokenizer, SiglipTokenizer

WORDS = ("a", "an", "the", "photo", "of", "dog", "cat", "tree", "two", "red", "sky", "on", "and",
         "snowman", "don't")  # fmt: skip
START, END = "<|startoftext|>", "<|endoftext|>"
_SPM = "spiece.model"


def save(kind: str, folder: Path) -> int:
    """Write tokenizer.json and what belongs to it; return the number of ids."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "siglip":
        return _save_siglip(folder)
    tokenizer = _clip() if kind == "clip" else _siglip2()
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def reference(kind: str, folder: Path) -> Any:
    """Return transformers' tokenizer of a folder."""
    if kind == "siglip":
        return SiglipTokenizer.from_pretrained(folder)
    return (CLIPTokenizer if kind == "clip" else Siglip2Tokenizer).from_pretrained(folder)


def _clip() -> CLIPTokenizer:
    """Byte-level, with a few whole words; the ends have the highest ids, as released.

    Of the bytes some are missing, so that there are unknown characters, which CLIP's tokenizer
    takes for the end of a text.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())[:200]
    pieces = [*letters, *(c + "</w>" for c in letters)]
    merges = _merges([[*word[:-1], word[-1] + "</w>"] for word in WORDS])
    pieces += ["".join(pair) for pair in merges]
    vocabulary = {p: i for i, p in enumerate([*dict.fromkeys(pieces), START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _siglip2() -> Siglip2Tokenizer:
    """Gemma's kind: pieces of letters, unknown ones as bytes, and no end until it is asked for."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    pieces += [f"<0x{i:02X}>" for i in range(256)]
    pieces += list("▁" + string.ascii_letters + string.digits + ".,:!'<>|/")
    merges = _merges([[*word] for word in WORDS])
    pieces += ["".join(pair) for pair in merges]
    vocabulary = {p: i for i, p in enumerate(dict.fromkeys(pieces))}
    return Siglip2Tokenizer(
        vocab=vocabulary, merges=merges, padding_side="right", model_max_length=64,
        add_bos_token=False, add_eos_token=True,
    )  # fmt: skip


def _merges(words: list[list[str]]) -> list[tuple[str, str]]:
    """Join each word's pieces from the left."""
    found: dict[tuple[str, str], None] = {}
    for first, *rest in words:
        for piece in rest:
            found[first, piece] = None
            first += piece
    return list(found)


def _save_siglip(folder: Path) -> int:
    """SentencePiece's own file for transformers, and the same pieces as a tokenizer.json."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(c, -12 - i / 100) for i, c in enumerate("▁" + string.ascii_lowercase + "0123<>")]
    pieces += [("▁" + word, -4 - i / 100) for i, word in enumerate(WORDS)]
    model = sentencepiece_model_pb2.ModelProto()
    for i, (piece, score) in enumerate(pieces):
        control, unknown, normal = 3, 2, 1
        kind = unknown if i == 2 else control if i < 2 else normal
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = 1  # unigram
    model.trainer_spec.pad_id, model.trainer_spec.eos_id, model.trainer_spec.unk_id = 0, 1, 2
    model.trainer_spec.bos_id = -1
    (folder / _SPM).write_bytes(model.SerializeToString())
    SiglipTokenizer(vocab_file=str(folder / _SPM)).save_pretrained(folder)

    fast = Tokenizer(Unigram(pieces, unk_id=2, byte_fallback=False))
    fast.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    fast.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast.add_special_tokens(["</s>", "<unk>"])
    fast.save(str(folder / "tokenizer.json"))
    assert json.loads((folder / "tokenizer_config.json").read_text())["pad_token"] == "</s>"
    return len(pieces)
