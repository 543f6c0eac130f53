"""The command line: `kosmoscope describe photo.jpg`. Results on stdout, messages on stderr."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 done, 1 inputs or models failed, 2 a wrong call."""
    try:
        # Here, so that Ctrl-C during the imports is no traceback either.
        from kosmoscope.cli.app import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)
