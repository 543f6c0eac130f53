"""Where models lie on this machine, and which files make one: folders only, never the network.

Three kinds of folder: one in the hub's format (`find_source`), the model that ships inside the
package (`packaged`), and a converted one, recognised by its manifest (`is_converted`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from kosmoscope.errors import CheckpointError, ModelNotFoundError

ALIASES = {"kosmos-2": "microsoft/kosmos-2-patch14-224"}
"""Short names and the hub repositories they stand for."""

FORMAT_VERSION = 1
"""Of converted folders; part of their names in the cache, so that an update converts anew."""

PACKAGED = ("pocket",)
"""Models that ship inside the package."""

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
PREPROCESSOR = "preprocessor_config.json"
GENERATION = "generation_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
MANIFEST = "kosmoscope.json"

_PICKLES = ("pytorch_model*.bin*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_MANIFEST_KEYS = {"format_version": int, "name": str, "precision": str, "source_sha256": str}


def is_known_name(name: str) -> bool:
    """Return whether this is a name of ours: a packaged model or an alias."""
    return name in PACKAGED or name in ALIASES


def display_name(name: str) -> str:
    """Return what results call a model of this name: the alias, if it has one."""
    return {repository: alias for alias, repository in ALIASES.items()}.get(name, name)


def cache_root() -> Path:
    """Return the folder for what kosmoscope itself writes; it may not exist yet.

    ``$KOSMOSCOPE_HOME``, else ``$XDG_CACHE_HOME/kosmoscope``, else the platform's cache folder.
    Models from the hub lie in the hub's own cache instead, where other programs find them too.
    """
    if home := os.environ.get("KOSMOSCOPE_HOME"):
        return Path(home).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "kosmoscope"
    return _platform_cache(sys.platform)


def _platform_cache(platform: str) -> Path:
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kosmoscope"
    if platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
        return base / "kosmoscope" / "Cache"
    return Path.home() / ".cache" / "kosmoscope"


def packaged(name: str) -> Path | None:
    """Return the folder of a model that ships inside the package, or None if there is none."""
    if name not in PACKAGED:
        return None
    folder = resources.files("kosmoscope") / name
    # A package imported from a zip file has no folder that an engine could map into memory.
    return folder if isinstance(folder, Path) and (folder / CONFIG).is_file() else None


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files of a model in the hub's format."""

    folder: Path
    config: Path
    tokenizer: Path
    preprocessor: Path
    generation: Path | None
    weights: tuple[Path, ...]
    """`model.safetensors` alone, or the shards that the index names, sorted by name."""
    index: Path | None
    """`model.safetensors.index.json`; None where the weights are one file."""


