"""The commands that look at pictures, through the runner; see test_cli_process for processes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli_runner import POCKET, QUIET, one_error, results, run
from kosmoscope import Description, __version__
from kosmoscope.cli.app import app
from kosmoscope.cli.boxes import Units, typed_box
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import PrecisionName
from kosmoscope.cli.reference import reference
from kosmoscope.cli.render import boxes, caption, described, size_text
from kosmoscope.cli.terminal import json_line
from kosmoscope.errors import BoxError
from kosmoscope.files.text import one_line
from kosmoscope.model.quantization import PRECISIONS
from kosmoscope.types import Box, Entity, ImageInfo, Timing

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="session")
def china(photos: Path) -> Path:
    return photos / "china.jpg"


@pytest.fixture(scope="session", autouse=True)
def _converted(_isolated_cache: None, china: Path) -> None:
    """Convert once, so that no test meets the note that says so."""
    assert run("describe", *QUIET, china).exit_code == 0


def test_describe_text(china: Path) -> None:
    result = run("describe", *POCKET, china)
    assert result.exit_code == 0
    assert result.stderr == ""
    (d,) = results(run("describe", *POCKET, china, "--format", "json").stdout)
    assert "\x1b" not in result.stdout
    lines = result.stdout.splitlines()
    assert lines[0] == f"{china}  640x427"
    numbered = d.caption
    for number, entity in reversed(list(enumerate(d.entities, 1))):
        end = entity.span[1]
        numbered = f"{numbered[:end]}[{number}]{numbered[end:]}"
    assert lines[1] == numbered
    for entity in d.entities:
        for box in entity.boxes:
            assert ",".join(f"{v:.3f}" for v in box.xyxy) in result.stdout
    assert lines[-1].startswith("pocket int8, ")


def test_describe_json_has_what_was_promised(china: Path) -> None:
    result = run("describe", *POCKET, china, "--format", "json")
    (line,) = result.stdout.splitlines()
    data = json.loads(line)
    assert data["image"] == {"path": str(china), "width": 640, "height": 427, "frames": 1}
    assert (data["model"], data["precision"], data["prompt"]) == ("pocket", "int8", "An image of")
    for key in ("caption", "tagged", "raw", "token_ids", "entities", "finish_reason", "timing"):
        assert key in data
    for entity in data["entities"]:
        assert {"phrase", "span", "score", "boxes"} <= entity.keys()
        for box in entity["boxes"]:
            assert {"xyxy", "xyxy_px", "score", "refined"} <= box.keys()
    assert results(result.stdout)


def test_describe_passes_its_options_on(china: Path) -> None:
    def ids(*args: str) -> tuple[int, ...]:
        (d,) = results(run("describe", *POCKET, china, "-f", "json", *args).stdout)
        return d.token_ids

    assert len(ids("-n", "3")) == 3
    hot = ("--temperature", "3", "-n", "24")
    assert ids(*hot, "--seed", "1") == ids(*hot, "--seed", "1")
    assert ids(*hot, "--seed", "1") != ids(*hot, "--seed", "2")
    assert ids(*hot, "--top-p", "1e-6") == ids("-n", "24")
    grams = ids("--no-repeat-ngram", "1", "-n", "24", "--unconstrained")
    assert len(set(grams)) == len(grams)
    beams = run("describe", *QUIET, china, "--num-beams", "2")
    assert beams.exit_code == 0
    (d,) = results(run("describe", *QUIET, china, "--no-boxes", "-f", "json").stdout)
    assert (d.entities, "<" in d.tagged) == ((), False)
    (d,) = results(run("describe", *QUIET, china, "-f", "json", "--prompt", "There is").stdout)
    assert d.caption.startswith("There is")
    (d,) = results(run("describe", *QUIET, china, "-f", "json", "--prompt", "detailed").stdout)
    assert d.prompt == "Describe this image in detail:"
    (d,) = results(run("describe", *QUIET, china, "-f", "json", "-p", "int4", "-t", "1").stdout)
    assert d.precision == "int4"
    (d,) = results(run("describe", *QUIET, china, "-f", "json", "--unconstrained").stdout)
    assert d.timing.forced_tokens == 0


def test_cut_off_is_said(china: Path) -> None:
    assert "! cut off; --max-new-tokens" in run("describe", *POCKET, china, "-n", "2").stdout


def test_several_pictures_with_bad_ones(photos: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    good = [photos / "china.jpg", photos / "flower.jpg"]
    result = run("describe", *QUIET, "-f", "json", good[0], tmp_path / "no.jpg", empty, good[1])
    assert result.exit_code == 1
    assert [d.image.path for d in results(result.stdout)] == [str(p) for p in good]
    first, second = result.stderr.splitlines()
    assert first == f"error: {tmp_path / 'no.jpg'}: no such file"
    assert second.startswith(f"error: {empty}: the file is empty")
    text = run("describe", *QUIET, *good).stdout
    assert text.count(" 640x427\n") == 2
    assert text.count("tokens, ") == 2


def test_stdin(china: Path) -> None:
    result = run("describe", *QUIET, "-", "-f", "json", input=china.read_bytes())
    (d,) = results(result.stdout)
    assert (d.image.path, d.image.width) == ("<stdin>", 640)
    assert one_error(run("describe", *QUIET, "-", input=b""), 1).startswith("<stdin>: the file is")
    assert "given twice" in one_error(run("describe", *QUIET, "-", "-", input=b""), 2)


def test_default_model(china: Path) -> None:
    result = run("describe", china, "-n", "3", "-f", "json")
    assert results(result.stdout)[0].model == "pocket"
    assert result.stderr == "", "a log or a pipe is no place for advice"


@pytest.mark.parametrize("quiet", [True, False])
def test_who_sits_at_a_terminal_is_told_of_the_small_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    monkeypatch.setattr("kosmoscope.cli.terminal.is_terminal", lambda _: True)
    assert ModelOptions().quietly(quiet).chosen_name() == "pocket"
    told = capsys.readouterr().err
    assert ("kosmoscope pull kosmos-2" in told) is not quiet


def test_ground(china: Path) -> None:
    result = run("ground", *POCKET, china, "a house", "the sky", "-f", "json")
    house, sky = results(result.stdout)
    assert (house.entities[0].phrase, sky.entities[0].phrase) == ("a house", "the sky")
    text = run("ground", *POCKET, china, "a house", "the sky").stdout
    assert re.search(r"^1  a house .*\n2  the sky ", text, re.MULTILINE)


def test_refer(china: Path) -> None:
    (d,) = results(run("refer", *QUIET, china, "--box", "0.1, 0.2 0.5,0.6", "-f", "json").stdout)
    box = d.entities[0].boxes[0]
    assert box.score is None
    assert box.xyxy == pytest.approx((0.1, 0.2, 0.5, 0.6), abs=1 / 32)
    pixels = ("--pixels", "--box", "64,85.4,320,256.2")
    (same,) = results(run("refer", *QUIET, china, *pixels, "-f", "json").stdout)
    assert same.token_ids == d.token_ids
    assert "It[1]" in run("refer", *QUIET, china, *pixels).stdout


def test_ask(china: Path) -> None:
    (d,) = results(run("ask", *QUIET, china, "What is it?", "-f", "json").stdout)
    assert d.prompt == "Question: What is it? Answer:"
    assert d.caption == d.text
    about = ("Where is [the roof]?", "--box", "0,0,1,1")
    (d,) = results(run("ask", *QUIET, china, *about, "-f", "json").stdout)
    assert "<phrase> the roof</phrase><object>" in d.tagged
    assert run("ask", *QUIET, china, *about).exit_code == 0


WRONG_CALLS = [
    (["describ"], "did you mean 'describe'"),
    (["describe"], "missing argument 'source'"),
    (["describe", "x", "--zz"], "no such option: --zz"),
    (["describe", "x", "--max-new-tokens", "0"], "--max-new-tokens is 0"),
    (["describe", "x", "--max-new-tokens", "1000000000"], "--max-new-tokens is 1000000000"),
    (["describe", "x", "--max-new-tokens", "many"], "'--max-new-tokens'"),
    (["describe", "x", "--temperature", "nan"], "--temperature is nan"),
    (["describe", "x", "--temperature", "1", "--num-beams", "2"], "--num-beams and --temperature"),
    (["describe", "x", "--top-p", "0.5"], "--top-p needs a --temperature"),
    (["describe", "x", "--no-repeat-ngram", "-1"], "--no-repeat-ngram is -1"),
    (["describe", "x", "--seed", "-1"], "--seed is -1"),
    (["describe", "x", "--precision", "int9"], "'int9'"),
    (["describe", "x", "--format", "yaml"], "'yaml'"),
    (["describe", "x", "--threads", "0"], "--threads is 0"),
    (["describe", *POCKET, "x", "--prompt", ""], "needs a text"),
    (["describe", *POCKET, "x", "--prompt", "a</image>\x1b"], "markup"),
    (["describe", *POCKET, "x", "--prompt", "a\udcff"], "surrogate"),
    (["ground", "x"], "missing argument 'phrase'"),
    (["ground", *POCKET, "x", "<patch_index_0001>"], "markup"),
    (["refer", "x"], "missing option '--box'"),
    (["refer", "x", "--box", "0,0,1"], "expected four numbers"),
    (["refer", "x", "--box", "0,0,nan,1"], "not finite"),
    (["refer", "x", "--box", "0,0,5,5"], "add --pixels"),
    (["refer", "x", "--box", "0.5,0,0.5,1"], "empty or inverted"),
    (["refer", "x", "--pixels", "--box", "5,0,4,1"], "empty or inverted"),
    (["ask", "x"], "missing argument 'question'"),
    (["ask", "x", "why?", "--pixels"], "there is no --box"),
    (["ask", "x", "[a] or [b]?", "--box", "0,0,1,1"], "2 phrases in brackets"),
]


@pytest.mark.parametrize(
    ("args", "expected"), WRONG_CALLS, ids=[" ".join(a) for a, _ in WRONG_CALLS]
)
def test_wrong_calls_are_one_line_and_2(args: list[str], expected: str) -> None:
    assert expected in one_error(run(*args), 2).lower()


def test_pixels_outside_of_the_picture(china: Path) -> None:
    result = run("refer", *POCKET, china, "--pixels", "--box", "0,0,641,10")
    assert one_error(result, 2) == "box 0,0,641,10 leaves the picture of 640x427 pixels"


def test_a_missing_model_tells_how_to_get_it(china: Path) -> None:
    assert "kosmoscope pull kosmos-2" in one_error(run("describe", china, "-m", "kosmos-2"), 1)
    assert "kosmoscope pull a/b" in one_error(run("describe", china, "-m", "a/b"), 1)
    assert "did you mean pocket" in one_error(run("describe", china, "-m", "poket"), 1)


def test_no_command_shows_the_help_as_a_message() -> None:
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "describe" in result.stderr
    assert run("--version").stdout == f"kosmoscope {__version__}\n"


def test_hostile_names_and_words(china: Path, tmp_path: Path) -> None:
    name = os.fsdecode("[red]:smile:\n\x1b[31m😀".encode() + b"\xff.jpg")
    link = tmp_path / name
    link.symlink_to(china)
    text = run("describe", *QUIET, link, "--prompt", "A [bold]b[/] :smile:")
    heading, words = text.stdout.splitlines()[:2]
    assert heading.endswith("[red]:smile:\\n\\x1b[31m😀\\udcff.jpg  640x427")
    assert words.startswith("A [bold]b[/] :smile:")
    raw = run("describe", *QUIET, link, "-f", "json").stdout_bytes
    assert not set(raw[:-1]) & set(range(32))
    (d,) = results(raw.decode("utf-8"))
    assert os.fsencode(d.image.path) == os.fsencode(link)
    missing = run("describe", *QUIET, f"{link}x")
    assert "\\n\\x1b[31m😀\\udcff.jpgx: no match" in one_error(missing, 1)


def test_one_line_and_json_line() -> None:
    assert one_line("a\tb\x9b\u2028\u202e\udcff é👩‍🚀") == r"a\tb\x9b\u2028\u202e\udcff é👩‍🚀"
    odd = {"k\x7f": "a\x7f\x85\u2028\udcff\U000e0001é👩‍🚀\n"}
    line = json_line(odd)
    assert line.isprintable()
    assert json.loads(line.encode().decode()) == odd


def _description(**changes: Any) -> Description:
    box = Box.of((0.0, 0.0, 0.5, 0.5), (10, 20), 0.25)
    entities = (
        Entity("a\u202ecat", (0, 5), (box, box), 0.5),
        Entity("", (6, 6), (box,)),
        Entity("dog", (6, 9), (), None, False),
    )
    values: dict[str, Any] = {
        "image": ImageInfo("p\n.gif", 10, 20, 3), "model": "m", "precision": "int8",
        "prompt": "", "caption": "a\u202ecat dog", "text": "", "tagged": "", "marked": "",
        "raw": "", "entities": entities, "token_ids": (1, 2), "finish_reason": "length",
        "timing": Timing(), "warnings": ("odd\x1b",),
    }  # fmt: skip
    return Description(**values | changes)


def test_render_odd_entities() -> None:
    from rich.console import Console

    console = Console(width=200, force_terminal=False)
    with console.capture() as captured:
        for part in described(_description()):
            console.print(part)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines == [
        r"p\n.gif  10x20, first of 3",
        r"a\u202ecat[1] [2]dog[3]",
        "",
        "#  phrase         score  box                      pixels",
        r"1  a\u202ecat      0.25  0.000,0.000,0.500,0.500  0,0,5,10",
        r"1  a\u202ecat      0.25  0.000,0.000,0.500,0.500  0,0,5,10",
        r"2  (no phrase)     0.25  0.000,0.000,0.500,0.500  0,0,5,10",
        r"3  dog (cut off)         no box",
        "",
        r"! odd\x1b",
        "! cut off; --max-new-tokens allows more",
        "m int8, 2 tokens, 0.00 s",
    ]
    assert caption(_description(entities=())).plain == r"a\u202ecat dog"


def test_boxes_are_shown_by_how_sure_they_are() -> None:
    from rich.console import Console

    def entity(phrase: str, *sure: tuple[float, float | None]) -> Entity:
        given = tuple(Box.of((0, 0, 0.5, 0.5), (10, 20), s, None, c) for s, c in sure)
        return Entity(phrase, (0, len(phrase)), given, 0.99)

    found = (entity("a"), entity("b", (0.9, 0.3), (0.1, 0.7)), entity("c", (0.2, 0.95)))
    console = Console(width=200, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(boxes(found))
    coloured = captured.get()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["3", "c", "95"], ["2", "b", "70"], ["2", "b", "30"],
    ]  # fmt: skip
    assert lines[0].split() == ["#", "phrase", "right", "box", "pixels"]
    assert "no box" in lines[4]
    assert all(c in coloured for c in ("\x1b[32m 95 %", "\x1b[33m 70 %", "\x1b[31m 30 %"))


def test_sizes_and_boxes() -> None:
    sizes = [size_text(n) for n in (0, 999, 1000, 999_949, 999_999, 6_660_000_000)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "6.7 GB"]
    image = ImageInfo("x", 200, 100)
    assert typed_box("20 10, 200,100", Units(pixels=True)).normalised(image) == (0.1, 0.1, 1, 1)
    with pytest.raises(BoxError, match="200x100"):
        typed_box("-1,0,5,5", Units(pixels=True)).normalised(image)
    assert [p.value for p in PrecisionName] == list(PRECISIONS)


def test_every_option_has_a_sentence() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert len(commands) == 22
    for name, command in commands.items():
        assert command.help, name
        for parameter in command.params:
            text = parameter.help.rstrip(")")
            assert text.endswith("."), f"{name} {parameter.name}: {text!r}"


def test_reference_is_up_to_date() -> None:
    written = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run `python -m kosmoscope.cli.reference > docs/cli.md`"
