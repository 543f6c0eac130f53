"""A tokenizer laid out as the released one: ordinary Unigram pieces, then the tags, then locations.

The order of the vocabulary is part of the format. Image slots carry the ids 4, 5, ... of ordinary
pieces (transformers' Kosmos2Processor writes them there), and the tags close the vocabulary, so
that a location is `first location id + cell`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

from kosmoscope.files.writing import write_text
from kosmoscope.tokens import SPECIALS, TAGS, location_token

GRID = 32
"""Cells along each side of a picture."""
LOCATION_COUNT = GRID * GRID
ORDINARY_PIECES = 2000

*_OPENING, _MASK = SPECIALS
BOS, PAD, EOS = (_OPENING.index(token) for token in ("<s>", "<pad>", "</s>"))

# Every printable ASCII character is a piece, so that no English text becomes <unk>.
_ASCII = [chr(code) for code in range(33, 127)]
_SPACE = "▁"


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a UTF-8 text file, plain or gzipped (told by its name), stripped; blanks skipped."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            if text := line.strip():
                yield text


def build_tokenizer(
    lines: Iterable[str], *, ordinary_pieces: int = ORDINARY_PIECES, reserved_slots: int = 64
) -> Tokenizer:
    """Train the ordinary pieces on `lines` and lay the tags and locations behind them.

    `ordinary_pieces` is an upper bound: a small corpus yields fewer. `reserved_slots` is the number
    of image slots of the model; their ids are those of the first ordinary pieces.

    Raises ValueError when the corpus yields too few pieces to stand for the image slots.
    """
    pieces = _train_pieces(lines, ordinary_pieces)
    if len(pieces) < reserved_slots + 8:
        raise ValueError(
            f"the corpus gave {len(pieces)} ordinary pieces, "
            f"but {reserved_slots} image slots need at least {reserved_slots + 8}"
        )

    vocabulary = [(token, 0.0) for token in _OPENING] + pieces + [(_MASK, 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in _OPENING]
        + [AddedToken(_MASK, lstrip=True, normalized=False, special=True)]
    )
    # Exactly the flags that Kosmos2Processor uses: its own add_tokens then changes nothing. They
    # are not special, so they outlive skip_special_tokens.
    locations = [location_token(cell) for cell in range(LOCATION_COUNT)]
    tokenizer.add_tokens(
        [
            AddedToken(token, lstrip=True, rstrip=False, normalized=False, special=False)
            for token in [*TAGS, *locations]
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["<s>", "$A", "</s>"],
        pair=["<s>", "$A", "</s>", "</s>", "$B", "</s>"],
        special_tokens=[("<s>", BOS), ("</s>", EOS)],
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json, each atomically."""
    names: dict[str, Any] = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": _MASK,
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    }
    config = {
        **names,
        "model_max_length": 2048,
        "processor_class": "Kosmos2Processor",
        "tokenizer_class": "XLMRobertaTokenizer",
    }
    folder.mkdir(parents=True, exist_ok=True)
    # Not pretty: a thousand location tokens over eight lines each would double the file.
    write_text(folder / "tokenizer.json", tokenizer.to_str(pretty=False))
    write_text(folder / "tokenizer_config.json", to_json(config))
    write_text(folder / "special_tokens_map.json", to_json(names))


def to_json(value: object) -> str:
    """JSON as the hub's files have it: two spaces, sorted keys, a newline at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _pre_tokenizer() -> Any:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always"),
        ]
    )


def _train_pieces(lines: Iterable[str], count: int) -> list[tuple[str, float]]:
    """(piece, log probability) pairs, most likely first."""
    trainee = Tokenizer(models.Unigram())
    trainee.pre_tokenizer = _pre_tokenizer()
    trainer = trainers.UnigramTrainer(
        vocab_size=count,
        special_tokens=[],
        initial_alphabet=_ASCII,
        unk_token=None,
        show_progress=False,
    )
    trainee.train_from_iterator(lines, trainer=trainer)
    # The trainer's last digits and its ranking of the characters that it keeps by duty alone differ
    # from run to run (threads, hash seeds); rounded and levelled they do not.
    scores = {piece: round(score, 6) for piece, score in _vocabulary(trainee)}
    floor = min((score for piece, score in scores.items() if len(piece) > 1), default=0.0)
    kept = {piece: max(score, floor) for piece, score in scores.items()}
    for piece in [_SPACE, *_ASCII]:
        kept.setdefault(piece, floor)
    return sorted(kept.items(), key=lambda pair: (-pair[1], pair[0]))


def _vocabulary(tokenizer: Tokenizer) -> list[tuple[str, float]]:
    pieces: list[tuple[str, float]] = json.loads(tokenizer.to_str())["model"]["vocab"]
    return pieces
