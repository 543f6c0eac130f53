"""What is missing is brought by a command that works where kosmoscope runs."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from kosmoscope import optional as room
from kosmoscope.errors import KosmoscopeError, UnsupportedImageError
from kosmoscope.images import read_image
from kosmoscope.optional import install_command, optional
from pictures import media


class Metadata:
    """Of an installed package."""

    requires = ("numpy>=1.26", "pi-heif>=1.0; extra == 'heic'", 'opencv>=4; extra == "segment"')

    def __init__(self, installer: str | None = "pip") -> None:
        self._installer = installer

    def read_text(self, name: str) -> str | None:
        return f"{self._installer}\n" if name == "INSTALLER" and self._installer else None


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of its own, made by nobody in particular, with pip in it."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "kosmoscope"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "kosmoscope" / "bin" / "python"))
    monkeypatch.setattr(room, "distribution", lambda _: Metadata())
    monkeypatch.setattr(room, "find_spec", lambda _: object())
    monkeypatch.setattr("shutil.which", lambda _: None)
    (tmp_path / "kosmoscope").mkdir()
    return tmp_path / "kosmoscope"


def test_with_pip_it_is_this_interpreters(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert install_command("heic") == f"{sys.executable} -m pip install 'pi-heif>=1.0'"
    monkeypatch.setattr("shutil.which", lambda name: sys.executable if name == "python" else None)
    assert install_command("heic") == "python -m pip install 'pi-heif>=1.0'"
    assert install_command("segment") == "python -m pip install 'opencv>=4'"
    spaced = str(prefix / "my envs" / "python")
    monkeypatch.setattr(sys, "executable", spaced)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert shlex.split(install_command("heic"))[:3] == [spaced, "-m", "pip"]


def test_with_pipx_it_is_injected(prefix: Path) -> None:
    (prefix / "pipx_metadata.json").touch()
    assert install_command("heic") == "pipx inject kosmoscope 'pi-heif>=1.0'"


def test_a_tool_of_uv_and_an_environment_of_uv(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"uv pip install --python {sys.executable} 'pi-heif>=1.0'"
    (prefix / "uv-receipt.toml").touch()
    assert install_command("heic") == expected
    (prefix / "uv-receipt.toml").unlink()
    monkeypatch.setattr(room, "distribution", lambda _: Metadata("uv"))
    assert install_command("heic") == expected


def test_without_pip_it_is_uv_where_there_is_one(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "find_spec", lambda _: None)
    assert "-m pip install" in install_command("heic")
    monkeypatch.setattr("shutil.which", lambda name: "/bin/uv" if name == "uv" else None)
    assert install_command("heic").startswith("uv pip install --python ")


def test_from_a_folder_of_sources_it_is_the_extra(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: str) -> Metadata:
        raise PackageNotFoundError

    monkeypatch.setattr(room, "distribution", none)
    assert install_command("heic").endswith("-m pip install 'kosmoscope[heic]'")


@pytest.mark.parametrize("extra", ["heic", "segment", "parquet", "pandas", "supervision"])
def test_every_extra_is_in_the_packages_own_metadata(extra: str) -> None:
    assert "kosmoscope" not in " ".join(room.requirements(extra))


def test_every_message_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "install_command", lambda extra: f"<bring {extra}>")
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(KosmoscopeError, match=r"cv2 is not installed; .*<bring segment>"):
        optional("cv2", "segment")
    with pytest.raises(UnsupportedImageError, match=r"pi_heif is not installed.*<bring heic>"):
        read_image(media(b"heic"))


def test_a_library_that_is_there_and_does_not_load_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_one.py").write_text("raise ImportError('libGL.so.1: no such file')")
    (tmp_path / "broken_two.py").write_text("import not_there_either")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KosmoscopeError, match=r"is installed and cannot be loaded \(libGL"):
        optional("broken_one", "segment")
    with pytest.raises(KosmoscopeError, match=r"cannot be loaded \(No module named 'not_there"):
        optional("broken_two", "segment")
