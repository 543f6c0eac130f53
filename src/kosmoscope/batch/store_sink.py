"""A batch's folder as the pipeline's sink, and how far the run is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kosmoscope.batch.decoding import Decoded, Failed
from kosmoscope.batch.pipeline import ContentsOf, PictureDone, Sink
from kosmoscope.batch.sources import Source
from kosmoscope.batch.store import Store
from kosmoscope.files.text import utf8
from kosmoscope.results import Description
from kosmoscope.types import Timing

SHOWN_PROBLEMS = 5
"""So many errors are told at the end of a run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; handed out on the writer's thread after every picture."""

    total: int | None
    """Sources in all; None while that cannot be known (standard input, watching)."""
    done: int
    """Sources behind us: described, failed and skipped ones."""
    failed: int
    skipped: int
    """Sources whose results were there already."""
    rate: float
    """Pictures a second since the first one began."""
    eta: float | None
    """Seconds that are left, if `total` is known."""
    source: str
    """The last one, as text that is safe to print in JSON."""


class StoreSink(Sink):
    """Writes into a store, and counts.

    Args:
        store: opened, and begun.
        recheck: read every file again, instead of trusting what is recorded for its path.
        progress: called after every picture.
    """

    def __init__(
        self, store: Store, *, recheck: bool, progress: Callable[[Progress], object] | None
    ) -> None:
        self.total: int | None = None
        """Sources in all, if that is known."""
        self.described = self.copied = self.skipped = self.failed = self.records = 0
        self.began = time.monotonic()
        self.problems: list[str] = []
        """The first errors of this run, in words."""
        self._store, self._recheck, self._progress = store, recheck, progress

    def plan(self, window: Sequence[Source], contents: ContentsOf) -> Sequence[Source]:
        """Decide what of a window is to be decoded.

        All of it, if a source was never tried: then the same pictures share the model's passes as
        would have without the kill. If only sources are left that failed before, those alone.
        """
        store = self._store
        missing = [s for s in window if store.missing(s.key)]
        if self._recheck:
            there = [s for s in window if not store.missing(s.key)]
            found = zip(there, contents(there), strict=True)
            changed = [s for s, sha in found if store.sha(s.key) != sha]
            missing = [s for s in window if s in missing or s in changed]
        self.skipped += len(window) - len(missing)
        return missing if all(s.key in store.failures for s in missing) else window

    def owner(self, picture: Decoded) -> str:
        """Return the first source of the same content, unless it is this one."""
        key, sha = picture.source.key, _short(picture.sha256)
        self._store.own(sha, key)
        owner = self._store.owner(sha)
        return "" if owner is None or owner == key else owner

    def fresh(self, done: PictureDone) -> PictureDone | None:
        """Return what has no records yet."""
        sha = _short(done.sha256)
        if not self._store.missing(done.source.key, sha):
            # A neighbour of what was missing: its window counted it as skipped.
            self._tell(done.source)
            return None
        if not done.owner:
            return done
        found = (
            Description.from_dict(record["description"]) for record in self._store.recorded(sha)
        )
        path = done.source.path
        return replace(
            done,
            descriptions=tuple(
                replace(one, image=replace(one.image, path=path), timing=Timing()) for one in found
            ),
        )

    def add(self, done: PictureDone) -> None:
        """Write the records that are missing."""
        described = [one.to_dict() for one in done.descriptions]
        for one in described:
            one["image"]["path"] = done.source.name
        self.records += self._store.add(done.source, done.sha256, described)
        self.described += 1
        self.copied += bool(done.owner)
        self._tell(done.source)

    def fail(self, failed: Failed) -> None:
        """Write down why a source has no result."""
        self._store.fail(failed.source, failed.kind, utf8(failed.error), stage=failed.stage)
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(failed.error)
        if not failed.stage:
            self.failed += 1
            self._tell(failed.source)

    @property
    def seconds(self) -> float:
        """Since the first picture began."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return (self.described + self.failed) / max(self.seconds, 1e-9)

    def _tell(self, source: Source) -> None:
        if self._progress is None:
            return
        done = self.described + self.failed + self.skipped
        eta = None
        if self.total is not None and self.rate > 0:
            eta = max(0, self.total - done) / self.rate
        self._progress(
            Progress(self.total, done, self.failed, self.skipped, self.rate, eta, source.name)
        )


def _short(sha256: str) -> bytes:
    """Return the first 16 bytes of a digest in hex."""
    return bytes.fromhex(sha256)[:16]
