"""The output folder of a batch: what is in it, and how it stays whole.

=================  ================================================================
``run.json``       the model, options and tasks that all results share; the counts
``results.jsonl``  one record per source and task, in the order of the sources
``errors.jsonl``   one record per source that could not be described
``.lock``          held by the process that writes, which ``.lock-holder`` names
=================  ================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from kosmoscope.batch.journal import Journal
from kosmoscope.batch.names import json_line, named, path_field
from kosmoscope.batch.origins import Origins
from kosmoscope.batch.passed import claim_results
from kosmoscope.batch.settings import as_json, differences
from kosmoscope.batch.sources import Source
from kosmoscope.batch.tasks import Task
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import FolderMismatchError, InputError, OutputError
from kosmoscope.files.checked import json_object
from kosmoscope.files.locks import locked
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import write_file

FORMAT = 1
RUN, RESULTS, ERRORS = "run.json", "results.jsonl", "errors.jsonl"


class Done(NamedTuple):
    """What the folder holds of one source."""

    sha: bytes
    """The first 16 bytes of the content's SHA-256."""
    mask: int
    """Bit i: task i is there."""
    offset: int
    """Of its first record, in bytes."""


class Owner(NamedTuple):
    """The first source of a content. Its records stay, also when the source gets another."""

    key: str
    offset: int | None
    """Of its first record of this content, in bytes; None where they are only promised (`own`)."""


