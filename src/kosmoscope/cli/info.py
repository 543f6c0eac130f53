"""info: what a bug report should say about this installation."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from kosmoscope._version import __version__
from kosmoscope.cli import options as o
from kosmoscope.cli import terminal
from kosmoscope.cli.models import model_dict, models_table
from kosmoscope.cli.options import Format, help_text
from kosmoscope.kinds import KINDS
from kosmoscope.store.folders import converted_root, hub_cache
from kosmoscope.store.installed import installed

_PACKAGES = (
    "onnxruntime",
    "onnx",
    "numpy",
    "pillow",
    "pi-heif",
    "tokenizers",
    "safetensors",
    "ml-dtypes",
    "huggingface-hub",
    "typer",
    "rich",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Inspect", help=help_text(info))(info)


def info(format: o.FormatOption = Format.TEXT) -> None:
    """Show versions, threads, providers, cache folders and models; put it into a bug report."""
    found = installed(KINDS)
    about = facts()
    if format is Format.JSON:
        models = [model_dict(model) for model in found]
        terminal.emit(terminal.json_line({**about, "models": models}))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for key, value in _flat(about):
        table.add_row(key, Text(terminal.printable(value)))
    terminal.emit_rich(table, "", models_table(found))


def facts() -> dict[str, Any]:
    """Return what a report says of an installation, without its models."""
    from kosmoscope.engine.sessions import providers, thread_count
    from kosmoscope.scope import default_model

    return {
        "kosmoscope": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "threads": thread_count(None),
        "providers": list(providers()[1]),
        "default_model": default_model(),
        "caches": {"converted": str(converted_root()), "hub": str(hub_cache())},
    }


def _processor() -> str:
    """Return the processor's name; on Linux Python only knows its architecture."""
    with suppress(OSError):
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        ):
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _flat(about: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts as rows, what is grouped with one row for each member."""
    rows = []
    for key, value in about.items():
        if isinstance(value, dict):
            prefix = "cache of " if key == "caches" else ""
            ending = " models" if key == "caches" else ""
            rows += [(f"{prefix}{k}{ending}", v or "not installed") for k, v in value.items()]
        else:
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            rows.append((key.replace("_", " "), shown))
    return rows
