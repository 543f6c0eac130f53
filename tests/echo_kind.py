"""A kind of model of one's own, in one file: it remembers a word."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from kosmoscope.errors import CheckpointError
from kosmoscope.store.kind import CONFIG, ModelKind, Step
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles


@dataclass(frozen=True)
class Echo:
    """An opened one."""

    folder: Path
    name: str
    precision: str
    word: str


def write(stage: Path, source: SourceFiles, precision: str, step: Step) -> None:
    """Count itself in the file that $ECHO_LOG names, take its time, write the "graph"."""
    word = json.loads((source.folder / CONFIG).read_text()).get("word")
    if not isinstance(word, str):
        raise CheckpointError(f"{source.folder / CONFIG}: word is {word!r}; expected a text")
    if log := os.environ.get("ECHO_LOG"):
        with Path(log).open("a") as file:
            file.write("converted\n")
    step("echo")
    time.sleep(float(os.environ.get("ECHO_SECONDS", "0")))
    (stage / "echo.txt").write_text(word.upper() if precision == "loud" else word)


def open_echo(folder: Path, manifest: Manifest) -> Echo:
    word = (folder / "echo.txt").read_text()
    return Echo(folder, manifest.name, manifest.precision, word)


ECHO: ModelKind[Echo] = ModelKind(
    name="echo",
    title="Echo",
    files=(CONFIG, "words.txt"),
    optional=("extra.txt",),
    graphs=("echo.txt",),
    precisions=("soft", "loud"),
    default="soft",
    version=7,
    write=write,
    open=open_echo,
    aliases={"echo-base": "acme/echo-base", "echo": "acme/echo-base"},
)


def write_checkpoint(folder: Path, word: str = "hello") -> Path:
    """Write one in the hub's format, with a file that nobody asks for."""
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps({"model_type": "echo", "word": word}))
    (folder / "words.txt").write_text("a b c")
    (folder / "notes.txt").write_text("nobody asks for this")
    (folder / "model.safetensors").write_bytes(bytes(5000))
    return folder
