"""An index whose vectors an engine keeps: the same answers, and nothing lost on the way."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import search_results
from cli_runner import one_error, run
from kosmoscope.errors import KosmoscopeError, OptionError
from kosmoscope.images import ImageSource
from kosmoscope.search import (
    Alike,
    Embedder,
    Index,
    update_index,
    update_vectors,
)
from kosmoscope.search.embedding import Float
from kosmoscope.search.index.schema import INDEX, MIGRATIONS
from kosmoscope.vectorstore import lance

WIDTH = 16
THINGS = [("a dog", 0.9, search_results.LEFT)]


def vector_of(source: object) -> Float:
    """A picture's vector is made of its name: no picture is needed."""
    seed = hashlib.sha256(Path(str(source)).name.encode()).digest()
    made = np.random.default_rng(list(seed)).standard_normal(WIDTH) + 1
    return np.asarray(made / np.linalg.norm(made), np.float32)


def picture(source: ImageSource, box: object) -> Float:
    return vector_of(source)


EMBEDDER = Embedder("made", "made-1", picture, vector_of)


def lines(numbers: Iterable[int], **options: str) -> list[bytes]:
    return [search_results.line(f"{i:04}.jpg", THINGS, **options) for i in numbers]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = search_results.write(tmp_path / "out", lines(range(60)))
    update_index(folder)
    return folder


def alike(folder: Path, name: str = "0007.jpg", limit: int = 15) -> list[tuple[str, float]]:
    with Index.open(folder) as index:
        found = index.like(EMBEDDER, vector_of(name), limit=limit)
        texts = index.like(EMBEDDER, vector_of(name), limit=limit, of_text=True)
        both = index.search("dogs", limit=limit, embedder=EMBEDDER)
    return [
        *told(found), *told(texts), *told(both.alike), *((hit.source, 0.0) for hit in both.hits)
    ]  # fmt: skip


def told(found: Iterable[Alike]) -> list[tuple[str, float]]:
    return [(one.source, round(one.likeness, 4)) for one in found]


def state(folder: Path) -> tuple[str, int, int]:
    """The engine, the rows with numbers of their own, the rows without."""
    with closing(sqlite3.connect(folder / INDEX)) as base:
        (engine,) = base.execute("SELECT engine FROM embedder").fetchone()
        (own,) = base.execute("SELECT count(*) FROM vector WHERE data <> x''").fetchone()
        (handed,) = base.execute("SELECT count(*) FROM vector WHERE data = x''").fetchone()
    return engine, own, handed


def test_the_same_answers_wherever_vectors_are(out: Path, tmp_path: Path) -> None:
    update_vectors(out, EMBEDDER)
    expected = alike(out)
    assert expected[0] == ("0007.jpg", 1.0)
    assert state(out) == ("sqlite", 60, 0)

    asked = 0

    def never(source: ImageSource, box: object) -> Float:
        nonlocal asked
        asked += 1
        return vector_of(source)

    mover = Embedder("made", "made-1", never)
    with Index.open(out) as index:  # open over all that happens
        for engine in ("lancedb", f"lancedb:{tmp_path / 'elsewhere'}", "lancedb", "sqlite"):
            made = update_vectors(out, mover, engine=engine)
            assert (made.pictures, made.added) == (60, 0)
            assert state(out) == (("sqlite", 60, 0) if engine == "sqlite" else ("lancedb", 0, 60))
            assert (out / "vectors.lancedb").exists() == (engine == "lancedb")
            assert alike(out) == expected
            assert told(index.like(EMBEDDER, vector_of("0007.jpg"), limit=15)) == expected[:15]
    assert asked == 0
    assert not list((tmp_path / "elsewhere").iterdir())


def test_made_there_from_the_beginning_and_kept_up(out: Path) -> None:
    made = update_vectors(out, EMBEDDER, engine="lancedb")
    assert (made.pictures, made.added) == (60, 60)
    assert state(out) == ("lancedb", 0, 60)
    # New pictures, a changed one, and some that are gone; nobody names the engine again.
    search_results.write(out, [*lines(range(20, 70)), *lines([30], content="another")])
    update_index(out)
    for name in ("0010.jpg", "0030.jpg"):
        assert (name, 1.0) not in alike(out, name, 60)
    made = update_vectors(out, EMBEDDER)
    assert (made.pictures, made.added) == (50, 11)
    assert state(out) == ("lancedb", 0, 50)
    found = alike(out, "0065.jpg", 60)
    assert found[0] == ("0065.jpg", 1.0)
    assert len(found) == 4 * 50
    update_vectors(out, EMBEDDER, engine="sqlite")
    assert alike(out, "0065.jpg", 60) == found


def test_another_model_beside_it(out: Path) -> None:
    update_vectors(out, EMBEDDER, engine="lancedb")
    other = Embedder("other", "other-1", picture)
    update_vectors(out, other)
    with Index.open(out) as index:
        assert index.embedders == {"made-1": "made", "other-1": "other"}
        for embedder in (EMBEDDER, other):
            assert index.like(embedder, vector_of("0003.jpg"))[0].source == "0003.jpg"
        with pytest.raises(OptionError, match=r"a vector of shape \(3,\)"):
            index.like(EMBEDDER, np.zeros(3, np.float32))


