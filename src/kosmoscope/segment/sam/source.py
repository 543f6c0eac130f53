"""Segment Anything models by name or folder, and their converted form in the cache.

A converted folder holds encoder.onnx, decoder.onnx, the weights beside them, copies of config.json
and preprocessor_config.json, and the manifest, written last. It appears in one piece or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kosmoscope._version import __version__
from kosmoscope.errors import CheckpointError, ModelError, ModelNotFoundError, OfflineError
from kosmoscope.model import paths
from kosmoscope.model.converted import Manifest
from kosmoscope.model.hub import _offline
from kosmoscope.model.paths import CONFIG, INDEX, PREPROCESSOR, WEIGHTS
from kosmoscope.model.quantization import Precision
from kosmoscope.segment.sam.config import SamConfig
from kosmoscope.segment.sam.decoder import write_decoder
from kosmoscope.segment.sam.encoder import write_encoder
from kosmoscope.segment.sam.pictures import SquareSpec
from kosmoscope.segment.sam.tensors import SamCheckpoint

KNOWN = {
    "sam-vit-base": "facebook/sam-vit-base",
    "slimsam-77": "nielsr/slimsam-77-uniform",
}
"""Short names and the hub repositories they stand for; both Apache-2.0."""

ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
MANIFEST = "kosmoscope-sam.json"

_GRAPHS_VERSION = 1
"""Part of converted folders' names, so that a change of the graphs converts anew."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SamFiles:
    """The files of a model in the hub's format."""

    folder: Path
    weights: tuple[Path, ...]
    """`model.safetensors` alone, or the shards that the index names."""

    @property
    def config(self) -> Path:
        """Sizes of the model."""
        return self.folder / CONFIG

    @property
    def preprocessor(self) -> Path:
        """How pictures are prepared."""
        return self.folder / PREPROCESSOR


def find_files(folder: Path) -> SamFiles:
    """Find the files of a model in the hub's format.

    Raises:
        CheckpointError: a needed file is missing (the message names it), or there are only
            pickled weights, which are refused because loading them can run code.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: not a folder")
    for name in (CONFIG, PREPROCESSOR):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: {name} is missing")
    if (folder / WEIGHTS).is_file():
        return SamFiles(folder, (folder / WEIGHTS,))
    if not (folder / INDEX).is_file():
        raise paths.no_weights(str(folder), (p.name for p in folder.iterdir()))
    weights = tuple(folder / name for name in paths.shard_names(folder / INDEX))
    for path in weights:
        if not path.is_file():
            raise CheckpointError(f"{folder}: shard {path.name} is missing; {INDEX} names it")
    return SamFiles(folder, weights)


def resolve(name_or_folder: str | Path) -> tuple[str, Path]:
    """Return what results call a model, and its folder on this machine; never uses the network.

    Args:
        name_or_folder: a folder, a name of `KNOWN`, or "org/name" on the hub. A string that is a
            known name means the model, whatever lies in the working folder.

    Raises:
        OfflineError: not in the hub's cache, and offline mode is on.
        ModelNotFoundError: nothing of that name is here; the message says what to do.
    """
    name = str(name_or_folder)
    if name and not (isinstance(name_or_folder, str) and name in KNOWN):
        folder = Path(name)
        with suppress(RuntimeError):  # "~someone" who is not a user here
            folder = folder.expanduser()
        if folder.is_dir():
            return folder.resolve().name, folder
        if folder.is_file():
            raise ModelNotFoundError(f"{folder}: a file; expected a model's folder")
    repo = paths.hub_name(KNOWN.get(name, name)) if isinstance(name_or_folder, str) else None
    if repo is None or name.startswith("."):
        raise ModelNotFoundError(
            f"{name!r}: no segmentation model or folder of that name; known: {', '.join(KNOWN)} "
            "(or org/name on the hub)"
        )
    if (found := _cached(repo)) is not None:
        return next((short for short, full in KNOWN.items() if full == repo), repo), found
    command = f"`hf download {repo} {CONFIG} {PREPROCESSOR} {WEIGHTS}`"
    if variable := _offline():
        raise OfflineError(
            f"{name}: not in the cache and {variable} is set; unset it, then run {command}"
        )
    raise ModelNotFoundError(f"{name}: not on this machine; run {command}")


def _cached(repo: str) -> Path | None:
    """Return the folder of a repository's main branch as last pulled, if it is all there."""
    storage = paths.hub_storage(repo)
    with suppress(OSError, ValueError, CheckpointError):
        commit = (storage / "refs" / "main").read_text(encoding="utf-8").strip()
        if re.fullmatch(r"[0-9a-f]{40}", commit):
            return find_files(storage / "snapshots" / commit).folder
    return None


