"""The tools of an assistant: the real process, asked by the protocol's own client."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

from cli_runner import POCKET, PROGRAM, one_error, run
from kosmoscope import Description
from kosmoscope.errors import ImageError, OptionError
from kosmoscope.mcp import Folders
from kosmoscope.mcp.tools import Tools
from kosmoscope.search import Index, update_index
from search_results import LEFT, RIGHT, line, write
from server_process import PHOTOS, pocket

ROOT = Path(__file__).parent.parent
HELLO = {
    "protocolVersion": "2025-06-18", "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}  # fmt: skip


def asking(
    folder: Path, what: Callable[[Client], Awaitable[None]], *args: str, cwd: Path | None = None
) -> None:
    """Let a client ask the process."""

    async def session() -> None:
        command, *rest = PROGRAM
        keep = {k: v for k, v in os.environ.items() if k.startswith(("KOSMOSCOPE", "PYTHON", "HF"))}
        process = StdioServerParameters(
            command=command, args=[*rest, "mcp", *POCKET, *args], env=keep, cwd=cwd
        )
        with (folder / "stderr").open("w") as log:
            async with Client(stdio_client(process, log)) as client:
                await what(client)

    anyio.run(session)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures that may be looked at, beside some that may not."""
    inside = tmp_path / "pictures"
    (inside / "more").mkdir(parents=True)
    shutil.copy(PHOTOS / "china.jpg", inside / "more" / "china.jpg")
    with Image.open(PHOTOS / "china.jpg") as image:
        image.resize((160, 107)).save(inside / "small.png")
    shutil.copy(PHOTOS / "flower.jpg", tmp_path / "secret.jpg")
    (inside / "way-out.jpg").symlink_to(tmp_path / "secret.jpg")
    (inside / "way-in.jpg").symlink_to(inside / "more" / "china.jpg")
    (inside / "notes.txt").write_text("no picture")
    return inside


def text(answer: CallToolResult) -> str:
    (first, *_) = answer.content
    assert isinstance(first, TextContent)
    return first.text


def test_an_assistant_asks(folder: Path, tmp_path: Path) -> None:
    china = str(folder / "more" / "china.jpg")

    async def ask(client: Client) -> None:
        listed = (await client.list_tools()).tools
        assert [t.name for t in listed] == [
            "describe", "ground", "refer", "ask", "segment", "count", "search"
        ]  # fmt: skip
        for tool in listed:
            assert tool.description
            assert tool.output_schema is not None
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint
        assert str(folder) in (client.instructions or "")

        answer = await client.call_tool("describe", {"picture": china, "draw": True})
        assert not answer.is_error
        found = Description.from_dict(answer.structured_content)
        wanted = pocket().describe(china)
        assert (found.caption, found.entities) == (wanted.caption, wanted.entities)
        assert text(answer).splitlines()[0] == wanted.caption
        assert f"- {wanted.entities[0].phrase}: [" in text(answer)
        drawn = answer.content[1]
        assert isinstance(drawn, ImageContent)
        with Image.open(io.BytesIO(base64.b64decode(drawn.data))) as image:
            assert (image.format, image.size) == ("JPEG", (640, 427))

        # A path within the folder, by a link that stays in it.
        answer = await client.call_tool("ground", {"picture": "way-in.jpg", "phrase": "the sky"})
        found = Description.from_dict(answer.structured_content)
        assert found.entities == pocket().ground(china, "the sky").entities
        assert len(answer.content) == 1
        answer = await client.call_tool("refer", {"picture": china, "box": [0, 0, 1, 0.5]})
        assert text(answer).splitlines()[0] == pocket().refer(china, (0, 0, 1, 0.5)).caption
        question = {"picture": china, "question": "What is it?", "box": [0.2, 0.2, 0.5, 0.8]}
        answer = await client.call_tool("ask", question)
        wanted = pocket().ask(china, "What is it?", (0.2, 0.2, 0.5, 0.8))
        assert Description.from_dict(answer.structured_content).caption == wanted.caption
        answer = await client.call_tool("segment", {"picture": china, "phrase": "the sky"})
        areas = pocket().segment(china, phrase="the sky").areas_percent()
        (part,) = answer.structured_content["parts"]
        assert (part["phrase"], part["area_percent"]) == ("the sky", round(areas[1], 2))
        assert text(answer).endswith(f"- the sky: {areas[1]:.1f} % of the picture")
        small = str(folder / "small.png")  # counting looks at as many parts as a picture is worth
        answer = await client.call_tool("count", {"picture": small, "phrase": "houses"})
        count = pocket().count(small, "houses")
        assert answer.structured_content == count.to_dict()
        assert text(answer).startswith(f"houses: {count.number}, ")

    asking(tmp_path, ask, "--allow", str(folder))
    assert (tmp_path / "stderr").read_text() == ""