class Store:
    """An output folder, opened for writing. One thread writes; any may ask.

    Args:
        folder: created if it is not there.
        tasks: of this run.
        options: of this run.
        overwrite: forget what is there.

    Raises:
        FolderBusyError: another process writes there.
        FolderMismatchError: it holds results of other tasks or options.
        OutputError: it cannot be used; the message says why.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[Task],
        options: GenerationOptions,
        *,
        overwrite: bool = False,
    ) -> None:
        self.folder = folder
        self.tasks = tuple(tasks)
        self.repaired: tuple[str, ...] = ()
        """What a kill left behind and was put right, in words."""
        self.failures: dict[str, tuple[str, str]] = {}
        """Of sources (keys) without a result: the error's kind and message."""
        self.records = 0
        self._options = options
        self._overwrite = overwrite
        self._base = os.getcwd()  # noqa: PTH109 (a str)
        self._full = (1 << len(self.tasks)) - 1
        self._done: dict[str, Done] = {}
        self._owners: dict[bytes, Owner] = {}
        self._drawing: set[tuple[str, str]] = set()
        self._stale = False
        # Sources that stood for nothing: an empty folder has no picture whose success would
        # remove the error, so each run says anew whether it is true.
        self._unasked: set[str] = set()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.claim = claim_results(self.folder)
            stack.enter_context(locked(self.folder))
            self.run = self._read_run()
            if not self._overwrite:
                self._compare({})
            self._key = Origins(self.folder, self.run).key
            self._results, self._errors = self._open(RESULTS), self._open(ERRORS)
            # Whichever journals are open then: they are exchanged for new ones.
            stack.callback(lambda: self._results.close())
            stack.callback(lambda: self._errors.close())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, value, trace)

    def begin(
        self,
        model: Mapping[str, str],
        about: Mapping[str, Any],
        options: GenerationOptions | None = None,
    ) -> None:
        """Read what is there, and write down what this run is about.

        Args:
            model: name, precision, source_sha256.
            about: what else run.json tells.
            options: of this run with the model's own values where none were given; None where
                they are known.

        Raises:
            FolderMismatchError: it holds results of another model, or of other options.
            OutputError: a record is damaged, or run.json cannot be written.
        """
        self._options = options or self._options
        if self._overwrite:
            self._clear()
        else:
            self._compare(model)
            self._load()
        self._model = dict(model)
        self.write_run({**about, "sessions": self.run.get("sessions", 0) + 1})

    def write_run(self, values: Mapping[str, Any]) -> None:
        """Replace run.json: what it said, the values given, and the counts of now."""
        self.run.pop("folder_base64", None)  # of another folder, which this one was
        self.run = {
            **self.run,
            "format": FORMAT,
            **path_field("folder", str(self.folder.resolve())),
            "model": self._model,
            "options": as_json(self._options),
            "tasks": [task.to_dict() for task in self.tasks],
            **values,
            "counts": {
                "pictures": sum(d.mask == self._full for d in self._done.values()),
                "records": self.records,
                "failed": len(self.failures),
            },
        }
        text = json.dumps(self.run, ensure_ascii=False, indent=2) + "\n"
        write_file(self.folder / RUN, text.encode("utf-8", "backslashreplace"), durable=True)

    def missing(self, key: str, sha: bytes | None = None) -> int:
        """Return the tasks (a bit each) that a source lacks.

        Args:
            key: `Source.key`.
            sha: of the content, where it is known: records of another content do not count.
        """
        done = self._done.get(key)
        if done is None or (sha is not None and done.sha != sha):
            return self._full
        return self._full & ~done.mask

    def sha(self, key: str) -> bytes | None:
        """Return the content that a source's records are of."""
        done = self._done.get(key)
        return None if done is None else done.sha

    def owner(self, sha: bytes) -> str | None:
        """Return the first source (its key) of this content that is done, or will be (`own`)."""
        owner = self._owners.get(sha)
        return None if owner is None else owner.key

    def own(self, sha: bytes, key: str) -> None:
        """Promise that a source of this content will be written before the next one is asked."""
        self._owners.setdefault(sha, Owner(key, None))

    def recorded(self, sha: bytes) -> list[dict[str, Any]]:
        """Return the records of a content that is done, one for each task, in their order."""
        owner = self._owners[sha]
        assert owner.offset is not None
        found: dict[str, dict[str, Any]] = {}
        for _, record in self._results.read(owner.offset):
            if bytes.fromhex(record["sha256"])[:16] == sha and self._key(record) == owner.key:
                found[record["task"]] = record
                if len(found) == len(self.tasks):
                    break
        return [found[task.key] for task in self.tasks]

    def add(self, source: Source, sha256: str, descriptions: Sequence[Mapping[str, Any]]) -> int:
        """Write the records of a source that are missing; return how many.

        Args:
            source: whose.
            sha256: of the file's content, in hex.
            descriptions: as `Description.to_dict` gives them, one for each task.
        """
        key, sha = source.key, bytes.fromhex(sha256)[:16]
        missing = self.missing(key, sha)
        records = [
            {
                "id": f"{sha256[:16]}-{task.key}",
                "sha256": sha256,
                **named(source.path, self._base),
                "task": task.key,
                "description": description,
            }
            for i, (task, description) in enumerate(zip(self.tasks, descriptions, strict=True))
            if missing >> i & 1
        ]
        offsets = self._results.append(records)
        self._results.sync()
        if records:
            old = self._done.get(key)
            offset = old.offset if old is not None and old.sha == sha else offsets[0]
            self._done[key] = Done(sha, self._full, offset)
            self._complete(sha, key, offset)
        self.records += len(records)
        self._stale |= self.failures.pop(key, None) is not None
        return len(records)

    def _complete(self, sha: bytes, key: str, offset: int) -> None:
        """All tasks have records of this content; of several sources the first one stays."""
        owner = self._owners.get(sha)
        if owner is None or owner.offset is None:
            self._owners[sha] = Owner(key, offset)

    def fail(self, source: Source, kind: str, error: str, *, stage: str = "") -> bool:
        """Write down why a source has no result, unless that is there; return whether it was new.

        Args:
            source: whose.
            kind: the error's class.
            error: its message.
            stage: set where the result is there, and something else failed.
        """
        key = source.key
        record = {**named(source.path, self._base), "error": error, "kind": kind}
        if stage:
            if (key, error) in self._drawing:
                return False
            self._drawing.add((key, error))
            record["stage"] = stage
        else:
            self._unasked.discard(key)
            if self.failures.get(key) == (kind, error):
                return False
            self._stale |= key in self.failures
            self.failures[key] = (kind, error)
        self._errors.append([record])
        self._errors.sync()
        return True

    def settle(self, *, finished: bool = False) -> None:
        """Drop errors that are no longer true from errors.jsonl, in one step.

        Args:
            finished: all sources of this run were asked.
        """
        if finished and self._unasked:
            for key in self._unasked:
                self.failures.pop(key, None)
            self._unasked, self._stale = set(), True
        if not self._stale:
            return
        self._errors.close()
        path = self.folder / ERRORS
        journal = Journal(path)
        lines = list(self._true(record for _, record in journal))
        journal.close()
        write_file(path, b"".join(lines), durable=True)
        self._errors = Journal(path)
        self._stale = False

    def _true(self, records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
        told = set()
        for record in records:
            key = self._key(record)
            true = self.failures.get(key) == (record["kind"], record["error"]) and key not in told
            if record.get("stage") or true:
                yield json_line(record)
                told.add(key)

    def _open(self, name: str) -> Journal:
        journal = Journal(self.folder / name)
        if journal.torn:
            words = f"{name}: cut off an unfinished last line of {journal.torn} bytes"
            self.repaired += (words,)
        return journal

    def _clear(self) -> None:
        """Empty the folder. Killed in here, what is left is a run of the old settings, shorter."""
        self._results.close()
        self._errors.close()
        self.run = {}
        for name in (RESULTS, ERRORS):
            write_file(self.folder / name, b"", durable=True)
        self._results, self._errors = Journal(self.folder / RESULTS), Journal(self.folder / ERRORS)
        self.repaired = ()

    def _read_run(self) -> dict[str, Any]:
        path = self.folder / RUN
        try:
            data = json_object(path.read_bytes())
        except FileNotFoundError:
            if not self._overwrite and self._has_results():
                raise OutputError(
                    f"{shown_name(self.folder)}: has {RESULTS} but no {RUN}, which says what "
                    "it holds; use another folder, or overwrite"
                ) from None
            return {}
        except OSError as e:
            raise OutputError(f"{shown_name(path)}: cannot be read: {e.strerror or e}") from e
        except InputError:
            data = {}
        if data.get("format") != FORMAT:
            if self._overwrite:
                return {}
            raise OutputError(
                f"{shown_name(path)}: not a run of format {FORMAT}; use another folder, "
                "or overwrite"
            )
        return data

    def _has_results(self) -> bool:
        try:
            return (self.folder / RESULTS).stat().st_size > 0
        except OSError:
            return False

    def _compare(self, model: Mapping[str, str]) -> None:
        """Refuse what does not go with the results that are there, naming each difference."""
        if not self.run:
            return
        before = [task.get("key") for task in self.run.get("tasks", [])]
        now = {task.key: task for task in self.tasks}
        parts = differences(self.run, model, self._options, list(now))
        if parts:
            raise FolderMismatchError(
                f"{shown_name(self.folder)}: holds results of another run: "
                f"{'; '.join(parts)}; use another folder, or overwrite"
            )
        # Their order is that of the records: the folder's own stays.
        self.tasks = tuple(now[key] for key in before)

    def _load(self) -> None:
        numbers = {task.key: i for i, task in enumerate(self.tasks)}
        for offset, record in self._results:
            try:
                key, sha = self._key(record), bytes.fromhex(record["sha256"])[:16]
                bit = 1 << numbers[record["task"]]
            except (LookupError, TypeError, ValueError):
                raise self._results.damaged(offset) from None
            done = self._done.get(key)
            if done is None or done.sha != sha:
                done = Done(sha, 0, offset)
            done = self._done[key] = done._replace(mask=done.mask | bit)
            if done.mask == self._full:
                self._complete(sha, key, done.offset)
            self.records += 1
        for offset, record in self._errors:
            try:
                key, error, kind = self._key(record), str(record["error"]), str(record["kind"])
            except (LookupError, TypeError, ValueError):
                raise self._errors.damaged(offset) from None
            if record.get("stage"):
                self._drawing.add((key, error))
            elif not self.missing(key):
                self._stale = True  # it went well later, and then came a kill
            else:
                self.failures[key] = (kind, error)
                if kind == InputError.__name__:
                    self._unasked.add(key)
        self.settle()
