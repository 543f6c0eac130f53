"""Pictures like a picture, and copies of one, in an index of real results."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dual_models
import sam_models
import small_models as small
from cli_runner import one_error, run
from kosmoscope.batch import Task, run_batch
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import InputError, OptionError
from kosmoscope.scope import Scope
from kosmoscope.search import (
    Embedder,
    Index,
    load_embedder,
    scope_embedder,
    update_index,
    update_vectors,
)
from kosmoscope.search.index.schema import INDEX
from kosmoscope.search.making import writing
from server_process import PHOTOS

ROOT = Path(__file__).parent.parent
SOME = ("china", "flower")


@pytest.fixture(scope="module")
def scope() -> Scope:
    return small.talkative()


@pytest.fixture(scope="module")
def embedder(scope: Scope) -> Embedder:
    return scope_embedder(scope)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in SOME:
        with Image.open(PHOTOS / f"{name}.jpg") as image:
            image.thumbnail((200, 200))
            image.save(folder / f"{name}.jpg", quality=90)
            image.resize((90, 60)).save(folder / f"{name}-small.png")
    return folder


@pytest.fixture
def out(scope: Scope, photos: Path, tmp_path: Path) -> Path:
    return describe(scope, photos, tmp_path / "out")


def describe(scope: Scope, photos: Path, out: Path) -> Path:
    options = GenerationOptions(max_new_tokens=4)
    run_batch(scope, [photos], (Task.describe(),), out, options, skip_existing=False)
    return out


def names(index: Index, embedder: Embedder, photo: Path) -> list[str]:
    return [
        Path(found.source).name for found in index.like(embedder, embedder.picture(photo, None))
    ]


def test_the_picture_itself_then_its_copy(out: Path, photos: Path, embedder: Embedder) -> None:
    update_index(out)
    steps: list[tuple[int, int]] = []
    made = update_vectors(out, embedder, progress=lambda *step: steps.append(step))
    assert (made.pictures, made.added, made.unreadable) == (4, 4, 0)
    assert steps == [(4, 4)]
    with Index.open(out) as index:
        assert index.embedders == {embedder.key: embedder.name}
        for name in SOME:
            found = index.like(embedder, embedder.picture(photos / f"{name}.jpg", None))
            assert Path(found[0].source).name == f"{name}.jpg"
            assert found[0].likeness > 0.999
            assert [f.likeness for f in found] == sorted((f.likeness for f in found), reverse=True)
            assert index.descriptions(found[0])[0].caption == found[0].caption
        assert len(index.like(embedder, embedder.picture(photos / "china.jpg", None), limit=2)) == 2
        part = embedder.picture(photos / "china.jpg", (0.1, 0.1, 0.6, 0.7))
        assert index.like(embedder, part)[0].likeness < 0.999


def test_vectors_are_made_once_and_again_for_new_contents(
    out: Path, photos: Path, embedder: Embedder, scope: Scope
) -> None:
    update_index(out)
    update_vectors(out, embedder)
    assert update_vectors(out, embedder).added == 0
    with Image.open(PHOTOS / "flower.jpg") as image:
        image.transpose(Image.Transpose.ROTATE_180).resize((120, 80)).save(photos / "china.jpg")
    describe(scope, photos, out)
    update_index(out)
    assert update_vectors(out, embedder).added == 1
    with Index.open(out) as index:
        assert names(index, embedder, photos / "china.jpg")[0] == "china.jpg"
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(x for x in lines if "flower.jpg" not in x))
    update_index(out)
    with Index.open(out) as index:
        assert "flower.jpg" not in names(index, embedder, photos / "china.jpg")


def test_another_models_vectors_are_refused(out: Path, photos: Path, embedder: Embedder) -> None:
    update_index(out)
    with Index.open(out) as index, pytest.raises(InputError, match="none at all"):
        index.like(embedder, embedder.picture(photos / "china.jpg", None))
    update_vectors(out, embedder)
    other = dataclasses.replace(embedder, name="other", key="0123-int8")
    with Index.open(out) as index:
        with pytest.raises(InputError, match=rf"of other \(0123-int8\); it has {embedder.name}"):
            index.like(other, embedder.picture(photos / "china.jpg", None))
        with pytest.raises(OptionError, match="a vector of shape"):
            index.like(embedder, np.zeros(3, np.float32))
        with pytest.raises(OptionError, match="limit"):
            index.like(embedder, embedder.picture(photos / "china.jpg", None), limit=-1)
    assert update_vectors(out, other).added == 4  # beside the first one's
    with Index.open(out) as index:
        assert list(index.embedders) == [embedder.key, other.key]
        assert len(index.like(embedder, embedder.picture(photos / "china.jpg", None))) == 4


def test_a_picture_that_is_gone_has_no_vector_yet(
    out: Path, photos: Path, embedder: Embedder
) -> None:
    update_index(out)
    hidden = photos.with_name("hidden")
    photos.rename(hidden)
    made = update_vectors(out, embedder)
    assert (made.pictures, made.unreadable) == (0, 4)
    made = update_vectors(out, embedder, images=hidden)
    assert (made.pictures, made.unreadable) == (4, 0)


def test_vectors_need_an_index(out: Path, embedder: Embedder) -> None:
    with pytest.raises(InputError, match="make it with"):
        update_vectors(out, embedder)
    assert not (out / INDEX).exists()


def test_what_is_stopped_goes_on(
    out: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kosmoscope.search.vectors.STEP", 1)
    update_index(out)
    looked = 0

    def breaks(image: object, box: object) -> np.ndarray:
        nonlocal looked
        looked += 1
        if looked == 3:
            raise KeyboardInterrupt
        return embedder.picture(image, box)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        update_vectors(out, dataclasses.replace(embedder, picture=breaks))
    assert update_vectors(out, embedder).added == 2


def test_copies_are_found_where_files_were_read(out: Path) -> None:
    update_index(out)
    with Index.open(out) as index:
        assert index.copies() == []
    update_index(out, pictures=True)
    with Index.open(out) as index:
        groups = [{Path(source).name for source in group} for group in index.copies()]
    assert groups == [{f"{name}.jpg", f"{name}-small.png"} for name in SOME]
    with writing(out) as base:  # a hash with the highest bit is a negative number there
        (low,) = base.execute("SELECT min(hash) FROM print").fetchone()
        assert -(2**63) <= low < 2**63


# The command line, and a model that knows texts


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dual_models.make(tmp_path_factory.mktemp("clip") / "tiny", dual_models.CLIPS[0]).folder


def test_commands(out: Path, photos: Path, clip: Path) -> None:
    photo = str(photos / "china.jpg")
    made = run("index", str(out), "--pictures", "--vectors", "--model", str(clip))
    assert made.exit_code == 0, made.stderr
    assert "4 pictures with a vector of tiny, 4 new" in made.stderr

    found = run("search", str(out), "--like", photo, "--model", str(clip), "--format", "json")
    alike = json.loads(found.stdout)["alike"]
    assert Path(alike[0]["source"]).name == "china.jpg"
    assert alike[0]["likeness"] > 0.999
    part = run("search", str(out), "--like", photo, "--box", "0,0,0.5,0.5", "--model", str(clip),
               "--limit", "1")  # fmt: skip
    assert part.exit_code == 0, part.stderr
    assert part.stdout.count(".jpg") + part.stdout.count(".png") == 1

    copies = run("search", str(out), "--duplicates")
    assert copies.stdout.startswith("2 pictures have copies, 2 altogether")
    assert "china-small.png" in copies.stdout
    groups = json.loads(run("search", str(out), "--duplicates", "--format", "json").stdout)
    assert [len(group) for group in groups["copies"]] == [2, 2]

    words = run("search", str(out), "a temple", "--vectors", "--model", str(clip))
    assert words.exit_code == 0, words.stderr
    assert "Nearest by vectors, right or not:" in words.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "expected a question"),
        (("dogs", "--duplicates"), "one at a time"),
        (("--duplicates", "--like", "x.jpg"), "one at a time"),
        (("dogs", "--box", "0,0,1,1"), "--box goes with --like"),
        (("--like", "x.jpg", "--box", "0,0,2,1"), "0..1"),
    ],
)
def test_wrong_calls(out: Path, args: tuple[str, ...], said: str) -> None:
    update_index(out)
    assert said in one_error(run("search", str(out), *args), 2)


def test_a_model_that_cannot(out: Path) -> None:
    update_index(out)
    for args, said, status in (
        (("--like", "no-such.jpg"), "no-such.jpg", 1),
        (("dogs", "--vectors"), "pocket knows no texts", 2),
    ):
        result = run("search", str(out), *args, "--model", "pocket")
        assert result.exit_code == status
        assert said in result.stderr.splitlines()[-1]  # a line before it may say "converting"


def test_words_order_what_is_found(out: Path, clip: Path) -> None:
    update_index(out)
    embedder = load_embedder(clip)
    update_vectors(out, embedder)
    with Index.open(out) as index:
        alone = index.search("no zebras")
        both = index.search("no zebras", embedder=embedder)
        assert {hit.source for hit in both.hits} == {hit.source for hit in alone.hits}
        # All are as likely: the vectors' order is that of both.
        assert [hit.source for hit in both.hits] == [found.source for found in both.alike]
        assert embedder.text is not None
        assert both.alike == index.like(embedder, embedder.text("no zebras"), of_text=True)
        assert "alike" in both.to_dict()
        assert "alike" not in alone.to_dict()
        assert index.search("no zebras", limit=1, embedder=embedder).hits == both.hits[:1]


def test_any_kind_of_model_that_makes_vectors(tmp_path: Path, embedder: Embedder) -> None:
    picture = np.zeros((60, 60, 3), np.uint8)
    assert load_embedder("pocket", threads=1).picture(picture, None).shape == (192,)
    with pytest.raises(OptionError, match="makes no vectors"):
        load_embedder(sam_models.make(tmp_path / "sam").folder)


def test_what_the_document_says(
    out: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(out.parent)
    (photos / "china.jpg").rename("photo.jpg")
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    _, _, text = text.partition("## Pictures like a picture")
    commands = re.findall(r"^\$ kosmoscope (.*)$", text, re.MULTILINE)
    assert len(commands) == 7
    for command in ("index out", *commands):
        result = run(*shlex.split(command))
        assert result.exit_code == 0, result.stderr
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    exec(code, {})
    said = capsys.readouterr().out.splitlines()
    assert "china-small.png" in said[0]
    assert "flower-small.png" in said[-1]
