"""A small tokenizer of the released one's format, built on the spot: no downloads in the tests.

Ids: ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2, ``<unk>`` 3, `pieces` ordinary pieces from 4, ``<mask>``,
the eleven tags, then the location tokens. With the defaults 4 + 120 + 1 + 11 + 1024 = 1160 ids.
"""

from __future__ import annotations

import json
import string
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import Unigram

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
TAGS = (
    "</doc>",
    "<image>",
    "</image>",
    "</chunk>",
    "</line>",
    "<phrase>",
    "</phrase>",
    "<object>",
    "</object>",
    "</delimiter_of_multi_objects/>",
    "<grounding>",
)
CHARACTERS = "▁" + string.ascii_letters + string.digits + ".,:;?!'\"()<>-/&"
_TEXT = (
    "An image of a in the is it It with and to forest fog snowman fire man dog cat tree sky red "
    "two by himself warming Describe this detail Question Answer What Where next"
)
WORDS = tuple("▁" + word for word in _TEXT.split())
FLAGS = {"lstrip": True, "rstrip": False, "normalized": False}


def piece_list(pieces: int) -> list[tuple[str, float]]:
    """Return `pieces` ordinary pieces with log probabilities: characters, words, then fillers."""
    found = [(c, -12.0 - 0.01 * i) for i, c in enumerate(CHARACTERS)]
    found += [(word, -4.0 - 0.05 * i) for i, word in enumerate(WORDS)]
    found += [(f"▁x{i}", -11.0) for i in range(len(found), pieces)]
    if pieces < len(CHARACTERS):
        raise ValueError(f"at least {len(CHARACTERS)} pieces, so that English encodes")
    return found[:pieces]


def build_tokenizer(pieces: int = 120, locations: int = 1024) -> Tokenizer:
    """Build it; `locations` is the number of cells, side * side."""
    vocabulary = [(s, 0.0) for s in SPECIALS] + piece_list(pieces) + [("<mask>", 0.0)]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens([AddedToken(s, normalized=False) for s in SPECIALS])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    locations_ = [f"<patch_index_{i:04d}>" for i in range(locations)]
    tokenizer.add_tokens([AddedToken(t, special=False, **FLAGS) for t in (*TAGS, *locations_)])
    return tokenizer


def save(folder: Path, pieces: int = 120, locations: int = 1024) -> Path:
    """Write tokenizer.json and tokenizer_config.json; return the path of tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(pieces, locations)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    config = {
        "tokenizer_class": "XLMRobertaTokenizer",
        "processor_class": "Kosmos2Processor",
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "added_tokens_decoder": {
            str(i): {
                "content": t.content,
                "lstrip": t.lstrip,
                "rstrip": t.rstrip,
                "normalized": t.normalized,
                "single_word": t.single_word,
                "special": t.special,
            }
            for i, t in tokenizer.get_added_tokens_decoder().items()
        },
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return path
