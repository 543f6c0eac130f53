"""A kind of model is one record: Kosmos-2, Segment Anything, later others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from kosmoscope.errors import CheckpointError, OptionError
from kosmoscope.files.checked import read_object
from kosmoscope.files.text import shown_name
from kosmoscope.store.folders import converted_root, slug
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles, find_source

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

Step = Callable[[str], None]
"""Called with the name of each step of a conversion."""


class Opened(Protocol):
    """What opening a converted folder gives: whatever a kind likes, and where it lies."""

    @property
    def folder(self) -> Path:
        """The converted folder."""
        ...


T = TypeVar("T", bound=Opened)


@dataclass(frozen=True, slots=True)
class ModelKind(Generic[T]):
    """What the store has to know of a kind of model. `T` is what an opened one is.

    Light on purpose: every start makes the records. What is heavy is imported inside `write` and
    `open`.
    """

    name: str
    """As config.json calls it, `model_type`: what tells kinds apart."""
    title: str
    """For people."""
    files: tuple[str, ...]
    """What a checkpoint has beside its weights, `CONFIG` among it; copied when it is converted."""
    graphs: tuple[str, ...]
    """What `write` makes and `open` needs, without the weights beside the graphs."""
    precisions: tuple[str, ...]
    """What it can be converted to."""
    default: str
    """One of `precisions`."""
    version: int
    """Of what `write` makes. An update that counts it up converts anew."""
    write: Callable[[Path, SourceFiles, str, Step], None]
    """Check a checkpoint, and write its graphs at a precision into a folder, which has its files
    already. Raises `CheckpointError` that names the file."""
    open: Callable[[Path, Manifest], T]
    """Open a converted folder whose files are all there. Raises `CheckpointError`."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Short names and the hub repositories they stand for; of several, results have the first."""
    packaged: tuple[str, ...] = ()
    """Models that ship inside the package, each a folder of its name in the hub's format."""
    optional: tuple[str, ...] = ()
    """As `files`, where a checkpoint has them."""

    def find(self, folder: Path) -> SourceFiles:
        """Return the files of a checkpoint of this kind. Raises as `find_source`."""
        return find_source(folder, self.files, self.optional)

    def converted_dir(self, source: SourceFiles, precision: str) -> Path:
        """Return the folder in our cache where a converted form belongs; it may not exist yet."""
        folder = source.folder.absolute()
        readable = folder.name
        # In the hub's cache the folder is called by its commit: models--org--name/snapshots/hash
        if folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--"):
            readable = folder.parents[1].name.rpartition("--")[2]
        key = f"{slug(readable)}-{source.fingerprint()[:16]}-{slug(precision)}-v{self.version}"
        return converted_root() / key

    def check_precision(self, precision: str) -> None:
        """Raise `OptionError` for a precision that this kind does not have."""
        if precision not in self.precisions:
            known = ", ".join(self.precisions)
            raise OptionError(f"precision {precision!r}: expected one of {known}")


Kinds = Iterable[ModelKind[Any]]


def kind_of(folder: Path, kinds: Kinds) -> ModelKind[Any]:
    """Return the kind of a model, in the hub's format or converted, by its config.json.

    Raises:
        CheckpointError: there is none, or it is of no such kind; the message names the file.
    """
    path = folder / CONFIG
    if not path.is_file():
        what = f"{CONFIG} is missing" if folder.is_dir() else "not a folder"
        raise CheckpointError(f"{shown_name(folder)}: {what}")
    found = read_object(path, CheckpointError).get("model_type")
    for kind in (kinds := tuple(kinds)):
        if kind.name == found:
            return kind
    known = " or ".join(repr(kind.name) for kind in kinds)
    raise CheckpointError(f"{shown_name(path)}: model_type is {found!r}; expected {known}")
