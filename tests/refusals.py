"""What loading a model refuses: with one short line, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kosmoscope.errors import KosmoscopeError
from kosmoscope.store.folders import converted_root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of the test's own, and no offline mode."""
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def refused_by(
    load: Callable[..., Any], name: Any, kind: type[KosmoscopeError], *words: str
) -> str:
    """Assert that loading fails with a line that has these words; return it."""
    with pytest.raises(KosmoscopeError) as caught:
        load(name, threads=1)
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert "\n" not in message
    assert len(message) < 700
    for word in words:
        assert word in message
    left = converted_root()
    assert not left.exists() or not list(left.iterdir())
    return message
