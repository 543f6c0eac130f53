"""Libraries that only some need: the one place where a module is imported by its name.

Everything of our own is imported by statements, at the top of a file or, where that would cost
every start, inside the function that needs it: what reads imports (contracts, type checkers,
people) sees them all. A test keeps it so.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kosmoscope.errors import KosmoscopeError


def optional(module: str, extra: str) -> Any:
    """Import an optional library.

    Args:
        module: of somebody else.
        extra: of kosmoscope, which brings it.

    Raises:
        KosmoscopeError: it is not installed; the message says what to install.
    """
    try:
        return import_module(module)
    except ImportError as e:
        raise KosmoscopeError(
            f"{module} is not installed; install it with: pip install 'kosmoscope[{extra}]'"
        ) from e
