"""What the documents show runs as it stands, with the small model in the large one's place."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


def blocks(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "docs/from-transformers.md"])
def test_the_code_runs(
    document: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "test-image.jpeg"):
        shutil.copy(photos / "china.jpg", name)
    found = blocks(document)
    assert found
    names: dict[str, object] = {}
    for code in found:
        exec(code.replace('"kosmos-2"', '"pocket"'), names)
    for made in tmp_path.glob("test-image-*.jpeg"):
        with Image.open(made) as image, Image.open("test-image.jpeg") as original:
            assert image.size == original.size
    assert "scope" in names
