"""The command line as a real process: streams, signals, encodings, a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli_runner import POCKET, PROGRAM, QUIET, process, results, run


@pytest.fixture(scope="session")
def china(photos: Path) -> Path:
    return photos / "china.jpg"


@pytest.fixture(scope="session", autouse=True)
def _converted(_isolated_cache: None, china: Path) -> None:
    """Convert once, so that no test meets the note that says so."""
    assert run("describe", *QUIET, china).exit_code == 0


def test_streams_of_a_process(china: Path) -> None:
    done = process("describe", "-n", "5", "-f", "json", "-", input=china.read_bytes())
    assert done.returncode == 0
    assert results(done.stdout.decode())[0].image.path == "<stdin>"
    assert done.stderr == b""
    wrong = process("describe", "nowhere.jpg", *POCKET)
    assert (wrong.returncode, wrong.stdout) == (1, b"")
    assert wrong.stderr.decode().splitlines() == ["error: nowhere.jpg: no such file"]
    assert process("describe").returncode == 2


def test_encodings_of_a_process(china: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "FORCE_COLOR": "1"}
    link = tmp_path / "café.jpg"
    link.symlink_to(china)
    text = process("describe", *QUIET, link, env=env)
    assert text.returncode == 0
    assert rb"caf\xe9.jpg  640x427" in text.stdout
    assert b"\x1b" not in text.stdout
    data = process("describe", *QUIET, link, "-f", "json", env=env).stdout
    assert results(data.decode("ascii"))[0].image.path == str(link)
    # A name that is not UTF-8, straight from the operating system.
    bad = process("describe", *QUIET, os.fsdecode(b"caf\xff.jpg"))
    assert (bad.returncode, bad.stderr) == (1, b"error: caf\\udcff.jpg: no such file\n")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['kosmoscope', 'describe', '--help']\n"
        "from kosmoscope.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code\n"
        "heavy = {'onnxruntime', 'onnx', 'numpy', 'PIL', 'tokenizers', 'huggingface_hub'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("format", ["text", "json"])
def test_a_reader_that_leaves(china: Path, format: str) -> None:
    args = [*PROGRAM, "describe", *QUIET, "-f", format, *[str(china)] * 30]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(120) == 141


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_interrupt(china: Path) -> None:
    args = [*PROGRAM, "describe", *QUIET, *[str(china)] * 500]
    with subprocess.Popen(
        args,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores SIGINT, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        child.stdout.read()
        assert child.stderr.read() == b""
        assert child.wait(120) == 130


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("format", ["text", "json"])
def test_a_full_disk(china: Path, format: str) -> None:
    with Path("/dev/full").open("wb") as full:
        args = [*PROGRAM, "describe", *QUIET, "-f", format, str(china)]
        done = subprocess.run(args, stdout=full, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 1
    assert done.stderr.decode() == "error: standard output: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal(china: Path, colour: bool) -> None:
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    env.pop("NO_COLOR", None)
    shown = _in_terminal(
        ["describe", *POCKET, str(china)], env if colour else env | {"NO_COLOR": "1"}
    )
    assert "\x1b[?25h" in shown  # the cursor is back
    end = shown.rpartition("640x427")[2]
    assert ("\x1b[1;36m" in end) is colour
    assert "[1]" in end


def _in_terminal(args: list[str], env: dict[str, str]) -> str:
    import pty  # not on Windows

    ours, theirs = pty.openpty()
    with subprocess.Popen([*PROGRAM, *args], env=env, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # Linux says so when the other side is closed
                break
            if not chunk:
                break
            shown += chunk
        os.close(ours)
        assert child.wait(120) == 0
    return shown.decode()


INTERRUPTED_IMPORT = """
import os, signal, sys
wanted = sys.argv[1]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from kosmoscope.cli import main
sys.argv = ["kosmoscope", "models"]
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("module", ["kosmoscope.cli.app", "typer", "kosmoscope.kinds", "json"])
def test_ctrl_c_while_it_starts_says_nothing(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, module], capture_output=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_ignored_ctrl_c_stays_ignored() -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + INTERRUPTED_IMPORT
    done = subprocess.run([sys.executable, "-c", code, "typer"], capture_output=True, timeout=120)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
