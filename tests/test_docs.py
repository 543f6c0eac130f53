"""What the documents show runs as it stands, with the small model in the large one's place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from server_process import Server

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


def shell_blocks(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def beside_a_photo(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(photos / "china.jpg", "photo.jpg")
    return tmp_path


def test_the_server_answers_its_documents_commands(server: Server, beside_a_photo: Path) -> None:
    found = shell_blocks("docs/server.md")
    assert len(found) == 5
    env = {
        **os.environ, "LLM_USER_PATH": str(beside_a_photo),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    for block in found:
        # Each answer on lines of its own, and a status that says whether it was one.
        code = block.replace("localhost:8428", f"127.0.0.1:{server.port}")
        code = code.replace("curl -s", "curl -sS --fail-with-body -w '\\n'")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, timeout=120,
            env=env,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        commands = len(re.findall(r"^(curl|llm)", block, re.MULTILINE))
        assert commands <= len(done.stdout.splitlines())
        assert '"error"' not in done.stdout
    with Image.open(beside_a_photo / "annotated.jpg") as drawn, Image.open("photo.jpg") as given:
        assert drawn.size == given.size


@pytest.mark.parametrize("number", [0, 1])
def test_the_servers_clients_run(
    server: Server, beside_a_photo: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = blocks("docs/server.md")
    assert len(found) == 2
    code = found[number].replace("localhost:8428", f"127.0.0.1:{server.port}")
    code = code.replace('open("photo.jpg", "rb").read()', 'Path("photo.jpg").read_bytes()')
    names: dict[str, Any] = {"Path": Path}
    exec(code, names)
    said = capsys.readouterr().out
    assert "house" in said or "the sky [" in said
    client = names["client"]
    (client.close if number == 0 else client._client.close)()


def test_the_address_for_photoprism_is_one_that_the_server_has(server: Server) -> None:
    text = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    (prefix,) = re.findall(r'PHOTOPRISM_VISION_URI: "http://[^/]+(/.*)"', text)
    with server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert {f"{prefix}/caption", f"{prefix}/labels"} <= set(paths)
