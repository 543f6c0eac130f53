"""The container's files are true: linters pass, and what they name there is. None is built here."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli_runner import PROGRAM
from kosmoscope.server import PORT

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSED = sorted(DEPLOY.glob("*.yaml"))
TEXT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def instructions(text: str = TEXT) -> list[tuple[str, str]]:
    """A Dockerfile's instructions, each on one line."""
    joined = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in lines]


def last(name: str) -> str:
    return [rest for found, rest in instructions() if found == name][-1]


def linted(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_linters_pass() -> None:
    linted(BIN / "hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile")
    linted(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *COMPOSED)


def test_the_image_is_made_of_what_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", TEXT)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY"]
    files = {file for files in copied if "--from=build" not in files for file in files}
    assert all((ROOT / file).exists() for file in files)
    # What the package is built from, and the ignore file lets through.
    named = {project["readme"], *project["license-files"], "pyproject.toml", "src"}
    assert named == files
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in allowed if line.startswith("!")} == files
    version = project["requires-python"].removeprefix(">=")
    assert {rest.split()[0] for name, rest in instructions() if name == "FROM"} == {
        f"python:{version}-slim"
    }


def test_it_runs_as_somebody_who_owns_the_models() -> None:
    user = last("USER")
    assert int(user) > 0
    assert f"useradd --uid {user} " in TEXT
    assert f"--owner {user} {last('VOLUME')}" in TEXT
    homes = re.findall(r"(KOSMOSCOPE_HOME|HF_HOME)=(\S+)", TEXT)
    assert len(homes) == 2
    assert all(path.startswith(f"{last('VOLUME')}/") for _, path in homes)


def arguments(command: list[str]) -> dict[str, str]:
    assert command[0] == "serve"
    pairs = list(zip(command[1::2], command[2::2], strict=True))
    return dict(pairs)


def test_commands_are_understood() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["kosmoscope"]
    commands = [json.loads(last("CMD"))]
    commands += [service(path, "kosmoscope")["command"] for path in COMPOSED]
    for command in commands:
        given = arguments(command)
        assert given["--port"] == last("EXPOSE") == str(PORT)
        assert given["--host"] == "0.0.0.0"
        # All of it is read before the one value that is wrong is complained about.
        wrong = [*PROGRAM, *command, "--texts", "0"]
        done = subprocess.run(wrong, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (
            2, "error: texts is 0; expected a whole number, 1 to 256\n"
        )  # fmt: skip


class Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_sees_whether_it_is_well(
    status: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Health, "status", status)
    check = json.loads(re.search(r"CMD (\[.*\])", last("HEALTHCHECK"))[1])  # type: ignore[index]
    assert check[:2] == ["python", "-c"]
    ast.parse(check[2])
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert str(PORT) in check[2]
        script = check[2].replace(str(PORT), str(server.server_port))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
        server.shutdown()
        thread.join()
    assert done.returncode == code


def service(path: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"][name]
    return found


@pytest.mark.parametrize("path", COMPOSED, ids=lambda p: p.stem)
def test_compositions_fit_the_image(path: Path) -> None:
    ours = service(path, "kosmoscope")
    assert (path.parent / ours["build"]["context"]).resolve() == ROOT
    assert (ROOT / ours["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert ours["volumes"] == [f"models:{last('VOLUME')}"]
    everything = yaml.safe_load(path.read_text(encoding="utf-8"))
    mounted = [m.partition(":")[0] for s in everything["services"].values() for m in s["volumes"]]
    assert sorted(mounted) == sorted(everything["volumes"])
    assert f"-f {path.relative_to(ROOT)} " in path.read_text(encoding="utf-8")


def test_who_calls_it_calls_it_by_its_name_and_port() -> None:
    uri = service(DEPLOY / "photoprism.yaml", "photoprism")["environment"]["PHOTOPRISM_VISION_URI"]
    documented = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    assert f'PHOTOPRISM_VISION_URI: "{uri}"' in documented
    ours = service(DEPLOY / "label-studio.yaml", "kosmoscope")["environment"]
    help = subprocess.run(
        [*PROGRAM, "serve", "--help"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "COLUMNS": "300"},
    ).stdout  # fmt: skip
    assert all(variable in help for variable in ours), "the command reads what it is given"
    port = ours["LABEL_STUDIO_URL"].rpartition(":")[2]
    theirs = service(DEPLOY / "label-studio.yaml", "label-studio")
    assert theirs["ports"][0].endswith(f":{port}")
