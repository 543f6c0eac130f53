"""From a model's words to a set's classes: 'two men in hats' -> person.

By the head noun (`kosmoscope.export.nouns`), plurals, and the words of `words.SYNONYMS` and
`words.ALSO`. A broader word ('an animal') names no class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from kosmoscope.evaluation.words import ALSO, CLASS_NAMES, SCENES, SYNONYMS, plain
from kosmoscope.export.nouns import article, head_noun, singular

_LONGEST_NAME = 4
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NO_ARTICLE = frozenset({"people", "someone", "skis", "scissors", "broccoli"})


@lru_cache(maxsize=65_536)
def _key(text: str) -> tuple[str, ...]:
    """Return lower-case words in the singular; 'glasses' are several of a glass here."""
    return tuple(singular(w, counted=True) for w in _WORD.findall(text.lower()))


def names_for(label: str) -> tuple[str, ...]:
    """Return what a class may be called: its name, a plain word for it, and their synonyms."""
    common = plain(label)
    words = [label, common]
    for table in (SYNONYMS, ALSO):
        words += [*table.get(label, ()), *table.get(common, ())]
    return tuple(dict.fromkeys(words))


class Classes:
    """The classes of a set, found by phrase."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._by_name: dict[tuple[str, ...], set[str]] = {}
        for label in set(labels):
            for name in names_for(label):
                self._by_name.setdefault(_key(name), set()).add(label)

    def of(self, phrase: str) -> frozenset[str]:
        """Return the classes that a phrase may mean: mostly one, none if it is another thing.

        A word of several classes means each of them ('a glass': a cup or a wine glass).

        The longest name that ends at the head noun counts ('a hot dog' is no dog). A container is
        meant as well as what it holds: 'a bowl of fruit' may be a bowl.
        """
        words = _key(phrase)
        found = set(self._ending_at(words, _key(head_noun(phrase))))
        if "of" in words:
            before = words[: words.index("of")]
            found |= self._ending_at(before, before[-1:])
        return frozenset(found)

    def _ending_at(self, words: tuple[str, ...], head: tuple[str, ...]) -> set[str]:
        if not head or head[-1] not in words:
            return set()
        # A word may occur twice ('a dog beside a dog'); the head is the first that fits whole.
        ends = [
            i + 1 for i in range(len(words)) if words[max(0, i + 1 - len(head)) : i + 1] == head
        ]
        end = ends[0] if ends else words.index(head[-1]) + 1
        for length in range(min(_LONGEST_NAME, end), 0, -1):
            if found := self._by_name.get(words[end - length : end]):
                return found
        return set()


def names(text: str, wanted: Iterable[str]) -> bool:
    """Say whether a text has one of the words or names, in the singular or plural."""
    words = _key(text)
    for name in wanted:
        key = _key(name)
        if key and any(words[i : i + len(key)] == key for i in range(len(words))):
            return True
    return False


def scene_names(scene: str) -> tuple[str, ...]:
    """Return the words of which one names the scene."""
    return SCENES.get(scene, (scene, *SYNONYMS.get(scene, ())))


def label_names(label: str) -> tuple[str, ...]:
    """Return the words of which one names a picture's only object."""
    return names_for(label)


def asked_for(label: str, *, stuff: bool) -> str:
    """Return the phrase by which a class is looked for: 'a dog', but 'sky' and 'trees'."""
    if stuff or label in _NO_ARTICLE or (label.endswith("s") and label not in CLASS_NAMES):
        return label
    return f"{article(label)} {label}"
