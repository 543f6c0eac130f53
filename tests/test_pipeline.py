"""One pipeline, whatever takes its results: a folder, standard output, a segmenter."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli_runner import POCKET, one_error, results, run
from kosmoscope import Description
from kosmoscope.batch import PictureDone, Sink, Source, Task, describe_pictures, read_results
from kosmoscope.batch.decoding import Failed
from kosmoscope.cli.segment_files import SegmentFiles
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import CorruptImageError
from kosmoscope.scope import Scope, load
from kosmoscope.segment import Segmentation
from kosmoscope.types import Timing

OPTIONS = GenerationOptions(max_new_tokens=8)
SHORT = [*POCKET, "-n", "12"]


@pytest.fixture(scope="module")
def scope() -> Scope:
    return load("pocket", threads=1)


def picture(path: Path, seed: int) -> Path:
    colours = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(colours).resize((64, 48), Image.Resampling.BICUBIC).save(path, "PNG")
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Eleven, more than a window; the sixth one is broken."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [picture(folder / f"{i:02}.png", i) for i in range(11)]
    paths[5].write_bytes(paths[5].read_bytes()[:90])
    return paths


class Listed(Sink):
    """Keeps what comes, in its order."""

    def __init__(self) -> None:
        self.came: list[PictureDone | Failed] = []

    def add(self, done: PictureDone) -> None:
        self.came.append(done)

    def fail(self, failed: Failed) -> None:
        self.came.append(failed)


def untimed(description: Description) -> Description:
    return replace(description, timing=Timing())


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_what_comes_keeps_the_order_of_the_sources(
    scope: Scope, pictures: list[Path], batch_size: int
) -> None:
    sink = Listed()
    tasks = [Task.describe(), Task.ask("What?")]
    sources = [Source(str(p)) for p in [*pictures, pictures[0]]]
    describe_pictures(scope, sources, tasks, OPTIONS, sink, batch_size=batch_size)
    assert [one.source for one in sink.came] == sources, "twice the same is answered twice"
    (failed,) = [one for one in sink.came if isinstance(one, Failed)]
    assert (failed.source, failed.kind) == (sources[5], "CorruptImageError")
    for one in sink.came:
        if isinstance(one, PictureDone):
            assert [d.image.path for d in one.descriptions] == [one.source.path] * 2
            assert one.tasks == tuple(tasks)
    assert not [t for t in threading.enumerate() if t.name.startswith("kosmoscope")]


def test_a_stream_is_a_source_too(scope: Scope, pictures: list[Path]) -> None:
    sink = Listed()
    data = io.BytesIO(pictures[1].read_bytes())
    sources = [Source("<stdin>", stream=data), Source(str(pictures[1]))]
    describe_pictures(scope, sources, [Task.describe()], OPTIONS, sink)
    one, same = sink.came
    assert isinstance(one, PictureDone)
    assert isinstance(same, PictureDone)
    assert one.descriptions[0].image.path == "<stdin>"
    assert (one.sha256, one.descriptions[0].caption) == (
        same.sha256, same.descriptions[0].caption)  # fmt: skip


def test_what_a_hook_makes_nothing_of_is_reported_and_kept(
    scope: Scope, pictures: list[Path]
) -> None:
    sink = Listed()

    def hook(done: PictureDone) -> None:
        if done.source.path.endswith("01.png"):
            raise CorruptImageError(done.source.path, "cannot be drawn")

    sources = [Source(str(p)) for p in pictures[:3]]
    describe_pictures(scope, sources, [Task.describe()], OPTIONS, sink, on_picture=hook)
    assert [type(one) for one in sink.came] == [PictureDone, Failed, PictureDone, PictureDone]
    assert isinstance(sink.came[1], Failed)
    assert sink.came[1].stage == "picture"


@pytest.mark.parametrize("method", ["plan", "owner", "fresh", "add", "fail"])
def test_an_error_of_a_sink_stops_all_and_comes_out(
    scope: Scope, pictures: list[Path], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(method)

    monkeypatch.setattr(Listed, method, broken)
    sources = [Source(str(p)) for p in pictures]
    with pytest.raises(RuntimeError, match=method):
        describe_pictures(scope, sources, [Task.describe()], OPTIONS, Listed(), batch_size=2)
    assert not [t for t in threading.enumerate() if t.name.startswith("kosmoscope")]


def test_printed_and_written_descriptions_are_the_same(
    pictures: list[Path], tmp_path: Path
) -> None:
    """The broken one is reported in both, and the rest goes on in its order."""
    asked = ("--prompt", "brief", "--ground", "a dog")
    printed = run("describe", *SHORT, *asked, *pictures, "--format", "json")
    written = run("describe", *SHORT, *asked, *pictures, "-o", tmp_path / "out")
    assert (printed.exit_code, written.exit_code) == (1, 1)
    found = [untimed(d) for d in results(printed.stdout)]
    assert found == [untimed(r.description) for r in read_results(tmp_path / "out")]
    paths = [str(p) for p in pictures if p != pictures[5]]
    assert [d.image.path for d in found] == [p for p in paths for _ in range(2)]
    (line,) = printed.stderr.splitlines()
    (error,) = map(json.loads, (tmp_path / "out" / "errors.jsonl").read_text().splitlines())
    assert line == f"error: {error['error']}"


def test_pictures_are_saved_as_they_are_annotated(pictures: list[Path], tmp_path: Path) -> None:
    """One hook: what cannot be drawn is reported, and the description is there all the same."""
    gone = pictures[0]
    png = ("--image-format", "png")
    saved = run("describe", *SHORT, *pictures[:3], "--save", tmp_path / "saved", *png)
    assert saved.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "saved").glob("[!.]*")) == [
        p.name for p in pictures[:3]
    ]
    made = run("describe", *SHORT, *pictures[:3], "-o", tmp_path / "out", "--annotate", *png)
    assert made.exit_code == 0
    drawn = sorted((tmp_path / "out" / "annotated").glob("[!.]*"))
    for one, other in zip(sorted((tmp_path / "saved").glob("[!.]*")), drawn, strict=True):
        assert one.read_bytes() == other.read_bytes()
    piped = run(
        "describe", *SHORT, "-", pictures[1], "--save", tmp_path / "piped", "-f", "json",
        input=gone.read_bytes(),
    )  # fmt: skip
    assert (piped.exit_code, piped.stderr) == (0, "")
    assert [d.image.path for d in results(piped.stdout)] == ["<stdin>", str(pictures[1])]
    assert [p.name for p in sorted((tmp_path / "piped").glob("[!.]*"))] == [
        "01.jpg", "stdin.jpg",
    ]  # fmt: skip
    same = run("describe", *SHORT, gone, "--save", tmp_path / "same")
    assert same.exit_code == 0
    from_file, from_stdin = tmp_path / "same/00.jpg", tmp_path / "piped/stdin.jpg"
    assert from_file.read_bytes() == from_stdin.read_bytes()
    svg = run(
        "describe", *SHORT, "-", "--save", tmp_path / "svg", "--image-format", "svg",
        input=gone.read_bytes(),
    )  # fmt: skip
    assert svg.exit_code == 2
    assert "an SVG overlay refers to the picture's file" in svg.stderr
    empty = run("describe", *SHORT, "-", "--save", tmp_path / "empty", input=b"")
    assert (empty.exit_code, empty.stderr) == (1, "error: <stdin>: the file is empty (0 bytes)\n")


@pytest.mark.parametrize(
    "call", [("ground", "-", "a dog"), ("refer", "-", "--box", "0,0,1,1"), ("ask", "-", "What?")]
)
def test_every_question_takes_a_picture_on_standard_input(
    pictures: list[Path], call: tuple[str, ...]
) -> None:
    asked = run(*call, *SHORT, "-f", "json", input=pictures[0].read_bytes())
    assert (asked.exit_code, asked.stderr) == (0, "")
    assert results(asked.stdout)[0].image.path == "<stdin>"


def test_a_folder_is_no_picture_to_ask_about(pictures: list[Path]) -> None:
    error = one_error(run("ground", *SHORT, pictures[0].parent, "a dog"), 1)
    assert error.endswith("is a folder; expected a file")


@pytest.mark.skipif(os.name == "nt", reason="names that Windows cannot have")
def test_a_name_that_is_not_utf8_is_annotated(tmp_path: Path) -> None:
    try:
        path = picture(tmp_path / os.fsdecode(b"caf\xe9.png"), 1)
    except OSError:
        pytest.skip("no such names here")
    result = run("describe", *SHORT, path, "-o", tmp_path / "out", "--annotate")
    assert (result.exit_code, len(list((tmp_path / "out" / "annotated").glob("[!.]*")))) == (0, 1)
    assert not (tmp_path / "out" / "errors.jsonl").read_bytes()
    record = json.loads((tmp_path / "out" / "results.jsonl").read_bytes())
    assert record["description"]["image"]["path"] == record["source"]
    (read,) = read_results(tmp_path / "out")
    assert read.description.image.path == str(path)


def test_pictures_and_descriptions_are_segmented_alike(photos: Path, tmp_path: Path) -> None:
    photo = tmp_path / "china.png"
    with Image.open(photos / "china.jpg") as image:
        image.resize((320, 214)).save(photo)
    at_once = run("segment", photo, *POCKET, "--format", "json")
    (one,) = map(Segmentation.from_json, at_once.stdout.splitlines())
    assert run("describe", photo, *POCKET, "-o", tmp_path / "out", "--quiet").exit_code == 0
    assert run("segment", tmp_path / "out", "--quiet").exit_code == 0
    (other,) = SegmentFiles.of(tmp_path / "out" / "segments")
    assert np.array_equal(one.labels, other.labels)
    assert (one.segments, one.caption) == (other.segments, other.caption)
    facade = load("pocket").segment(photo)
    assert (facade.segments, facade.caption) == (one.segments, one.caption)


def test_several_phrases_are_segments_of_their_own(photos: Path, tmp_path: Path) -> None:
    phrases = ("--phrase", "the sky", "--phrase", "a house")
    result = run("segment", photos / "china.jpg", *POCKET, *phrases, "--format", "json")
    (found,) = map(Segmentation.from_json, result.stdout.splitlines())
    assert found.caption == "the sky, a house"
    assert {(s.phrase, s.entity) for s in found.segments} == {("the sky", 0), ("a house", 1)}


def test_one_text_grows_on_a_terminal_and_pictures_come_one_by_one(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    stream, complete = Scope.stream, Scope.complete

    def streamed(self: Scope, prompt: Any, *rest: Any) -> Any:
        calls.append(("stream", 1))
        return stream(self, prompt, *rest)

    def completed(self: Scope, prompts: Any, *rest: Any) -> Any:
        calls.append(("complete", len(prompts)))
        return complete(self, prompts, *rest)

    def call(*args: Any) -> list[tuple[str, int]]:
        calls.clear()
        assert run("describe", *SHORT, *args).exit_code == 0
        return calls

    monkeypatch.setattr(Scope, "stream", streamed)
    monkeypatch.setattr(Scope, "complete", completed)
    assert call(*pictures[:3]) == [("complete", 3)], "to a pipe, together"
    monkeypatch.setattr("kosmoscope.cli.terminal.is_terminal", lambda stream: stream is not None)
    assert call(pictures[0]) == [("stream", 1)]
    assert call(*pictures[:3]) == [("complete", 1)] * 3
    assert call(pictures[0], "--prompt", "brief", "--prompt", "detailed") == [("complete", 2)]
    assert call(pictures[0], "--num-beams", "2") == [("complete", 1)]
    assert call(*pictures[:3], "--format", "json") == [("complete", 3)]
