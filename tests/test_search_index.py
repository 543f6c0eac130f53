"""The index of a folder of results: made, brought up to date, damaged, moved, asked."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmoscope.errors import FolderBusyError, InputError, OptionError
from kosmoscope.files.locks import if_free
from kosmoscope.questions.evaluate.packing import pack
from kosmoscope.search import INDEX, Index, IndexDamagedError, update_index
from kosmoscope.search.index import reading, schema
from kosmoscope.search.index.chunks import Chunk, joined
from kosmoscope.search.making import LOCK
from search_results import LEFT, MIDDLE, RIGHT, append, known, line, write

DOG, CAT, CAR = ("a dog", 0.9, LEFT), ("a cat", 0.8, MIDDLE), ("a red car", 0.7, RIGHT)


def sources(folder: Path, question: str) -> list[str]:
    with Index.open(folder) as index:
        return [hit.source for hit in index.search(question).hits]


def test_made_and_asked(tmp_path: Path) -> None:
    out = write(
        tmp_path, [line("a/1.jpg", [DOG, CAR]), line("a/b/2.jpg", [CAT]), line("3.jpg", [])]
    )
    made = update_index(out)
    assert (made.pictures, made.added, made.changed, made.dropped) == (3, 3, 0, 0)
    with Index.open(out) as index:
        answer = index.search("a dog left of a car")
        (hit,) = answer.hits
        assert (hit.source, answer.total, answer.pictures) == ("a/1.jpg", 1, 3)
        assert hit.probability == pytest.approx(0.63)
        assert hit.caption == "An image of a dog and a red car"
        (sight,) = hit.evidence
        assert (sight.part, sight.phrase, sight.box) == ("a dog left of a car", "a dog", LEFT)
        assert (sight.relation, sight.other_phrase, sight.other_box) == ("left", "a red car", RIGHT)
        (description,) = index.descriptions(hit)
        assert [e.phrase for e in description.entities] == ["a dog", "a red car"]
        shown = index.shown(hit)
        assert [(e.phrase, e.boxes[0].xyxy) for e in shown.entities] == [
            ("a dog", LEFT), ("a red car", RIGHT),
        ]  # fmt: skip
    assert sources(out, "an animal") == ["a/1.jpg", "a/b/2.jpg"]
    assert sources(out, "no animals") == ["3.jpg"]
    assert sources(out, "folder:a a cat") == ["a/b/2.jpg"]
    assert sources(out, '"red car"') == ["a/1.jpg"]
    assert sources(out, "a blue car") == []


def test_nothing_is_an_answer_with_what_came_nearest(tmp_path: Path) -> None:
    out = write(tmp_path, [line("1.jpg", [DOG, CAR]), line("2.jpg", [CAT]), line("3.jpg", [])])
    update_index(out)
    with Index.open(out) as index:
        answer = index.search("three dogs left of a purple car")
        assert (answer.hits, answer.total) == ((), 0)
        assert [hit.source for hit in answer.nearest] == ["1.jpg"]
        assert {s.phrase for s in answer.nearest[0].evidence} == {"a dog", "a red car"}
        assert index.search("a zebra").nearest == ()
        answer = index.search("qwxz")
        assert answer.notes == (
            "'qwxz' is a word that neither the pictures nor the table of words have",
        )
        assert index.search("a zebra").notes == ()
        assert not answer.hits


def test_the_likeliest_first_and_equal_ones_in_their_order(tmp_path: Path) -> None:
    scores = [0.6, 0.9, 0.6, 0.3, 0.6, 0.95]
    out = write(tmp_path, [line(f"{i}.jpg", [("a dog", p, LEFT)]) for i, p in enumerate(scores)])
    update_index(out)
    assert sources(out, "a dog") == ["5.jpg", "1.jpg", "0.jpg", "2.jpg", "4.jpg"]
    with Index.open(out) as index:
        answer = index.search("a dog", limit=3)
        assert ([h.source for h in answer.hits], answer.total) == (["5.jpg", "1.jpg", "0.jpg"], 5)
        assert index.search("a dog", cut_off=0.2).total == 6
        assert index.search("a dog", limit=0).hits == ()
        for wrong in ({"limit": -1}, {"limit": 1.5}, {"cut_off": 2}, {"cut_off": float("nan")}):
            with pytest.raises(OptionError):
                index.search("a dog", **wrong)
        with pytest.raises(OptionError, match="expected 0 to 5"):
            index.record(6)


def test_changes_are_taken_over(tmp_path: Path) -> None:
    out = write(tmp_path, [line("1.jpg", [DOG]), line("2.jpg", [CAT])])
    update_index(out)
    index = Index.open(out)
    assert index.search("a car").total == 0
    # A new picture, another text about one that is there, and one whose content is another now.
    append(out, [line("3.jpg", [CAR]), line("1.jpg", [CAR], task="detailed")])
    append(out, [line("2.jpg", [DOG], content="new")])
    made = update_index(out)
    assert (made.pictures, made.added, made.changed, made.dropped) == (3, 1, 2, 0)
    assert [hit.source for hit in index.search("a car").hits] == ["1.jpg", "3.jpg"]
    assert [hit.source for hit in index.search("a dog and a car").hits] == ["1.jpg"]
    assert index.search("a cat").total == 0
    # The file is another one: what it has no more drops out, what is the same stays.
    write(out, [line("2.jpg", [DOG], content="new"), line("4.jpg", [CAT])])
    made = update_index(out)
    assert (made.pictures, made.added, made.changed, made.dropped) == (2, 1, 0, 2)
    assert [hit.source for hit in index.search("").hits] == ["2.jpg", "4.jpg"]
    assert update_index(out, rebuild=True).added == 2
    assert [hit.source for hit in index.search("a cat").hits] == ["4.jpg"]
    index.close()
    index.close()


THINGS = st.lists(st.sampled_from([DOG, CAT, CAR, ("two people", 0.6, RIGHT)]), max_size=3)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["append", "rewrite", "torn"]),
        st.lists(
            st.tuples(
                st.integers(0, 5), THINGS, st.sampled_from(["brief", "long"]), st.integers(0, 1)
            ),
            min_size=1,
            max_size=6,
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(CHANGES)
@settings(max_examples=25, deadline=None)
def test_step_by_step_is_from_scratch(changes: list) -> None:
    """Whatever happens to results.jsonl, the index is that of the file as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "STEP", 2)
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            out = write(root / "out", [])
            for kind, pictures in changes:
                lines = [
                    line(f"{n}.jpg", things, task=task, content=f"{n}-{content}")
                    for n, things, task, content in pictures
                ]
                if kind == "rewrite":
                    write(out, lines)
                else:
                    append(out, lines)
                if kind == "torn":
                    data = (out / "results.jsonl").read_bytes()
                    (out / "results.jsonl").write_bytes(data[:-5])
                    update_index(out)
                    (out / "results.jsonl").write_bytes(data)
                update_index(out)
            fresh = write(root / "fresh", [(out / "results.jsonl").read_bytes()])
            update_index(fresh)
            assert known(out) == known(fresh)


