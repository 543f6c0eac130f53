"""The help pages as one document: `python -m kosmoscope.cli.reference > docs/cli.md`."""

from __future__ import annotations

import re

from typer.main import get_command
from typer.testing import CliRunner

from kosmoscope.cli import terminal
from kosmoscope.cli.app import app

_HEAD = """\
# The command line

What `kosmoscope --help` and the help of each command say. Generated; after a change run
`python -m kosmoscope.cli.reference > docs/cli.md`.
"""
_WIDTH = 100


def reference() -> str:
    """Return the help of all commands as Markdown, the same on every machine."""
    names = list(getattr(get_command(app), "commands", {}))
    parts = [_HEAD]
    for words in ([], *([name] for name in names)):
        title = " ".join(["kosmoscope", *words])
        parts.append(f"\n## {title}\n\n```text\n{_help(words)}\n```\n")
    return "".join(parts)


def _help(words: list[str]) -> str:
    environment = {"COLUMNS": str(_WIDTH), "NO_COLOR": "1", "TERM": "xterm"}
    result = CliRunner().invoke(app, [*words, "--help"], env=environment)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    return "\n".join(line.rstrip() for line in plain.splitlines()).strip("\n")


if __name__ == "__main__":
    terminal.emit(reference().rstrip("\n"))
