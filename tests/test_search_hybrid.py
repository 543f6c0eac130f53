"""Boxes and vectors together: each knows what the other does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import search_results
from kosmoscope.search import Embedder, Index, update_index, update_vectors
from kosmoscope.search.embedding import Float
from kosmoscope.search.ranking import fused
from search_results import LEFT, RIGHT, Thing

DIRECTIONS = {"dog": (1, 0, 0), "car": (0, 1, 0), "wolf": (0, 0, 1)}
TRUE = {
    # What is said of it, and what a vector knows: which things there are, not where.
    "wolf.jpg": ([("a dog", 0.95, LEFT), ("a car", 0.95, RIGHT)], ("wolf", "wolf", "car")),
    "right.jpg": ([("a dog", 0.9, LEFT), ("a car", 0.9, RIGHT)], ("dog", "car", "car")),
    "cart.jpg": ([("a dog", 0.85, LEFT), ("a car", 0.85, RIGHT)], ("dog", "wolf", "car")),
    "other-way.jpg": ([("a dog", 0.95, RIGHT), ("a car", 0.95, LEFT)], ("dog", "car")),
    "no-car.jpg": ([("a dog", 0.95, LEFT)], ("dog",)),
}


def summed(words: tuple[str, ...]) -> Float:
    whole = np.sum([DIRECTIONS[w] for w in words if w in DIRECTIONS], axis=0)
    return np.asarray(whole / np.linalg.norm(whole), np.float32)


def text(words: str) -> Float:
    return summed(tuple(words.split()))


EMBEDDER = Embedder("made", "made", lambda source, _: summed(TRUE[Path(str(source)).name][1]), text)


@pytest.fixture(params=["sqlite", "lancedb"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Index:
    things: dict[str, list[Thing]] = {name: said for name, (said, _) in TRUE.items()}
    lines = [search_results.line(name, said) for name, said in things.items()]
    out = search_results.write(tmp_path / "out", lines)
    update_index(out)
    update_vectors(out, EMBEDDER, engine=request.param)
    return Index.open(out)


def test_both_are_right_where_neither_is(index: Index) -> None:
    question = "a dog left of a car"
    with index:
        boxes = [hit.source for hit in index.search(question).hits]
        both = index.search(question, embedder=EMBEDDER)
    assert boxes == ["wolf.jpg", "right.jpg", "cart.jpg"]  # a wolf is taken for a dog
    assert both.alike[0].source == "other-way.jpg"  # vectors know no left
    assert [hit.source for hit in both.hits] == ["right.jpg", "wolf.jpg", "cart.jpg"]
    # What is an answer, and how likely, boxes alone say.
    assert {hit.source for hit in both.hits} == set(boxes)
    assert both.hits[0].probability == pytest.approx(0.81, abs=1e-3)


def test_nothing_stays_nothing(index: Index) -> None:
    with index:
        answer = index.search("a car left of a wolf", embedder=EMBEDDER)
    assert answer.total == 0
    assert answer.hits == ()
    assert answer.alike[0].source == "wolf.jpg"


def test_of_more_answers_than_are_ordered_the_nearest_are(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "a dog left of a car"
    with index:
        whole = index.search(question, embedder=EMBEDDER)
        monkeypatch.setattr("kosmoscope.search.ranking.DEEP", 2)
        some = index.search(question, embedder=EMBEDDER)
    assert some.hits[0] == whole.hits[0]
    assert some.total == whole.total == len(some.hits)


def test_fused() -> None:
    chances = np.array([0.9, 0.9, 0.6, 0.1])
    likeness = np.array([0.1, 0.3, 0.2, 0.9], np.float32)
    assert fused(chances, likeness, np.array([0, 1, 2])) == [1, 0, 2]
    assert fused(chances, likeness, np.zeros(0, np.intp)) == []
