"""The database of an index: its tables, in named steps, and how it is opened.

=============  ==============================================================================
``meta``       by name: how far results.jsonl was read, and of which state it was
``picture``    a row for each picture: where it is, its text, when and where it was taken
``line``       where in results.jsonl each picture's records begin
``phrase``     what things are called, each text once, with its noun and its words
``folder``     the folders that pictures are in, each once
``chunk``      the things of `CHUNK` consecutive pictures, as packed columns (`chunks`)
``print``      of pictures whose files were read: what copies of them have too (`likeness`)
``embedder``   models that made vectors, and in which engine they are (`keeping`)
``vector``     of pictures, a model's each: float16, and of which contents of the file; the numbers
               are empty where an engine has them
``text``       FTS5: the words of each picture's texts; the row's number is the picture's
=============  ==============================================================================
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from kosmoscope.errors import IndexDamagedError, InputError, KosmoscopeError, OutputError
from kosmoscope.files.text import reason, shown_name

INDEX = "index.sqlite"
BUSY_SECONDS = 30.0
"""How long a writer waits for another step of the database; readers never wait."""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "0001 pictures and their things",
        """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE picture (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            source TEXT NOT NULL,
            digest BLOB NOT NULL,
            pass INTEGER NOT NULL,
            looked INTEGER NOT NULL,
            caption TEXT NOT NULL,
            taken TEXT,
            latitude REAL,
            longitude REAL
        );
        CREATE TABLE line (
            picture INTEGER NOT NULL,
            task TEXT NOT NULL,
            start INTEGER NOT NULL,
            PRIMARY KEY (picture, task)
        ) WITHOUT ROWID;
        CREATE TABLE phrase (
            id INTEGER PRIMARY KEY,
            phrase TEXT NOT NULL UNIQUE,
            noun TEXT NOT NULL,
            words TEXT NOT NULL
        );
        CREATE TABLE folder (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE chunk (
            id INTEGER PRIMARY KEY,
            version INTEGER NOT NULL,
            data BLOB NOT NULL
        );
        CREATE VIRTUAL TABLE text USING fts5 (words, tokenize = "ascii tokenchars '''-'");
        """,
    ),
    (
        "0002 pictures that are alike",
        """
        CREATE TABLE print (picture INTEGER PRIMARY KEY, hash INTEGER NOT NULL);
        CREATE TABLE embedder (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            width INTEGER NOT NULL
        );
        CREATE TABLE vector (
            embedder INTEGER NOT NULL,
            picture INTEGER NOT NULL,
            content TEXT NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (embedder, picture)
        );
        """,
    ),
    (
        "0003 vectors in an engine",
        """
        ALTER TABLE embedder ADD COLUMN engine TEXT NOT NULL DEFAULT 'sqlite';
        ALTER TABLE embedder ADD COLUMN place TEXT NOT NULL DEFAULT '';
        ALTER TABLE embedder ADD COLUMN collection TEXT NOT NULL DEFAULT '';
        """,
    ),
)
"""Steps by name, in their order; a step that has been in a release is never changed."""


def is_there(folder: Path) -> bool:
    """Say whether a folder of results has an index."""
    return (folder / INDEX).is_file()


def no_index(folder: Path) -> InputError:
    """Return the error for a folder of results without one."""
    shown = shown_name(folder)
    return InputError(f"{shown}: has no {INDEX}; make it with `kosmoscope index {shown}`")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite says in this block into one line that names the file.

    Raises:
        IndexDamagedError: it is no database, or a damaged one.
        OutputError: it cannot be opened, read or written.
    """
    try:
        yield
    except sqlite3.OperationalError as e:
        if "no such module: fts5" in str(e):
            raise KosmoscopeError(
                "this Python's SQLite was built without FTS5, which search needs"
            ) from e
        if _is_damage(e):
            raise damaged(path, e) from e
        raise OutputError(f"{shown_name(path)}: cannot be used: {reason(e)}") from e
    except sqlite3.DatabaseError as e:
        raise damaged(path, e) from e


_DAMAGE = (
    "malformed", "corrupt", "not a database", "no such table", "no such column", "no column named",
    "already exists",
)  # fmt: skip


def _is_damage(error: sqlite3.Error) -> bool:
    return any(word in str(error) for word in _DAMAGE)


def damaged(path: Path, error: BaseException) -> IndexDamagedError:
    """Return the error for a database that is none, or no longer."""
    return IndexDamagedError(
        f"{shown_name(path)}: is no index, or a damaged one ({reason(error)}); "
        "make it anew with --rebuild"
    )


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the database, made if it is not there, with all steps done.

    Raises:
        OutputError, IndexDamagedError: as of `told`; also where a later version made it.
    """
    with told(path):
        base = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            if _steps_done(base) > len(MIGRATIONS):
                raise IndexDamagedError(
                    f"{shown_name(path)}: was made by a later version; make it anew with --rebuild"
                )
            _migrate(base)
        except BaseException:
            base.close()
            raise
        return base


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open the database so that nothing can change it by this connection.

    Raises:
        OutputError, IndexDamagedError: as of `told`; also where a later version made it.
    """
    with told(path):
        # Readers of a WAL write beside it; where nobody may, nobody else writes either.
        may_write = os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)
        mode = "mode=rw" if may_write else "mode=ro&immutable=1"
        address = f"file:{quote(os.fspath(path.absolute()))}?{mode}"
        base = sqlite3.connect(
            address, uri=True, timeout=BUSY_SECONDS, isolation_level=None,
            check_same_thread=False,  # `Index` lets threads take turns
        )  # fmt: skip
        try:
            base.execute("PRAGMA query_only = ON")
            done = _steps_done(base)
            if done != len(MIGRATIONS):
                which = "an earlier version" if done < len(MIGRATIONS) else "a later version"
                raise IndexDamagedError(
                    f"{shown_name(path)}: was made by {which}; run `kosmoscope index` again"
                )
        except BaseException:
            base.close()
            raise
        return base


@contextmanager
def transaction(base: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All of the block is written, or nothing."""
    base.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        base.execute("ROLLBACK")
        raise
    base.execute("COMMIT")


def _steps_done(base: sqlite3.Connection) -> int:
    (found,) = base.execute("PRAGMA user_version").fetchone()
    return int(found)


def _migrate(base: sqlite3.Connection) -> None:
    for number, (_, script) in enumerate(MIGRATIONS, 1):
        if _steps_done(base) < number:
            with transaction(base):
                for statement in _statements(script):
                    base.execute(statement)
                base.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    """Yield a script's statements: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
