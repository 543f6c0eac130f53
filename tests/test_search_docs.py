"""docs/search.md: its questions are read as it says, its commands and its Python run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cli_runner import run
from kosmoscope.questions import parse, wording
from kosmoscope.questions.evaluate.space import RELATIONS
from kosmoscope.questions.language.wording import RELATION_WORDS
from search_results import LEFT, RIGHT, line, write

TEXT = (Path(__file__).parent.parent / "docs" / "search.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", TEXT, re.MULTILINE)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    things = [("a dog", 0.9, LEFT), ("a car", 0.9, RIGHT)]
    return write(tmp_path / "out", [line("a.jpg", things), line("b.jpg", [])])


def test_questions_are_read_as_it_says() -> None:
    assert len(ROWS) >= 30
    assert {q: wording(parse(q)) for q, _ in ROWS} == dict(ROWS)
    for _, canonical in ROWS:
        assert wording(parse(canonical)) == canonical


def test_every_relation_is_there() -> None:
    for name in RELATIONS:
        assert RELATION_WORDS.get(name, name) in TEXT


def test_commands_run(out: Path) -> None:
    assert run("index", out).exit_code == 0
    first, _, _ = TEXT.partition("## Pictures like a picture")  # tests/test_search_alike.py
    commands = re.findall(r"^\$ kosmoscope (search .*)$", first, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert run(*shlex.split(command)).exit_code == 0
    assert run(*shlex.split(commands[0])).stdout.startswith("2 dogs left of a car: nothing")


def test_python_runs(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    exec(code, {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "1 of 2 pictures; a dog left of a car"
    assert said[2].split()[:2] == ["a", "dog"]
