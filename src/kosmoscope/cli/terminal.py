"""Writing: results to stdout, messages to stderr, and nothing that a terminal would obey.

Captions come from a model and file names from anywhere: control characters in them are shown as
escapes. Streams are looked up at each call, since tests and redirections exchange them.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import typer

from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

CLOSED_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended, as it does others in a pipeline."""

_UNLIMITED = 1_000_000

printable = path_text = one_line
"""Names by which two commands still call it."""


def json_line(data: Any) -> str:
    r"""Return data as JSON in one line that every terminal, splitter and decoder leaves whole.

    What does not print is escaped: control characters, Unicode's own line breaks, and the lone
    surrogates that stand for a file name's bytes which are not UTF-8 (`os.fsencode` undoes them).
    """
    plain = json.dumps(data, ensure_ascii=not _writes_unicode(), allow_nan=False)
    return "".join(c if c.isprintable() else _escape(c) for c in plain)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1] if char > "\x7f" else f"\\u{ord(char):04x}"


def _writes_unicode() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name == "utf-8"


def emit(text: str) -> None:
    """Write a result to stdout, at once.

    Raises:
        typer.Exit: nobody reads any more (`| head`); quiet.
        OSError: it cannot be written, for instance because the disk is full.
    """
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise OSError(None, "standard output is closed")
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
        raise typer.Exit(CLOSED_PIPE) from None
    except OSError as e:
        _discard(stream)
        raise OSError(e.errno, f"standard output: {e.strerror}") from e


def emit_file(file: BinaryIO) -> None:
    """Write a whole file to stdout, byte for byte. Raises what `emit` raises."""
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise OSError(None, "standard output is closed")
    try:
        stream.flush()
        shutil.copyfileobj(file, stream.buffer)
        stream.buffer.flush()
    except BrokenPipeError:
        _discard(stream)
        raise typer.Exit(CLOSED_PIPE) from None
    except OSError as e:
        _discard(stream)
        raise OSError(e.errno, f"standard output: {e.strerror}") from e


@contextmanager
def telling() -> Iterator[None]:
    """In this block `emit` and its like only tell of files that the command makes anyhow.

    A reader who goes away (`| head`) or a full disk behind the pipe ends the telling, not the work.
    """
    try:
        yield
    except typer.Exit as e:
        if e.exit_code != CLOSED_PIPE:
            raise
    except OSError as e:
        if sys.stdout is not None:
            error(e.strerror or str(e))


def _discard(stream: TextIO) -> None:
    """Let what is still buffered go nowhere, or the interpreter complains when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def note(text: str) -> None:
    """Tell the user something, in one line on stderr."""
    _say("note", "cyan", text)


def error(text: str) -> None:
    """Say what went wrong, in one line on stderr."""
    _say("error", "bold red", text)


def _say(kind: str, style: str, text: str) -> None:
    stream: TextIO | None = sys.stderr
    if stream is None:
        return
    line = one_line(text)
    # A message must never be the reason to fail: the reader of stderr may be gone.
    with suppress(OSError, ValueError):
        if stream.isatty():
            from rich.text import Text

            console(stream).print(Text.assemble((f"{kind}: ", style), line), soft_wrap=True)
        else:
            encoding = getattr(stream, "encoding", None) or "utf-8"
            stream.write(f"{kind}: {line}\n".encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person is looking at this stream."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def console(stream: TextIO, file: TextIO | None = None) -> Console:
    """Return a console that shows text as it is: no markup, no emoji codes, no highlighting.

    On anything but a terminal lines are as long as they need to be, without colour.

    Args:
        stream: whose kind and width count.
        file: where to write instead of to `stream`.
    """
    from rich.console import Console

    terminal = is_terminal(stream)
    return Console(
        file=file or stream,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        width=None if terminal else _UNLIMITED,
        markup=False,
        emoji=False,
        highlight=False,
    )


def emit_rich(*parts: RenderableType) -> None:
    """Write a result for people to stdout."""
    if sys.stdout is None:
        emit("")  # says why that does not work
    # Not printed right away, so that `emit` is the only place where writing can fail.
    written = StringIO()
    target = console(sys.stdout, written)
    for part in parts:
        target.print(part)
    text = written.getvalue().removesuffix("\n")
    # Columns are padded to their width; outside a terminal that would only be noise.
    emit(text if target.is_terminal else re.sub(r" +$", "", text, flags=re.MULTILINE))
