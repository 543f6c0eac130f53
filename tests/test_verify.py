"""Is a model what was published of it? On a small likeness, whose results are transformers'."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import checkpoints
import published
import small_models as small
from cli_runner import one_error, run
from hub_server import Fault, HubServer, Repo, write_model
from kosmoscope.grammar import Grammar
from kosmoscope.kinds import KINDS
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.store import folders
from kosmoscope.store import hub as hub_module
from kosmoscope.store.convert import convert
from kosmoscope.store.installed import cached
from kosmoscope.tokens import TokenSet
from kosmoscope.verification.goldens import Goldens
from kosmoscope.verification.picture import read_published
from kosmoscope.verification.run import fp32_bytes

RELEASED = TokenSet(
    bos=0, pad=1, eos=2, unk=3, image_open=64003, image_close=64004, phrase_open=64007,
    phrase_close=64008, object_open=64009, object_close=64010, delimiter=64011, grounding=64012,
    first_location=64013, location_count=1024, vocab_size=65037,
    markup=frozenset((0, 1, 2, 3, *range(64001, 64013))),
)  # fmt: skip
BOXES = "fp32 boxes after '<grounding>An image of'"
DETAILED = "'<grounding>Describe this image in detai…'"
REPO = "microsoft/kosmos-2-patch14-224"
PICTURE = published.PICTURE


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine."""
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "kosmoscope"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub on this machine, whose kosmos-2 is the taught checkpoint."""
    monkeypatch.setattr(hub_module, "_PAUSE_S", 0.0)
    huggingface_hub.close_session()
    folder = home / "repository"
    shutil.copytree(published.taught().folder, folder)
    with HubServer() as server:
        server.repos[REPO] = Repo(folder)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    huggingface_hub.close_session()


@pytest.fixture
def folder(home: Path) -> Path:
    """A copy of the checkpoint, the picture beside it."""
    return small.copy_of(published.taught().folder, home / "copy")


def written(home: Path, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """Write the published results, changed or not."""
    data = published.goldens()
    if change is not None:
        change(data)
    path = home / "goldens.json"
    path.write_text(json.dumps(data))
    return path


def verify(home: Path, name: str | Path, *more: str | Path, **changed: Any) -> dict[str, Any]:
    """Run the command; return its report, which the exit status agrees with."""
    goldens = written(home, **changed)
    result = run("verify", name, "--goldens", goldens, "-t", "1", "-f", "json", *more)
    assert result.stdout, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if report["passed"] else 1)
    assert report["verdict"].startswith("pass: " if report["passed"] else "fail: ")
    return report


def failed(report: dict[str, Any]) -> dict[str, str]:
    return {
        " ".join((c["precision"], c["what"])).strip(): c["detail"]
        for c in report["checks"]
        if c["passed"] is False
    }


def conversions(home: Path) -> set[str]:
    return {
        p.name.split("-")[-2]
        for p in (home / "kosmoscope" / "converted").glob("*")
        if not p.name.startswith(".")
    }


# As it should be


def test_pull_offers_it_and_it_passes(hub: HubServer, home: Path) -> None:
    pulled = run("pull", "kosmos-2", "--precision", "none")
    note = "note: `kosmoscope verify kosmos-2` compares it with published results"
    assert pulled.stderr.splitlines()[-1] == note
    snapshot = cached("kosmos-2", KINDS)
    assert snapshot is not None
    assert not (snapshot / PICTURE).exists()

    result = run("verify", "kosmos-2", "--goldens", written(home), "-t", "1")
    assert result.exit_code == 0
    assert (snapshot / PICTURE).read_bytes() == (home / "repository" / PICTURE).read_bytes()
    assert [s.file for s in hub.gets(PICTURE)] == [PICTURE, PICTURE]  # a redirect, and the file
    assert result.stderr == "note: comparing kosmos-2 with published results\n"
    table, rest = result.stdout.split("\n\npass: ")
    assert table.splitlines()[0].split() == ["check", "weights", "result", "found"]
    assert "FAILED" not in table
    for words in ("text after '<grounding>An image of'  fp32     ok      all 22 ids",
                  "scores after '<grounding>An image of'", "18 scores, largest difference",
                  "vocabulary  -  ok  1,160 ids", "3 in the checkpoint's files"):  # fmt: skip
        assert re.sub(" +", " ", words) in re.sub(" +", " ", table)
    verdict, block = rest.split("\n\nFor an issue:\n\n")
    assert verdict == "kosmos-2 says at fp32 what was published, and int8 stays close to it"
    assert block.startswith("**kosmoscope verify: pass: kosmos-2 says")
    for words in ("- kosmoscope ", "onnxruntime ", "threads", "- weights: `", f"- {PICTURE}: `",
                  f"- revision: `{snapshot.name}`", "- config.json: `", "- pixels: `",
                  "| check | weights | result | found |\n|---|---|---|---|\n| voc"):  # fmt: skip
        assert words in block
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    assert len(rows) == len(table.splitlines())
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    assert conversions(home) == {"int8"}, "fp32 is removed"

    hub.seen.clear()
    again = run("verify", "--goldens", written(home), "-t", "1", "--precision", "fp32", "--keep")
    assert (again.exit_code, hub.seen) == (0, [])
    assert "\npass: kosmos-2 says at fp32 what was published\n" in again.stdout
    assert conversions(home) == {"int8", "fp32"}
    assert run("verify", "--goldens", written(home), "-p", "fp32").exit_code == 0
    assert conversions(home) == {"int8", "fp32"}, "what was there before stays"


def test_the_report_as_json(home: Path, folder: Path) -> None:
    report = verify(home, folder)
    assert failed(report) == {}
    scores = [c for c in report["checks"] if c["what"].startswith("scores")]
    assert len(scores) == 2
    assert all(0 < c["value"] < 1e-4 for c in scores)
    assert report["drift"]["precision"] == "int8"
    assert report["drift"]["agreement"] > 0.95
    assert report["environment"]["processor"]
    assert report["environment"]["packages"]["onnxruntime"]
    assert set(report["hashes"]) == {"config.json", "tokenizer.json", PICTURE, "pixels",
                                     "weights"}  # fmt: skip
    assert len(report["hashes"]["weights"]) == 64
    int4 = verify(home, folder, "--precision", "int4")
    assert int4["drift"]["precision"] == "int4"
    assert {c["precision"] for c in int4["checks"]} == {"", "fp32", "int4"}


def test_the_picture_by_hand(home: Path, folder: Path) -> None:
    (folder / PICTURE).unlink()
    words = f"{folder}: {PICTURE} is not beside the checkpoint; --image FILE gives the picture"
    goldens = written(home)
    assert one_error(run("verify", folder, "--goldens", goldens), 1).startswith(words)
    made = published.taught().folder / PICTURE
    assert failed(verify(home, folder, "--image", made, "-p", "fp32")) == {}
    # What transformers' test leaves behind is that JPEG already.
    Image.open(made).save(home / "new_image.jpg")
    assert failed(verify(home, folder, "--image", home / "new_image.jpg", "-p", "fp32")) == {}
    assert np.array_equal(read_published(made).rgb, np.asarray(published.picture()))
    checkpoints.picture(9).save(home / "other.png")
    other = failed(verify(home, folder, "--image", home / "other.png", "-p", "fp32"))
    assert "fp32 scores after '<grounding>An image of'" in other


def test_the_published_results_are_of_one_piece() -> None:
    """The file that ships: the facts agree with each other and with the geometry."""
    found = Goldens.published()
    found.check()
    assert found.largest_id() == 65036
    assert found.prefix_ids == (0, 64003, *range(4, 68), 64004)
    grammar = Grammar(RELEASED)
    for text in found.texts:
        assert grammar.state_after((*text.prompt_ids, *text.ids[:-1])) == grammar.start()
        assert len(text.ids) <= found.max_new_tokens
        cells = [i - 64013 for i in text.ids if i >= 64013]
        assert text.ids[-1] == 2
        boxes = [b for e in text.entities for b in e.boxes]
        assert len(cells) == 2 * len(boxes)
        for n, box in enumerate(boxes):
            (top, left), (bottom, right) = (divmod(c, 32) for c in cells[2 * n : 2 * n + 2])
            centres = [(v + 0.5) / 32 for v in (left, top, right, bottom)]
            assert list(box) == centres
        for e in text.entities:
            assert text.caption[slice(*e.span)] == e.phrase
        runs = [text.ids[n : n + 3] for n in range(len(text.ids) - 2)]
        assert len(set(runs)) == len(runs), "no run of three comes twice"
        assert len(text.logits) == 6


def test_what_fp32_takes(home: Path, folder: Path) -> None:
    made = convert(KOSMOS2, folder, home / "fp32", "fp32").folder
    data = sum(p.stat().st_size for p in made.iterdir() if p.suffix in (".data", ".npy"))
    need = fp32_bytes(ModelConfig.from_file(folder / "config.json"))
    structure = (made / "structure.data").stat().st_size  # a fifth of this one, a 900th of kosmos-2
    assert data - structure < need < 1.1 * data


# Where it is not


def test_a_changed_weight(home: Path, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    for name in [n for n in tensors if n.endswith(".ffn.fc2.weight")]:
        tensors[name] = -tensors[name]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    found = failed(verify(home, folder))
    assert {"fp32 text after '<grounding>An image of'",
            "fp32 scores after '<grounding>An image of'"} <= found.keys()  # fmt: skip
    detail = found["fp32 text after '<grounding>An image of'"]
    assert re.fullmatch(r"parts at id \d+ of 22: \d+ '.*'; published: \d+ '.*'", detail)


@pytest.mark.parametrize(("by", "passes"), [(2e-4, True), (4e-3, False)])
def test_scores_a_little_off(home: Path, folder: Path, by: float, passes: bool) -> None:
    def change(data: dict[str, Any]) -> None:
        data["texts"][0]["logits"][4]["values"][1] += by

    report = verify(home, folder, "-p", "fp32", change=change)
    what = "fp32 scores after '<grounding>An image of'"
    assert list(failed(report)) == ([] if passes else [what])
    if not passes:
        assert failed(report)[what].endswith("beyond 0.001")
        assert report["verdict"] == f"fail: 1 of 13 checks: {what}"


def test_other_boxes(home: Path, folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        first, second = (text["entities"] for text in data["texts"])
        first[1]["boxes"][0][2] += 1 / 32
        del second[0]["boxes"][1]

    found = failed(verify(home, folder, "-p", "fp32", change=change))
    assert list(found) == [BOXES, f"fp32 boxes after {DETAILED}"]
    assert found[BOXES] == (
        "entity 2: 'a fire' (41, 47) (0.171875, 0.015625, 0.484375, 0.890625); "
        "published: 'a fire' (41, 47) (0.171875, 0.015625, 0.515625, 0.890625)"
    )


def test_another_caption_and_another_end(home: Path, folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["texts"][0]["caption"] += "."
        data["texts"][1]["ids"].pop()
        data["texts"][1]["logits"].pop()

    found = failed(verify(home, folder, "-p", "fp32", change=change))
    caption = found["fp32 caption after '<grounding>An image of'"]
    assert caption.endswith("; published: 'An image of a snowman warming himself by a fire ..'")
    end = found[f"fp32 text after {DETAILED}"]
    assert end == "parts at id 26 of 25: 2 '</s>'; published: the end"


def test_rounding_that_goes_wrong(home: Path, folder: Path) -> None:
    assert failed(verify(home, folder)) == {}
    (place,) = (home / "kosmoscope" / "converted").glob("*int8*")
    data = place / "decoder.data"
    raw = np.fromfile(data, np.uint8)
    raw[len(raw) // 4 : len(raw) // 2] = 0  # of the right size: nothing is found at opening
    raw.tofile(data)
    found = failed(verify(home, folder))
    assert "int8 choices as at fp32" in found
    assert all(what.startswith("int8") for what in found)


def test_another_tokenizer(home: Path, folder: Path) -> None:
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    vocabulary = data["model"]["vocab"]
    dog = next(n for n, (piece, _) in enumerate(vocabulary) if piece == "▁dog")
    vocabulary[dog][0] = "▁hound"
    path.write_text(json.dumps(data))
    report = verify(home, folder)
    first, second = failed(report).items()
    assert first[0] == "ids of '<grounding> a dog in a forest.'"
    assert second[0].startswith("ids of '<grounding> <phrase> two dog </phrase>")
    assert re.fullmatch(r"parts at id 4 of 9: \d+ ' '; published: \d+ ' hound'", first[1])
    assert conversions(home) == set(), "nothing is converted for what cannot come true"
    assert report["drift"] is None


def test_published_results_of_another_model(home: Path, folder: Path) -> None:
    result = run("verify", folder, "-p", "fp32")  # the released model's, against the likeness
    assert result.exit_code == 1
    assert re.search(r"^vocabulary +- +FAILED +1,160 ids; the published texts have 65036$",
                     result.stdout, re.MULTILINE)  # fmt: skip
    assert "\nfail: " in result.stdout


# What cannot be compared


def refused(words: str, status: int, *args: str | Path) -> None:
    error = one_error(run("verify", *args), status)
    assert words in error
    assert len(error) < 400


def test_the_picture_does_not_come(hub: HubServer, home: Path, monkeypatch: Any) -> None:
    by_hand = "; --image FILE gives the picture by hand"
    goldens = ("--goldens", written(home))
    run("pull", "kosmos-2", "--precision", "none")
    hub.inject(PICTURE, Fault("corrupt"))
    refused(f"{PICTURE} is not what the hub says it is", 1, "kosmos-2", *goldens)
    hub.inject(PICTURE, Fault("status", times=99, status=503))
    refused(f"kosmos-2: {PICTURE}: the hub answered 503", 1, "kosmos-2", *goldens)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = f"kosmos-2: {PICTURE} is not in the cache and HF_HUB_OFFLINE is set; unset it"
    refused(offline + by_hand, 1, "kosmos-2", *goldens)
    assert conversions(home) == set()
    made = published.taught().folder / PICTURE
    by_image = run("verify", *goldens, "--image", made, "-p", "fp32", "-t", "1")
    assert by_image.exit_code == 0


def test_a_transfer_of_the_picture_is_resumed(hub: HubServer, home: Path) -> None:
    run("pull", "kosmos-2", "--precision", "none")
    hub.inject(PICTURE, Fault("drop", after=700))
    assert failed(verify(home, "kosmos-2", "-p", "fp32")) == {}
    assert "bytes=700-" in {s.range for s in hub.gets(PICTURE)}


def test_a_hub_without_the_picture(hub: HubServer, home: Path) -> None:
    (home / "repository" / PICTURE).unlink()
    run("pull", "kosmos-2", "--precision", "none")
    host = hub.url.partition("://")[2]
    words = f"kosmos-2 on {host}: {PICTURE} is missing; --image FILE gives the picture by hand"
    refused(words, 1, "kosmos-2", "--goldens", written(home))


def test_no_picture(home: Path, folder: Path) -> None:
    goldens = ("--goldens", written(home))
    file = folder / PICTURE
    file.write_text("<html>sign in</html>")
    refused(f"{file}: ", 1, folder, *goldens)
    file.write_bytes(b"")
    refused("the file is empty", 1, folder, *goldens)
    Image.new("RGBA", (9, 9)).save(file)
    refused("RGBA pixels cannot be saved as JPEG", 1, folder, *goldens)
    refused("no such file", 1, folder, *goldens, "--image", home / "none.png")
    assert conversions(home) == set()


def test_no_such_model(home: Path, folder: Path) -> None:
    refused("kosmos-2: not on this machine; run `kosmoscope pull kosmos-2`", 1)
    refused("no such folder", 1, home / "nowhere")
    refused("did you mean kosmos-2", 1, "kosmos2")
    refused("pocket: ships with kosmoscope; published results are of kosmos-2", 2, "pocket")
    refused("sam-vit-base: Segment Anything; expected a Kosmos-2 model", 1, "sam-vit-base")
    other = write_model(home / "sam")
    (other / "config.json").write_text('{"model_type": "sam"}')
    refused("config.json: model_type is 'sam'; expected 'kosmos-2'", 1, other)
    made = convert(KOSMOS2, folder, home / "int8", "int8").folder
    refused("int8: converted already; give the folder it was made from", 2, made)
    (folder / "model.safetensors").unlink()
    refused("no weights", 1, folder)


def test_no_room(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda p: real(p)._replace(free=1000))
    need = fp32_bytes(ModelConfig.from_file(folder / "config.json"))
    words = f"the fp32 form needs {need:,} bytes, 1,000 are free; KOSMOSCOPE_HOME says where"
    refused(words, 1, folder, "--goldens", written(home))
    assert not folders.converted_root().exists()
    # Nor is there any where nobody can write.
    monkeypatch.undo()
    (home / "file").write_text("")
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(home / "file" / "kosmoscope"))
    goldens = written(home)
    result = run("verify", folder, "--goldens", goldens)
    assert (result.exit_code, result.stdout) == (1, "")
    *_, error = result.stderr.splitlines()
    assert error.endswith("; KOSMOSCOPE_HOME says where conversions are kept")
    # What is there already needs no room.
    monkeypatch.undo()
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(home / "kosmoscope"))
    verify(home, folder, "-p", "fp32", "--keep")
    monkeypatch.setattr(shutil, "disk_usage", lambda p: real(p)._replace(free=1000))
    assert failed(verify(home, folder, "-p", "fp32")) == {}


@pytest.mark.parametrize(("change", "words"), [
    (lambda d: d.pop("texts"), "texts"),
    (lambda d: d.update(format=9), "format 9; this version reads 1"),
    (lambda d: d.update(texts=[]), "texts is empty"),
    (lambda d: d.update(picture="../../etc/passwd"), "expected the plain name of a file"),
    (lambda d: d.update(max_new_tokens=3), "has 22 ids; expected 1 to 3"),
    (lambda d: d["texts"][0].update(ids=["a"]), "ids"),
    (lambda d: d["texts"][0]["logits"][0].update(token=22), "logits of token 22: no such"),
    (lambda d: d["texts"][0]["entities"][0].update(boxes=[[1, 2, 3]]), "boxes"),
])  # fmt: skip
def test_no_results_to_compare_with(home: Path, folder: Path, change: Any, words: str) -> None:
    path = written(home, change)
    error = one_error(run("verify", folder, "--goldens", path), 2)
    assert error.startswith(f"{path}: no published results: ")
    assert words in error
    path.write_text("{")
    assert one_error(run("verify", folder, "--goldens", path), 2).startswith(f"{path}: not JSON")


def test_ids_that_no_model_has(home: Path, folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["texts"][1]["ids"][3] = -1

    found = failed(verify(home, folder, change=change))
    assert found == {"vocabulary": "1,160 ids; the published texts have -1"}


def test_a_text_without_form(home: Path, folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        ids = data["texts"][1]["ids"]
        ids[5], ids[6] = ids[6], ids[5]  # an inverted box

    path = written(home, change)
    error = one_error(run("verify", folder, "--goldens", path), 2)
    assert error.startswith("id 7 of the text after '<grounding>Describe this image in detail:'")
    assert conversions(home) == set()


def test_a_wrong_call(folder: Path) -> None:
    assert "--threads is 0" in one_error(run("verify", folder, "-t", "0"), 2)
    assert "'int9'" in run("verify", folder, "-p", "int9").stderr