def find_source(folder: Path) -> SourceFiles:
    """Find the files of a model in the hub's format.

    Args:
        folder: the model's folder; `model.safetensors` goes before an index if there are both.

    Raises:
        CheckpointError: a needed file is missing (the message names it), the index is not one or
            names files outside the folder, or there are only pickled weights, which are refused
            because loading them can run code.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: not a folder")
    for name in (CONFIG, TOKENIZER, PREPROCESSOR):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: {name} is missing")
    index: Path | None = None
    if (folder / WEIGHTS).is_file():
        weights: tuple[Path, ...] = (folder / WEIGHTS,)
    elif (folder / INDEX).is_file():
        index = folder / INDEX
        weights = tuple(folder / name for name in shard_names(index))
        for path in weights:
            if not path.is_file():
                raise CheckpointError(f"{folder}: shard {path.name} is missing; {INDEX} names it")
    else:
        raise no_weights(str(folder), (p.name for p in folder.iterdir()))
    generation = folder / GENERATION
    return SourceFiles(
        folder=folder,
        config=folder / CONFIG,
        tokenizer=folder / TOKENIZER,
        preprocessor=folder / PREPROCESSOR,
        generation=generation if generation.is_file() else None,
        weights=weights,
        index=index,
    )


def no_weights(place: str, names: Iterable[str]) -> CheckpointError:
    """Return the error for a place without weights: pickles only, shards without index, or none."""
    found = sorted(names)
    pickles = [n for n in found if any(fnmatch(n.lower(), pattern) for pattern in _PICKLES)]
    if not pickles or any(n.endswith(".safetensors") for n in found):
        return CheckpointError(f"{place}: no weights: neither {WEIGHTS} nor {INDEX}")
    return CheckpointError(
        f"{place}: the only weights are pickles ({pickles[0]}), refused because loading a pickle "
        f"can run code; use a revision or a copy that has {WEIGHTS}"
    )


def shard_names(index: Path) -> tuple[str, ...]:
    """Return the names of the shards in a `model.safetensors.index.json`, sorted.

    Raises:
        CheckpointError: not JSON, no `weight_map`, or a name that is not a plain file name ending
            in .safetensors (so that no name leads out of the folder, or to a pickle).
    """
    data = _read_object(index)
    weight_map = data.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: no weight_map: expected tensor names and their shards")
    for name in weight_map.values():
        # Checked for both kinds of separators: an index written on one system is read on another.
        if not (isinstance(name, str) and re.fullmatch(r"[^/\\:\0]+\.safetensors", name)):
            raise CheckpointError(
                f"{index}: shard {name!r} is not a plain file name ending in .safetensors"
            )
    return tuple(sorted(set(weight_map.values())))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise CheckpointError(f"{path}: cannot be read: {e.strerror}") from e
    # RecursionError: a file of nothing but brackets.
    except (ValueError, RecursionError) as e:
        raise CheckpointError(f"{path}: not JSON: {e}") from e
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return data


def fingerprint(source: SourceFiles) -> str:
    """Return a hex digest that changes when a file of the model is replaced.

    Cheap on purpose (names, sizes and times of change in ns, not contents): it is the key under
    which a converted model is kept, asked at every start. Links are followed first, so a snapshot
    in the hub's cache has the name of its blob, which is a hash of the content.

    Raises:
        CheckpointError: a file vanished since `find_source`.
    """
    digest = hashlib.sha256()
    files = (source.config, source.tokenizer, source.preprocessor, source.generation)
    for path in (*files, source.index, *source.weights):
        if path is None:
            digest.update(b"-\0")
            continue
        try:
            real = path.resolve(strict=True)
            stat = real.stat()
        except OSError as e:
            raise CheckpointError(f"{path}: cannot be read: {e.strerror}") from e
        digest.update(f"{real}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def converted_dir(source: SourceFiles, precision: str) -> Path:
    """Return the folder in which this source's converted form belongs; it may not exist yet."""
    readable = f"{_slug(_readable(source.folder))}-{fingerprint(source)[:16]}"
    return converted_root() / f"{readable}-{_slug(precision)}-v{FORMAT_VERSION}"


def converted_root() -> Path:
    """Return the folder of all converted models; it may not exist yet."""
    return cache_root() / "converted"


def _readable(folder: Path) -> str:
    folder = folder.absolute()
    # In the hub's cache the folder itself is called by its commit: models--org--name/snapshots/hash
    if folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--"):
        return folder.parents[1].name.rpartition("--")[2]
    return folder.name


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.")[:48] or "model"


