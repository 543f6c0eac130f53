"""The words and numbers of the language, for the page: what its scripts would else say again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from kosmoscope.export import words as noun_words
from kosmoscope.questions import known
from kosmoscope.questions.evaluate import record, rules, space
from kosmoscope.questions.language import amounts, dates, lexicon, parser, tokens

_NOUNS = (
    *("DETERMINERS", "NUMBERS", "BREAKS", "CONTAINERS", "ADJECTIVES", "ING_NOUNS", "ING_MODIFIERS"),
    *("ED_NOUNS", "PARTICIPLES", "COMPOUNDS", "PLURAL_ONLY", "SINGULAR"),
)
_LEXICON = (
    *("ARTICLES", "NUMBERS", "AMOUNTS", "AT_LEAST", "AT_MOST", "MORE_THAN", "FEWER_THAN"),
    *("EXACTLY", "OR_MORE", "OR_FEWER", "RELATIONS", "UNTOLD", "TOUCHING_IS_A_GUESS"),
    *("POSTURES", "GROUPS", "ANYTHING", "COLOURS", "SIZES", "SIDES", "PLACED_BY", "PLACE_NOUNS"),
    *("PICTURE_NOUNS", "NOTHING", "AND", "OR", "FILLERS", "OPENINGS", "MONTHS", "RESERVED"),
)


@cache
def language() -> dict[str, Any]:
    """Return the tables that `page/search/tables.js` reads, as plain values."""
    return {
        "nouns": {name.lower(): _plain(getattr(noun_words, name)) for name in _NOUNS},
        "lexicon": {name.lower(): _plain(getattr(lexicon, name)) for name in _LEXICON},
        "limits": {
            "characters": tokens.MAX_CHARACTERS,
            "tokens": tokens.MAX_TOKENS,
            "number": amounts.MAX_NUMBER,
            "depth": parser.MAX_DEPTH,
            "years": [dates.YEARS[0], dates.YEARS[-1]],
            "several": lexicon.SEVERAL,
        },
        "rules": {
            "anything": rules.ANYTHING,
            "likely": rules.CUT_OFF,
            "said": known.SAID,
            "scale": record.SCALE,
            "unsaid": rules.UNSAID,
            "unread": rules.UNREAD,
            "shown": rules.SHOWN,
            "touching_gap": space.TOUCHING_GAP,
            "near_gap": space.NEAR_GAP,
            "tolerance": space.TOLERANCE,
            "edge": space.EDGE,
            "large_area": space.LARGE_AREA,
            "small_area": space.SMALL_AREA,
        },
    }


def _plain(table: Iterable[Any] | Mapping[Any, Any]) -> Any:
    """Return a table as JSON has it: phrases as texts, sets in an order of their own."""
    if isinstance(table, Mapping):
        return {_text(key): value for key, value in table.items()}
    texts = [_text(one) for one in table]
    return sorted(texts) if isinstance(table, frozenset) else texts


def _text(words: Any) -> str:
    return words if isinstance(words, str) else " ".join(words)