def test_what_the_engine_lost_is_made_again(out: Path) -> None:
    update_vectors(out, EMBEDDER, engine="lancedb")
    expected = alike(out)
    (out / "vectors.lancedb").rename(out / "away")
    with Index.open(out) as index:
        assert index.like(EMBEDDER, vector_of("0007.jpg")) == ()
    assert update_vectors(out, EMBEDDER).added == 60
    assert alike(out) == expected
    update_index(out, rebuild=True)
    assert not (out / "vectors.lancedb").exists()
    assert update_vectors(out, EMBEDDER).added == 60
    assert state(out) == ("sqlite", 60, 0)


def test_without_the_engine_it_says_what_to_install(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_vectors(out, EMBEDDER, engine="lancedb")
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with Index.open(out) as index:
        assert index.search("dogs").total == 60  # boxes need no engine
        with pytest.raises(KosmoscopeError, match="lancedb is not installed; install it with"):
            index.like(EMBEDDER, vector_of("0007.jpg"))
    with pytest.raises(KosmoscopeError, match="lancedb is not installed"):
        update_vectors(out, EMBEDDER)

    def never(source: ImageSource, box: object) -> Float:
        raise AssertionError("looked at a picture")

    looked = Embedder("new", "new-1", never)
    with pytest.raises(KosmoscopeError, match="lancedb is not installed"):
        update_vectors(out, looked, engine="lancedb")


@pytest.mark.parametrize("engine", ["qdrant", "sqlite:here", "lancedb:", ""])
def test_engines_that_there_are_not(out: Path, engine: str) -> None:
    with pytest.raises(OptionError, match="expected sqlite, lancedb, lancedb:PLACE"):
        update_vectors(out, EMBEDDER, engine=engine)
    wrong = run("index", str(out), "--vectors", "--engine", engine, "--model", "pocket")
    assert "expected sqlite, lancedb" in one_error(wrong, 2)
    assert "--engine goes with --vectors" in one_error(run("index", str(out), "--engine", "x"), 2)


def test_many_are_asked_through_the_approximate_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance, "MANY", 1000)
    monkeypatch.setattr(lance, "SPARE", 350)
    monkeypatch.setattr("kosmoscope.search.ranking.DEEP", 100)
    folder = search_results.write(tmp_path / "out", lines(range(2000)))
    update_index(folder)
    update_vectors(folder, EMBEDDER, engine="lancedb")
    assert list((folder / "vectors.lancedb").rglob("_indices/*"))
    wanted = vector_of("0700.jpg")
    with Index.open(folder) as index:
        near = index.like(EMBEDDER, wanted, limit=5)
        both = index.search("dogs", limit=5, embedder=EMBEDDER)
    assert near[0].source == "0700.jpg"
    update_vectors(folder, EMBEDDER, engine="sqlite")
    with Index.open(folder) as index:
        exact = index.like(EMBEDDER, wanted, limit=5)
        again = index.search("dogs", limit=5, embedder=EMBEDDER)
    assert len({x.source for x in near} & {x.source for x in exact}) >= 4
    assert both.hits[0] == again.hits[0]
    assert both.alike[0].source == again.alike[0].source == again.hits[0].source


def test_an_index_of_before_is_brought_up_to_date(out: Path) -> None:
    update_vectors(out, EMBEDDER)
    expected = alike(out)
    with closing(sqlite3.connect(out / INDEX)) as base:
        for column in ("engine", "place", "collection"):
            base.execute(f"ALTER TABLE embedder DROP COLUMN {column}")
        base.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    with pytest.raises(KosmoscopeError, match="run `kosmoscope index` again"):
        Index.open(out)
    update_index(out)
    assert alike(out) == expected


UPDATING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from kosmoscope.search import update_vectors, vectors
from kosmoscope.search.index import handing
from kosmoscope.vectorstore import exact
from test_search_engine import EMBEDDER
vectors.STEP = 2
vectors.BLOCK = handing.BLOCK = exact.BLOCK = 4
print("go", flush=True)
made = update_vectors(
    sys.argv[1], EMBEDDER, engine=sys.argv[3],
    progress=lambda done, total: print(done, flush=True),
)
print(made.pictures, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_at_any_moment(out: Path) -> None:
    here = str(Path(__file__).parent)
    cut_short = 0
    # While vectors are made and handed over, and while they are taken back.
    for engine, steps in (("lancedb", 8), ("sqlite", 0)):
        if not steps:
            update_vectors(out, EMBEDDER)
        before = None if steps else state(out)
        process = subprocess.Popen(
            [sys.executable, "-c", UPDATING, str(out), here, engine],
            stdout=subprocess.PIPE, text=True, env=dict(os.environ),
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        said = [process.stdout.readline() for _ in range(steps)]
        while before and state(out) == before and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        cut_short += process.returncode != 0
        with Index.open(out) as index:
            found = index.like(EMBEDDER, vector_of("0000.jpg"), limit=100)
        assert {one.source for one in found} <= {f"{i:04}.jpg" for i in range(60)}
        if said:
            assert 60 > len(found) > 0
    assert cut_short
    made = update_vectors(out, EMBEDDER)
    assert made.pictures == 60
    found = alike(out, limit=60)
    update_vectors(out, EMBEDDER, engine="sqlite")
    assert alike(out, limit=60) == found
    assert len(found) == 4 * 60
