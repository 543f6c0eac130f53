"""Libraries that only some need: the one place where a module is imported by its name.

Everything of our own is imported by statements, at the top of a file or, where that would cost
every start, inside the function that needs it: what reads imports (contracts, type checkers,
people) sees them all. A test keeps it so.

What a message says to install is a command that works here: in this environment, in the way in
which it was made, and with the libraries' own names, since the package itself may be on no index.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kosmoscope.errors import KosmoscopeError

PACKAGE = "kosmoscope"


def optional(module: str, extra: str) -> Any:
    """Import an optional library.

    Args:
        module: of somebody else.
        extra: of kosmoscope, which brings it.

    Raises:
        KosmoscopeError: it is not installed, or cannot be loaded; the message says what to do.
    """
    try:
        return import_module(module)
    except ImportError as e:
        raise KosmoscopeError(missing(module, extra, e)) from e


def missing(module: str, extra: str, error: ImportError) -> str:
    """Return what to tell somebody who needs a library that cannot be imported."""
    root = module.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == root:
        return f"{module} is not installed; install it with: {install_command(extra)}"
    # It is there, and something that it needs is not: a system's library, a matching version.
    why = " ".join(str(error).split())[:200]
    return f"{module} is installed and cannot be loaded ({why}); {install_command(extra)} may help"


def install_command(extra: str) -> str:
    """Return the command that brings what an extra of kosmoscope needs into this environment."""
    wanted = " ".join(_quoted(requirement) for requirement in requirements(extra))
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx inject {_quoted(prefix.name)} {wanted}"
    # `uv tool` has no way to add to a tool without naming where it came from; its environment has.
    by_uv = (prefix / "uv-receipt.toml").is_file() or _installer() == "uv"
    if by_uv or (find_spec("pip") is None and shutil.which("uv")):
        return f"uv pip install --python {_quoted(sys.executable)} {wanted}"
    return f"{_python()} -m pip install {wanted}"


def requirements(extra: str) -> list[str]:
    """Return what an extra needs, as the installed package's metadata say: "pi-heif>=1.0"."""
    try:
        stated = distribution(PACKAGE).requires or []
    except PackageNotFoundError:  # run from a folder of sources
        stated = []
    of_extra = re.compile(rf"""\bextra\s*==\s*['"]{re.escape(extra)}['"]""")
    found = [text.partition(";")[0].strip() for text in stated if of_extra.search(text)]
    return found or [f"{PACKAGE}[{extra}]"]


def _installer() -> str:
    """Return what installed the package: "pip", "uv" and so on; "" where nothing says it."""
    try:
        return (distribution(PACKAGE).read_text("INSTALLER") or "").strip()
    except (PackageNotFoundError, OSError):
        return ""


def _python() -> str:
    """Return how to call this interpreter: by its short name where that is the same one."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        if found is not None and Path(found).absolute() == Path(sys.executable).absolute():
            return name
    return _quoted(sys.executable)


def _quoted(text: str) -> str:
    if os.name != "nt":
        return shlex.quote(text)
    return f'"{text}"' if re.search(r"[^\w@%+=:,./\\-]", text) else text