@dataclass(frozen=True, slots=True)
class ConvertedSam:
    """An opened converted folder: checked, nothing loaded yet."""

    folder: Path
    manifest: Manifest
    config: SamConfig
    square: SquareSpec

    @classmethod
    def open(cls, folder: Path) -> ConvertedSam:
        """Check a converted folder.

        Raises:
            CheckpointError: a file is missing or of another size than when it was written.
        """
        manifest = Manifest.read(folder / MANIFEST)
        for name in (ENCODER, DECODER, CONFIG, PREPROCESSOR):
            if name not in manifest.files:
                raise CheckpointError(f"{folder / MANIFEST}: does not list {name}; {_AGAIN}")
        for name, size in manifest.files.items():
            found = paths.size_of(folder / name)
            if found != size:
                what = "missing" if found is None else f"{found:,} bytes, {size:,} were written"
                raise CheckpointError(f"{folder / name}: {what}; {_AGAIN}")
        config = SamConfig.from_file(folder / CONFIG)
        square = SquareSpec.from_file(folder / PREPROCESSOR, config.encoder.image_size)
        return cls(folder, manifest, config, square)


_AGAIN = "remove this folder to convert again"


def ensure_converted(
    files: SamFiles, precision: Precision, *, name: str, progress: Progress | None = None
) -> ConvertedSam:
    """Return the cached conversion of a checkpoint, made now if it is not there.

    Args:
        files: the checkpoint.
        precision: of the encoder's large matrices; the decoder is small and stays fp32.
        name: what the model is called in results.
        progress: called with the name of each step of a conversion.

    Raises:
        CheckpointError: a file of the checkpoint is damaged or disagrees with another.
        ModelError: the cache cannot be written (disk full, read-only).
    """
    slug = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")[:48] or "model"
    key = f"{slug}-{_fingerprint(files)[:16]}-{precision}-v{_GRAPHS_VERSION}"
    target = paths.cache_root() / "sam" / key
    if not (target / MANIFEST).is_file():
        config = SamConfig.from_file(files.config)
        SquareSpec.from_file(files.preprocessor, config.encoder.image_size)
        checkpoint = SamCheckpoint(files.weights, config)
        work = target.with_name(f".{key}.{uuid.uuid4().hex[:8]}.partial")
        try:
            work.mkdir(parents=True)
            _write(work, files, config, checkpoint, precision, name, progress)
            _publish(work, target)
        except OSError as e:
            raise ModelError(f"{target}: cannot be written: {e.strerror or e}") from e
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return ConvertedSam.open(target)


def _write(
    work: Path,
    files: SamFiles,
    config: SamConfig,
    checkpoint: SamCheckpoint,
    precision: Precision,
    name: str,
    progress: Progress | None,
) -> None:
    def step(text: str) -> None:
        if progress is not None:
            progress(text)

    shutil.copyfile(files.config, work / CONFIG)
    shutil.copyfile(files.preprocessor, work / PREPROCESSOR)
    step("mask decoder")
    write_decoder(work / DECODER, config, checkpoint)
    step("image encoder")
    write_encoder(work / ENCODER, config, checkpoint, precision)
    step("checksum")
    sizes = {p.name: p.stat().st_size for p in sorted(work.iterdir())}
    manifest = Manifest(name, precision, checkpoint.sha256(), __version__, sizes)
    manifest.write(work / MANIFEST)


def _publish(work: Path, target: Path) -> None:
    for file in work.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    try:
        work.rename(target)
    except OSError:
        if not (target / MANIFEST).is_file():  # else another process was faster
            raise


def _fingerprint(files: SamFiles) -> str:
    """Return a hex digest that changes when a file of the model is replaced.

    As `kosmoscope.model.paths.fingerprint`: of places, sizes and times of change.
    """
    digest = hashlib.sha256()
    for path in (files.config, files.preprocessor, *files.weights):
        try:
            real = path.resolve(strict=True)
            stat = real.stat()
        except OSError as e:
            raise CheckpointError(f"{path}: cannot be read: {e.strerror}") from e
        digest.update(f"{real}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()
