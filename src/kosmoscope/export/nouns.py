"""The head noun of an English noun phrase, by rule: 'two men in red hats' -> 'man'.

No tagger and no dictionary beyond the short lists in `words`: it is right for the plain phrases
that captions are made of, and wrong where only the meaning could tell. The rules, in order:

1. The phrase ends before its first preposition, relative pronoun, verb, comma, participle after a
   noun ('a man *wearing* ...', 'a car *parked* on ...') or second conjunct ('a cat *and* a dog').
2. 'of' after a word of quantity or a container is passed over: 'a group of people' -> 'person',
   'a cup of coffee' -> 'coffee'. After other words it is not: 'the back of a car' -> 'back',
   for that is what the box is around.
3. The last word left is the head, in the singular; two words where they are one name ('hot dog').
4. What has no word that the rules know is left as it is, so other languages keep their last word.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kosmoscope.export.words import (
    ADJECTIVES,
    BREAKS,
    COMPOUNDS,
    CONTAINERS,
    DETERMINERS,
    ED_NOUNS,
    ING_MODIFIERS,
    ING_NOUNS,
    NUMBERS,
    PARTICIPLES,
    PLURAL_ONLY,
    SINGULAR,
)
from kosmoscope.files.text import one_space

_TOKEN = re.compile(r"[^\W_]+(?:['’&./-][^\W_]+)*|[,;:()]")


@lru_cache(maxsize=65_536)
def head_noun(phrase: str) -> str:
    """Return the head noun of a phrase, lower case and singular; '' only for a blank phrase."""
    text = one_space(phrase).lower()
    words: list[str] = _TOKEN.findall(text)
    while words and (words[0] in DETERMINERS or not words[0][0].isalnum()) and len(words) > 1:
        words.pop(0)
    nouns = _core(words)
    if not nouns:
        nouns = [w for w in words if w[0].isalnum()][:1]
    if not nouns:
        return text
    last = re.sub(r"['’]s?$", "", nouns[-1])
    head = singular(last)
    if len(nouns) > 1 and f"{nouns[-2]}_{singular(last, counted=True)}" in COMPOUNDS:
        return f"{nouns[-2]} {singular(last, counted=True)}"
    return head


def _core(words: list[str]) -> list[str]:
    """Return the words up to the head."""
    core: list[str] = []
    i = 0
    while i < len(words):
        word = words[i]
        following = words[i + 1] if i + 1 < len(words) else ""
        if word == "of" and core and core[-1] in CONTAINERS and _content(words[i + 1 :]):
            core = []  # 'a group of ...'
        elif word in ("and", "&"):
            if not core or core[-1] not in ADJECTIVES or following in DETERMINERS | NUMBERS:
                break
        elif not word[0].isalnum():
            if core and core[-1] not in ADJECTIVES:
                break
        elif word in BREAKS and (core or word not in ADJECTIVES):
            if core:
                break
        elif word in DETERMINERS or (word in NUMBERS and following):
            if core and core[-1] not in ADJECTIVES:
                break  # 'a man his dog'
        elif core and core[-1] not in ADJECTIVES and _is_participle(word, following):
            break
        else:
            core.append(word)
        i += 1
    return core


def _content(words: list[str]) -> bool:
    return any(w[0].isalnum() and w not in DETERMINERS and w not in BREAKS for w in words)


def _ends(word: str) -> bool:
    """Say whether nothing of the noun phrase can follow before this word."""
    return not word or word in BREAKS or word in DETERMINERS or not word[0].isalnum()


def _is_participle(word: str, following: str) -> bool:
    """Say whether a word after a noun is a verb that says something about it."""
    if word.endswith("ing") and len(word) > 4 and word not in ING_NOUNS:
        return word not in ING_MODIFIERS or _ends(following)
    is_ed = word.endswith("ed") and len(word) > 3 and word not in ED_NOUNS
    return (is_ed or word in PARTICIPLES) and _ends(following)


def singular(word: str, *, counted: bool = False) -> str:
    """Return the singular of a lower-case English noun; of other words, the word.

    Args:
        word: one word; of a hyphenated one the last part is changed.
        counted: 'glasses' are several of a glass, not a pair of spectacles.
    """
    before, hyphen, word = word.rpartition("-")
    return before + hyphen + _singular(word, counted=counted)


def _singular(word: str, *, counted: bool) -> str:
    if word in SINGULAR:
        return SINGULAR[word]
    if len(word) > 2 and word.endswith(("'s", "’s")):
        return word[:-2]  # a dog's
    if word in PLURAL_ONLY and not counted:
        return word
    if word.endswith("men") and len(word) > 5 and word != "specimen":
        return f"{word[:-3]}man"
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes", "oes")):
        return word[:-2]
    if word.endswith("uses") and not word.endswith("ouses"):
        return word[:-2]
    return word[:-1]


_IRREGULAR = {one: many for many, one in reversed(SINGULAR.items())}


@lru_cache(maxsize=4096)
def plural(noun: str) -> str:
    """Return the plural of an English noun, of which the last word changes; of a plural, itself."""
    before, space, last = noun.rpartition(" ")
    return before + space + _plural(last)


def _plural(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in PLURAL_ONLY or singular(word) != word:
        return word
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}s"


def article(noun: str) -> str:
    """Return "an" before a vowel as it is spoken ("an apple", "an hourglass"), else "a"."""
    word = noun.lower()
    spoken = word.startswith(tuple("aeiou")) and not word.startswith(("uni", "use", "eu"))
    return "an" if spoken or word.startswith(("hour", "heir", "honest")) else "a"
