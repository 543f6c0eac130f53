"""What a converted folder says about itself: `kosmoscope.json`, written last."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from kosmoscope.errors import CheckpointError, InputError
from kosmoscope.files.checked import checked, read_object
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import write_text

MANIFEST = "kosmoscope.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The fields of the file."""

    format_version: int
    """The kind's `version` when the folder was written."""
    kosmoscope_version: str
    kind: str | None = None
    """The kind's name; None in folders that older versions made."""
    name: str
    """What results call the model."""
    precision: str
    source_sha256: str
    """Of the checkpoint's weights; see `SourceFiles.sha256`."""
    files: dict[str, int]
    """Sizes in bytes of all other files of the folder."""

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        write_text(folder / MANIFEST, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read a folder's. Raises `CheckpointError` that names the file and the field."""
        path = folder / MANIFEST
        data = read_object(path, CheckpointError)
        try:
            return checked(data, cls)
        except InputError as e:
            shown = shown_name(path)
            raise CheckpointError(f"{shown}: not a manifest of a converted model: {e}") from e


def is_converted(folder: Path) -> bool:
    """Return whether this is the folder of a converted model, whole or damaged.

    Only the manifest's presence is asked, so that a damaged one is reported (`Manifest.read`)
    instead of being taken for a folder of another kind.
    """
    return (folder / MANIFEST).is_file()
