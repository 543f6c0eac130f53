"""Where models lie on this machine: our cache and the hub's. Folders only, never the network."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path


def cache_root() -> Path:
    """Return the folder for what kosmoscope itself writes; it may not exist yet.

    ``$KOSMOSCOPE_HOME``, else ``$XDG_CACHE_HOME/kosmoscope``, else the platform's cache folder.
    Models from the hub lie in the hub's own cache instead, where other programs find them too.
    """
    if home := os.environ.get("KOSMOSCOPE_HOME"):
        return _expanded(home)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return _expanded(xdg) / "kosmoscope"
    return _platform_cache(sys.platform)


def _expanded(path: str) -> Path:
    """Return a path with its ``~``; a user without a home, as in some containers, has none that
    could be written, which is then said of this folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path.replace("~", os.sep + "no-home-folder", 1))


def _platform_cache(platform: str) -> Path:
    if platform == "darwin":
        return _expanded("~") / "Library" / "Caches" / "kosmoscope"
    if platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else _expanded("~") / "AppData" / "Local"
        return base / "kosmoscope" / "Cache"
    return _expanded("~") / ".cache" / "kosmoscope"


def converted_root() -> Path:
    """Return the folder of all converted models; it may not exist yet."""
    return cache_root() / "converted"


def hub_cache() -> Path:
    """Return huggingface_hub's cache, from the environment as it is now, not as at its import."""
    env = os.environ.get
    home = env("HF_HOME") or os.path.join(env("XDG_CACHE_HOME") or "~/.cache", "huggingface")  # noqa: PTH118
    cache = env("HF_HUB_CACHE") or env("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return _expanded(os.path.expandvars(cache))


def hub_storage(repo: str) -> Path:
    """Return the folder of a repository in huggingface_hub's cache; it may not exist yet."""
    return hub_cache() / f"models--{repo.replace('/', '--')}"


def hub_snapshot(repo: str, revision: str | None = None) -> Path | None:
    """Return the folder of a repository's revision in the hub's cache, whole or unfinished.

    Args:
        repo: "org/name".
        revision: a branch or tag as it was last pulled, or a commit; the main branch if None.
    """
    commit = revision or "main"
    if not is_revision(commit):
        return None
    storage = hub_storage(repo)
    try:
        if not is_commit(commit):
            commit = (storage / "refs" / commit).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    folder = storage / "snapshots" / commit
    # What a ref says becomes a path here: nothing but a commit may pass.
    return folder if is_commit(commit) and folder.is_dir() else None


def is_revision(revision: str) -> bool:
    """Return whether this can be a branch, tag or commit, and no way out of the `refs` folder."""
    return ".." not in revision and bool(re.fullmatch(r"[\w+@][\w.+@-]*(/[\w.+@-]+)*", revision))


def is_commit(text: str) -> bool:
    """Return whether this is the name of a commit."""
    return bool(re.fullmatch(r"[0-9a-f]{40}", text))


def offline() -> str | None:
    """Return the variable that switches the hub's offline mode on, or None."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if value := os.environ.get(name):
            return name if is_true(value) else None
    return None


def is_true(value: str) -> bool:
    """Return whether a variable's value switches something on, as huggingface_hub reads it."""
    return value.upper() in {"1", "ON", "YES", "TRUE"}


def slug(text: str) -> str:
    """Return a short name for a folder, which every file system takes."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.")[:48] or "model"


def size_of(path: Path) -> int | None:
    """Return a file's size in bytes, links followed; None if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def folder_size(folder: Path) -> int:
    """Return the bytes of all files under a folder, each blob once."""
    real = {p.resolve() for p in folder.rglob("*") if p.is_file()}
    return sum(size_of(p) or 0 for p in real)
