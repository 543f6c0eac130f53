"""Captions against human ones: BLEU and CIDEr-D.

After the code that published figures are made with, coco-caption (X. Chen et al., "Microsoft COCO
Captions", 2015). It splits words with the Stanford tokenizer, a Java program; `words` here does
the same by rule for plain sentences, so that figures agree to about a point, not to the digit.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

LONGEST = 4
"""n-grams of one to so many words."""
_SIGMA = 6.0

_WORD = re.compile(r"\w+?(?=n't\b)|n't\b|\w+(?:[-./]\w+)*|'\w+", re.UNICODE)
Gram = tuple[str, ...]


def words(text: str) -> list[str]:
    """Split a sentence as coco-caption does: lower case, no punctuation, "don't" -> do, n't."""
    return _WORD.findall(text.lower().replace("’", "'"))


def _grams(sentence: Sequence[str]) -> Counter[Gram]:
    return Counter(
        tuple(sentence[i : i + n])
        for n in range(1, LONGEST + 1)
        for i in range(len(sentence) - n + 1)
    )


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return BLEU-1 to BLEU-4 of a whole set, each 0..1.

    K. Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002:
    the geometric mean of the clipped n-gram precisions, times exp(1 - r / c) where the candidates
    (c words) are shorter than the references (r: of each picture the length closest to the
    candidate's, the shorter of two equally close). Not smoothed.

    Args:
        candidates: one caption a picture.
        references: at least one human caption for each.
    """
    _check(candidates, references)
    right, given = [0] * LONGEST, [0] * LONGEST
    own = closest = 0
    for candidate, captions in zip(candidates, references, strict=True):
        said, known = words(candidate), [words(c) for c in captions]
        most: Counter[Gram] = Counter()
        for reference in known:
            most |= _grams(reference)
        for gram, count in _grams(said).items():
            given[len(gram) - 1] += count
            right[len(gram) - 1] += min(count, most[gram])
        own += len(said)
        closest += min((len(k) for k in known), key=lambda n: (abs(n - len(said)), n))
    penalty = 1.0 if own >= closest else math.exp(1 - closest / own) if own else 0.0
    scores, product = [], 1.0
    for n in range(LONGEST):
        product *= right[n] / given[n] if given[n] else 0.0
        scores.append(penalty * product ** (1 / (n + 1)))
    return scores


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return CIDEr-D of each picture; their mean is the set's figure (0..10, often given x 100).

    R. Vedantam et al., "CIDEr: Consensus-based Image Description Evaluation", 2015, eq. 4, in the
    form of coco-caption, which calls it CIDEr: the cosine of TF-IDF vectors with the candidate's
    counts clipped to the reference's, times exp(-d^2 / (2 * 6^2)) for a difference d in length,
    the mean over references and over n = 1..4, times 10. Words are not stemmed. d is counted in
    bigrams, as there. Document frequencies are of the references given here: the figure depends
    on which pictures are in the set, and of one picture alone it is 0.
    """
    _check(candidates, references)
    known = [[_grams(words(c)) for c in captions] for captions in references]
    frequency: Counter[Gram] = Counter()
    for captions in known:
        frequency.update({gram for caption in captions for gram in caption})
    pictures = math.log(len(known)) if known else 0.0
    weight = {gram: pictures - math.log(count) for gram, count in frequency.items()}
    scores = []
    for candidate, captions in zip(candidates, known, strict=True):
        said = _Vector(_grams(words(candidate)), weight, pictures)
        total = sum(said.like(_Vector(c, weight, pictures)) for c in captions)
        scores.append(10 * total / len(captions))
    return scores


class _Vector:
    """The TF-IDF weights of a sentence's n-grams."""

    def __init__(
        self, grams: Mapping[Gram, int], weight: Mapping[Gram, float], unseen: float
    ) -> None:
        self.values = {g: count * weight.get(g, unseen) for g, count in grams.items()}
        self.norms = [0.0] * LONGEST
        for gram, value in self.values.items():
            self.norms[len(gram) - 1] += value * value
        self.bigrams = sum(count for g, count in grams.items() if len(g) == 2)

    def like(self, reference: _Vector) -> float:
        """Return the mean over n of the clipped cosine, less for another length."""
        shared = [0.0] * LONGEST
        for gram, value in self.values.items():
            other = reference.values.get(gram, 0.0)
            shared[len(gram) - 1] += min(value, other) * other
        cosines = [
            s / math.sqrt(a * b) if a and b else 0.0
            for s, a, b in zip(shared, self.norms, reference.norms, strict=True)
        ]
        difference = self.bigrams - reference.bigrams
        return math.exp(-(difference**2) / (2 * _SIGMA**2)) * sum(cosines) / LONGEST


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(candidates) != len(references) or not all(references):
        raise ValueError("expected one caption, and at least one reference, a picture")