def updated_and_asked(out: Path) -> None:
    update_index(out)
    with Index.open(out) as index:
        index.search("a dog")


def test_damaged_ones_are_named_and_made_anew(tmp_path: Path) -> None:
    out = write(tmp_path / "out", [line(f"{i}.jpg", [DOG]) for i in range(300)])
    update_index(out)
    before, good = known(out), (out / INDEX).read_bytes()
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as base:
        base.execute("CREATE TABLE meta (x)")
    base.close()
    cases = {
        "text": b"This is not a database. " * 400,
        "torn": good[: len(good) // 2],
        "overwritten": good[:4096] + bytes(len(good) - 4096),
        "foreign": foreign.read_bytes(),
    }
    for data in cases.values():
        (out / INDEX).write_bytes(data)
        with pytest.raises(
            IndexDamagedError, match=r"index\.sqlite: is no index, or a damaged one"
        ) as caught:
            updated_and_asked(out)
        assert "\n" not in str(caught.value)
        assert update_index(out, rebuild=True).added == 300
        assert known(out) == before


def test_of_another_version(tmp_path: Path) -> None:
    out = write(tmp_path, [line("1.jpg", [DOG])])
    update_index(out)
    with sqlite3.connect(out / INDEX) as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    for ask in (update_index, Index.open):
        with pytest.raises(IndexDamagedError, match="a later version"):
            ask(out)
    assert update_index(out, rebuild=True).added == 1


def test_what_is_no_folder_of_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder of `describe -o`"):
        update_index(tmp_path)
    with pytest.raises(InputError, match=r"has no index\.sqlite; make it with `kosmoscope index"):
        Index.open(tmp_path)
    out = write(tmp_path, [line("1.jpg", [DOG]), b'{"task": "brief"}\n', line("2.jpg", [DOG])])
    with pytest.raises(InputError, match=rf"the line at byte {len(line('1.jpg', [DOG]))} is not"):
        update_index(out)
    write(out, [line("1.jpg", [DOG])])
    assert update_index(out).pictures == 1
    with if_free(out / LOCK) as free:
        assert free
        with pytest.raises(FolderBusyError, match="by another process"):
            update_index(out)


def test_odd_names(tmp_path: Path) -> None:
    names = ["a b/ü.jpg", "no\udcfftf8.jpg", "line\nbreak.jpg", "-x.jpg", "🐶.jpg", "c:\\d\\e.jpg"]
    out = write(tmp_path, [line(name, [DOG]) for name in names])
    update_index(out)
    assert sources(out, "a dog") == [n.replace("\udcff", "\\xff") for n in names]
    assert sources(out, "a dog folder:d") == ["c:\\d\\e.jpg"]


def test_moved_with_its_pictures(tmp_path: Path) -> None:
    base = str(tmp_path / "one")
    out = write(tmp_path / "one" / "out", [line("1.jpg", [DOG], base=base)])
    (tmp_path / "one" / "1.jpg").write_bytes(b"")
    update_index(out)
    moved = shutil.move(tmp_path / "one", tmp_path / "two")
    out = Path(moved) / "out"
    made = update_index(out)
    assert (made.pictures, made.dropped) == (1, 1)
    with Index.open(out) as index:
        (hit,) = index.search("a dog").hits
        (description,) = index.descriptions(hit)
        assert description.image.path == str(tmp_path / "two" / "1.jpg")


def test_read_where_nobody_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = write(tmp_path, [line("1.jpg", [DOG])])
    update_index(out)
    monkeypatch.setattr(schema.os, "access", lambda *_: False)
    before = sorted(p.name for p in out.iterdir())
    with Index.open(out) as index:
        assert index.search("a dog").total == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            index._base.execute("DELETE FROM picture")
        assert sorted(p.name for p in out.iterdir()) == before


def test_chunks() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for ids in ([5], [2, 9], [], [3]):
        things = rng.integers(0, 3, len(ids)).astype(np.uint16)
        record = pack([], lambda _: 0)
        many = int(things.sum())
        record = type(record)(
            np.array([ids[i] for i in np.repeat(np.arange(len(ids)), things)], np.int32),
            np.zeros((many, 4), np.uint16), *(np.zeros(many, np.uint16) for _ in range(2)),
            np.ones(many, np.uint8),
        )  # fmt: skip
        id = np.array(ids, np.uint32)
        parts.append(Chunk(id, id * 10, id * 100, things, record))
    whole = joined(parts)
    again = Chunk.from_bytes(whole.to_bytes())
    assert again.id.tolist() == [2, 3, 5, 9]
    # The phrase of each thing was made its picture's id.
    assert again.seen.phrase.tolist() == np.repeat(again.id, again.things).tolist()
    less = again.without(np.array([3, 9], np.uint32))
    assert less.id.tolist() == [2, 5]
    assert less.seen.phrase.tolist() == np.repeat(less.id, less.things).tolist()
    for wrong in (b"", b"1234567", whole.to_bytes()[:-1], whole.to_bytes() + b"x"):
        with pytest.raises(ValueError):
            Chunk.from_bytes(wrong)