def is_converted(folder: Path) -> bool:
    """Return whether this is the folder of a converted model, whole or damaged.

    Only the manifest's presence is asked, so that a damaged one is reported (`read_manifest`)
    instead of being taken for a folder of another kind.
    """
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a converted model.

    Raises:
        CheckpointError: missing, not a JSON object, or one of the keys that every version has
            (format_version, name, precision, source_sha256) is missing or of another type.
    """
    path = folder / MANIFEST
    data = _read_object(path)
    for key, kind in _MANIFEST_KEYS.items():
        if not isinstance(data.get(key), kind):
            raise CheckpointError(f"{path}: {key} is {data.get(key)!r}; expected {kind.__name__}")
    return data


def hub_name(name: str) -> str | None:
    """Return "org/name" for an alias or for itself; None if it can be no name on the hub."""
    repo = ALIASES.get(name, name)
    part = r"[A-Za-z0-9_](?:[A-Za-z0-9_]|[-.](?![-.]))*"
    return repo if re.fullmatch(f"{part}/{part}", repo) and len(repo) <= 96 else None


def is_revision(revision: str) -> bool:
    """Return whether this can be a branch, tag or commit, and no way out of the `refs` folder."""
    return ".." not in revision and bool(re.fullmatch(r"[\w+@][\w.+@-]*(/[\w.+@-]+)*", revision))


def hub_cache() -> Path:
    """Return huggingface_hub's cache, from the environment as it is now, not as at its import."""
    env = os.environ.get
    home = env("HF_HOME") or os.path.join(env("XDG_CACHE_HOME") or "~/.cache", "huggingface")  # noqa: PTH118
    cache = env("HF_HUB_CACHE") or env("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(cache)).expanduser()


def hub_storage(repo: str) -> Path:
    """Return the folder of a repository in huggingface_hub's cache; it may not exist yet."""
    return hub_cache() / f"models--{repo.replace('/', '--')}"


def cached(name: str, revision: str | None = None) -> Path | None:
    """Return the folder of a model in the hub's cache, or None unless all of it is there.

    Args:
        name: an alias, or "org/name".
        revision: a branch or tag as it was last pulled, or a commit; the main branch if None.
    """
    repo = hub_name(name)
    if repo is None or not is_revision(revision or "main"):
        return None
    storage = hub_storage(repo)
    commit = revision or "main"
    try:
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            commit = (storage / "refs" / commit).read_text(encoding="utf-8").strip()
        return find_source(storage / "snapshots" / commit).folder
    except (OSError, ValueError, CheckpointError):
        return None


def resolve(name_or_path: str | Path) -> Path:
    """Return the folder of a model on this machine, without any network.

    Args:
        name_or_path: a folder, "pocket", an alias, or "org/name" as pulled before. A string that
            is a known name means the model, whatever lies in the working folder; write "./pocket"
            for a folder called so.

    Raises:
        ModelNotFoundError: nothing of that name is here; the message says what to do.
    """
    if isinstance(name_or_path, str) and is_known_name(name_or_path):
        shipped = packaged(name_or_path) or cached(name_or_path)
        if shipped is not None:
            return shipped
        raise ModelNotFoundError(
            f"{name_or_path}: not on this machine; run `kosmoscope pull {name_or_path}`"
        )
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise ModelNotFoundError(f"{folder}: a file; expected a model's folder")
    name = str(name_or_path)
    if isinstance(name_or_path, str):
        found = cached(name)
        if found is not None:
            return found
        if hub_name(name) and not name.startswith("."):
            raise ModelNotFoundError(f"{name}: not on this machine; run `kosmoscope pull {name}`")
        if not re.search(r"[/\\~]", name):
            raise ModelNotFoundError(unknown(name))
    raise ModelNotFoundError(f"{folder}: no such folder")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model on this machine."""

    name: str
    """What loads it, for packaged and hub models; the source's name for converted ones."""
    kind: Literal["packaged", "hub", "converted"]
    path: Path
    precision: str | None
    """None where the folder is in the hub's format."""
    size_bytes: int
    detail: str
    """The revision, or what is wrong with the folder."""


def installed() -> tuple[InstalledModel, ...]:
    """Return the models on this machine: packaged, in the hub's cache, converted.

    Damaged and unfinished ones are listed too, with the reason as their detail.
    """
    found = [
        InstalledModel(name, "packaged", folder, None, _size(folder), "ships with kosmoscope")
        for name in PACKAGED
        if (folder := packaged(name)) is not None
    ]
    for folder in sorted(hub_cache().glob("models--*--*/snapshots/*")):
        if _is_kosmos2(folder):
            repo = folder.parents[1].name.removeprefix("models--").replace("--", "/", 1)
            detail = folder.name[:8]
            try:
                find_source(folder)
            except CheckpointError as e:
                detail += f", unfinished: {str(e).removeprefix(f'{folder}: ')}"
            found.append(InstalledModel(repo, "hub", folder, None, _size(folder), detail))
    for folder in sorted(converted_root().glob("[!.]*")):
        if not folder.is_dir():
            continue
        name, precision, detail = folder.name, None, ""
        try:
            manifest = read_manifest(folder)
            name, precision = manifest["name"], manifest["precision"]
            detail = f"converted from {manifest['source_sha256'][:8]}"
        except CheckpointError as e:
            detail = f"damaged: {str(e).removeprefix(f'{folder}{os.sep}')}"
        found.append(InstalledModel(name, "converted", folder, precision, _size(folder), detail))
    return tuple(found)


def unknown(name: str) -> str:
    """Return the message for a name that is no model, with the nearest known names."""
    known = [*PACKAGED, *ALIASES, *(m.name for m in installed() if m.kind == "hub")]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return f"{name!r}: no model or folder of that name; {hint} (or org/name on the hub)"


def size_of(path: Path) -> int | None:
    """Return a file's size in bytes, links followed; None if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _size(folder: Path) -> int:
    """Return the bytes of all files under a folder, each blob once."""
    real = {p.resolve() for p in folder.rglob("*") if p.is_file()}
    return sum(size_of(p) or 0 for p in real)


def _is_kosmos2(folder: Path) -> bool:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "kosmos-2"