def test_the_documented_configuration_starts_it(folder: Path) -> None:
    document = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    server = json.loads(block)["mcpServers"]["kosmoscope"]
    assert server["command"] == "kosmoscope"
    places = {"/home/me/Pictures": str(folder), "kosmos-2": "pocket"}
    arguments = [places.get(argument, argument) for argument in server["args"]]
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        found, _ = child.communicate(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}) + "\n"
        )
    assert json.loads(found)["result"]["serverInfo"]["name"] == "kosmoscope"
    # Its table of tools is the server's.
    tools = re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE)
    assert tools == ["describe", "ground", "refer", "ask", "segment", "count", "search"]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("describe", {"picture": "../secret.jpg"}, "outside of the folders that may be read"),
    ("describe", {"picture": "way-out.jpg"}, "outside of the folders that may be read"),
    ("describe", {"picture": "/etc/passwd"}, "outside of the folders that may be read"),
    ("segment", {"picture": "../secret.jpg"}, "outside of the folders that may be read"),
    ("count", {"picture": "../secret.jpg", "phrase": "a"}, "outside of the folders"),
    ("describe", {"picture": "a\0b"}, "not a path of a file"),
    ("describe", {"picture": "gone.jpg"}, "gone.jpg: no such file"),
    ("describe", {"picture": "more"}, "more"),
    ("describe", {"picture": "notes.txt"}, "not a known kind of picture"),
    ("ground", {"picture": "more/china.jpg"}, "phrase: Field required"),
    ("ground", {"picture": "more/china.jpg", "phrase": " "}, "at least one word"),
    ("refer", {"picture": "more/china.jpg", "box": [0, 0]}, "box: List should have at least 4"),
    ("refer", {"picture": "more/china.jpg", "box": [0, 0, 0, 0]}, "is empty or inverted"),
    ("describe", {"picture": "more/china.jpg", "style": "long"}, "style: Input should be 'brief'"),
    ("count", {"picture": "more/china.jpg", "phrase": ""}, "expected words"),
]


def test_calls_that_are_refused(folder: Path, tmp_path: Path) -> None:
    async def ask(client: Client) -> None:
        for tool, arguments, says in REFUSED:
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error, (tool, arguments)
            assert says in text(answer), text(answer)
            assert len(text(answer).splitlines()) == 1

    asking(tmp_path, ask, cwd=folder)  # without --allow it is the working folder
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_a_model_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    async def ask(client: Client) -> None:
        answer = await client.call_tool("describe", {"picture": "more/china.jpg"})
        assert answer.is_error
        assert "nothing/here" in text(answer)

    asking(tmp_path, ask, "--allow", str(folder), "--model", "nothing/here")


def test_standard_output_is_the_protocols_alone(folder: Path) -> None:
    call = {"name": "describe", "arguments": {"picture": "more/china.jpg"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    child = subprocess.Popen(
        [*PROGRAM, "mcp", *POCKET, "--allow", str(folder)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    for message in messages:
        child.stdin.write(json.dumps(message) + "\n")
    child.stdin.flush()
    answers: dict[int, Any] = {}
    while len(answers) < 2:
        found = json.loads(child.stdout.readline())
        assert found["jsonrpc"] == "2.0"
        answers[found["id"]] = found["result"]
    assert answers[1]["serverInfo"]["name"] == "kosmoscope"
    assert answers[2]["structuredContent"]["model"] == "pocket"
    rest, errors = child.communicate(timeout=60)  # the end of its input is its own
    assert (rest, errors, child.returncode) == ("", "", 0)


def test_who_stops_waiting_stops_the_model(folder: Path) -> None:
    tools = Tools(pocket, Folders([folder]))
    began, seen = threading.Event(), threading.Event()

    def long(gone: threading.Event) -> CallToolResult:
        began.set()
        assert gone.wait(60)
        seen.set()
        raise AssertionError("nobody waits for this")

    async def impatient() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(tools._done, long)
            while not began.is_set():
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        # The next one has its turn when that has ended.
        answer = await tools.describe("more/china.jpg")
        assert seen.is_set()
        assert not answer.is_error

    anyio.run(impatient)


def test_pictures_are_looked_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kosmoscope.mcp.tools._KEPT", 2)
    tools = Tools(pocket, Folders([folder]))
    path = folder / "more" / "china.jpg"
    first = tools._encoded(path)
    assert tools._encoded(path) is first
    shutil.copy(PHOTOS / "flower.jpg", path)
    assert tools._encoded(path) is not first
    shutil.copy(path, folder / "again.jpg")
    tools._encoded(folder / "again.jpg")
    assert len(tools._kept) == 2


def test_folders(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Folders([folder, folder / "more"])
    assert both.picture("china.jpg") == (folder / "more" / "china.jpg").resolve()
    assert both.picture(str(folder / "more" / "china.jpg")).name == "china.jpg"
    (tmp_path / "pictures-too").mkdir()
    with pytest.raises(ImageError, match="outside"):
        Folders([folder]).picture("../pictures-too/a.jpg")
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(ImageError):
        both.picture("a")
    for wrong, says in (([], "at least one"), ([folder / "gone"], "no such folder"),
                        ([folder / "notes.txt"], "not a folder")):  # fmt: skip
        with pytest.raises(OptionError, match=says):
            Folders(wrong)
    monkeypatch.chdir("/")
    assert "--allow" in one_error(run("mcp", *POCKET), 2)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert "mcp" in one_error(run("mcp", *POCKET), 1)


def test_an_assistant_searches(tmp_path: Path) -> None:
    dog, cat = ("a dog", 0.9, LEFT), ("a cat", 0.8, RIGHT)
    out = write(tmp_path / "all", [line("1.jpg", [dog, cat]), line("2.jpg", [cat])])
    update_index(out)
    question = "a dog left of a cat"

    async def ask(client: Client) -> None:
        found = await client.call_tool("search", {"folder": out.name, "question": question})
        with Index.open(out) as index:
            assert found.structured_content == index.search(question, limit=10).to_dict()
        assert text(found).startswith("a dog left of a cat: 1 of 2 pictures\n- ")
        none = await client.call_tool("search", {"folder": str(out), "question": "3 giraffes"})
        assert "nothing" in text(none)
        for folder, said in (
            ("..", "outside of the folders"), ("gone", "no such folder"), (".", "index"),
        ):  # fmt: skip
            refused = await client.call_tool("search", {"folder": folder, "question": "dogs"})
            assert refused.is_error
            assert said in text(refused)

    asking(tmp_path, ask, "--allow", str(out.parent))
