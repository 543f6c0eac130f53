"""What every test shares: no network, no user's cache, no transformers chatter."""

from __future__ import annotations

import os

# Before any hub library is imported.
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _isolated_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep conversions out of the user's cache, and the user's models out of the tests."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("home")
    patch.setenv("KOSMOSCOPE_HOME", str(root / "kosmoscope"))
    patch.setenv("HF_HOME", str(root / "hub"))
    patch.delenv("HF_HUB_CACHE", raising=False)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def photos() -> Path:
    """The sample photos' folder."""
    return Path(__file__).parent.parent / "examples" / "photos"
