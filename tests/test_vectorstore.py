"""Every place of vectors gives the same answers: the index' own table, and LanceDB itself."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kosmoscope.errors import IndexDamagedError, KosmoscopeError, OutputError
from kosmoscope.search.index.schema import open_to_write
from kosmoscope.search.index.table import TableVectors
from kosmoscope.vectorstore import ENGINES, Half, Numbers, VectorStore, exact, lance
from vector_made import made

WIDTH = 24
N = 3000
VECTORS = made(N, WIDTH)
NUMBERS: Numbers = np.random.default_rng(1).permutation(2 * N)[:N].astype(np.int64)
KINDS = ("sqlite", *ENGINES.names())


@pytest.fixture
def base(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    base = open_to_write(tmp_path / "index.sqlite")
    yield base
    base.close()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, base: sqlite3.Connection) -> VectorStore:
    """An empty store."""
    if request.param == "sqlite":
        base.executemany(
            "INSERT INTO vector (embedder, picture, content, data) VALUES (1, ?, '', x'')",
            [(n,) for n in range(2 * N)],
        )
        return TableVectors(base, tmp_path / "index.sqlite", 1, WIDTH)
    return ENGINES.get(request.param).open(str(tmp_path / "engine"), "some", WIDTH)


def by_hand(wanted: np.ndarray, centred: bool, counting: np.ndarray) -> list[tuple[int, float]]:
    """The nearest, reckoned in double precision."""
    vectors, numbers = VECTORS[counting].astype(np.float64), NUMBERS[counting]
    middle = vectors.mean(0) if centred else 0
    a, b = vectors - middle, wanted - middle
    found = a @ b / np.linalg.norm(a, axis=1) / np.linalg.norm(b)
    order = np.lexsort((numbers, -found))
    return [(int(numbers[i]), float(found[i])) for i in order]


def odd(numbers: Numbers) -> np.ndarray:
    return numbers % 2 == 1


@pytest.mark.parametrize("centred", [False, True])
def test_the_nearest_of_all(store: VectorStore, centred: bool) -> None:
    store.add(NUMBERS[:1000], VECTORS[:1000])
    store.add(NUMBERS[1000:], VECTORS[1000:])
    store.settle()
    np.testing.assert_array_equal(store.numbers(), np.sort(NUMBERS))
    for i in (0, 17, 2999):
        wanted = VECTORS[i].astype(np.float32)
        for within, counting in ((None, np.ones(N, bool)), (odd, odd(NUMBERS))):
            found = store.nearest(wanted, 25, centred=centred, within=within)
            expected = by_hand(wanted, centred, counting)[:25]
            assert found.numbers.tolist() == [n for n, _ in expected]
            np.testing.assert_allclose(found.likeness, [x for _, x in expected], atol=2e-5)
    assert len(store.nearest(wanted, 0).numbers) == 0
    assert len(store.nearest(wanted, N + 5).numbers) == N


def test_the_likeness_of_some(store: VectorStore) -> None:
    store.add(NUMBERS, VECTORS)
    wanted = VECTORS[5].astype(np.float32)
    known = dict(by_hand(wanted, False, np.ones(N, bool)))
    asked = np.array([NUMBERS[7], 10**9, NUMBERS[5], NUMBERS[8]], np.int64)
    found = store.likeness(wanted, asked)
    np.testing.assert_allclose(
        found[[0, 2, 3]], [known[int(n)] for n in asked[[0, 2, 3]]], atol=2e-5
    )
    assert found[1] == -np.inf


def test_added_again_they_take_the_place_and_removed_they_are_gone(store: VectorStore) -> None:
    store.add(NUMBERS, VECTORS)
    store.add(NUMBERS[:10], VECTORS[10:20])
    found: dict[int, Half] = {}
    for numbers, vectors in store.blocks():
        found.update(zip(numbers.tolist(), vectors, strict=True))
    assert len(found) == N
    np.testing.assert_array_equal(found[int(NUMBERS[3])], VECTORS[13])
    store.remove(np.append(NUMBERS[:100], 10**9))
    np.testing.assert_array_equal(store.numbers(), np.sort(NUMBERS[100:]))


def test_nothing_in_nothing(store: VectorStore) -> None:
    wanted = np.ones(WIDTH, np.float32)
    assert len(store.numbers()) == 0
    assert list(store.blocks()) == []
    assert len(store.nearest(wanted, 3, centred=True).numbers) == 0
    assert store.likeness(wanted, NUMBERS[:2]).tolist() == [-np.inf] * 2
    store.remove(NUMBERS)
    store.settle()


def test_likeness_is_what_vectors_do_not_all_share() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 16)).astype(np.float32) + 5  # all point much the same way
    wanted = vectors[17] + rng.normal(size=16).astype(np.float32) * 0.01
    found = exact.cosines(vectors, wanted, vectors.mean(0))
    assert found.argmax() == 17
    assert found[17] > 0.99
    assert np.sort(found)[-2] < 0.9
    assert np.sort(exact.cosines(vectors, wanted))[0] > 0.9
    assert len(exact.cosines(vectors[:0], wanted)) == 0
    assert np.isfinite(exact.cosines(vectors[:1], vectors[0], vectors[0])).all()


# LanceDB alone


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lance.LanceVectors:
    """A table with an approximate index."""
    monkeypatch.setattr(lance, "MANY", 2500)
    monkeypatch.setattr(lance, "SPARE", 200)
    store = lance.LanceVectors(str(tmp_path / "engine"), "some", WIDTH)
    store.add(NUMBERS, VECTORS)
    store.settle()
    return store


@pytest.mark.parametrize("centred", [False, True])
def test_with_an_approximate_index_most_are_found(
    many: lance.LanceVectors, centred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "nearest", None)  # nobody looks at all
    right = 0
    for i in range(20):
        wanted = VECTORS[i].astype(np.float32)
        expected = by_hand(wanted, centred, np.ones(N, bool))
        found = many.nearest(wanted, 10, centred=centred)
        assert found.numbers[0] == NUMBERS[i]
        known = dict(expected)
        np.testing.assert_allclose(
            found.likeness, [known[n] for n in found.numbers.tolist()], atol=2e-5
        )
        right += len({n for n, _ in expected[:10]} & set(found.numbers.tolist()))
    assert right / 200 >= 0.95


def test_what_came_after_the_approximate_index_is_found(many: lance.LanceVectors) -> None:
    new = made(3, WIDTH, seed=9)
    many.add(np.array([N * 2, N * 2 + 1, N * 2 + 2], np.int64), new)
    wanted = new[1].astype(np.float32)
    assert many.nearest(wanted, 3).numbers[0] == N * 2 + 1
    many.settle()
    assert many.nearest(wanted, 3, centred=True).numbers[0] == N * 2 + 1
    many.remove(np.array([N * 2 + 1], np.int64))
    assert many.nearest(wanted, 3).numbers[0] != N * 2 + 1


def test_where_few_count_all_are_looked_at(many: lance.LanceVectors) -> None:
    some = NUMBERS[:4]
    found = many.nearest(
        VECTORS[2000].astype(np.float32), 10, within=lambda numbers: np.isin(numbers, some)
    )
    assert set(found.numbers.tolist()) == set(some.tolist())


def test_a_table_that_is_damaged_is_named(tmp_path: Path) -> None:
    store = lance.LanceVectors(str(tmp_path / "engine"), "some", WIDTH)
    store.add(NUMBERS, VECTORS)
    for file in (tmp_path / "engine").rglob("data/*"):
        file.write_bytes(b"no vectors")
    with pytest.raises(IndexDamagedError, match="engine: LanceDB cannot use what is there"):
        store.nearest(VECTORS[0].astype(np.float32), 3)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text("a file")
    with pytest.raises(OutputError, match="engine: "):
        lance.LanceVectors(str(tmp_path / "engine"), "some", WIDTH).add(NUMBERS, VECTORS)


def test_forgotten_it_is_gone(tmp_path: Path) -> None:
    place = str(tmp_path / "engine")
    lance.LanceVectors(place, "some", WIDTH).add(NUMBERS, VECTORS)
    lance.drop(place, "some")
    lance.drop(place, "some")
    assert len(lance.LanceVectors(place, "some", WIDTH).numbers()) == 0


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(
        KosmoscopeError, match=r"lancedb is not installed; install it with: .*lancedb"
    ):
        lance.LanceVectors(str(tmp_path), "some", WIDTH)
    assert not list(tmp_path.iterdir())
