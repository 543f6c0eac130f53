"""The server as a process: standard input and output are the protocol's, and nothing else's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import ValidationError

from kosmoscope._version import __version__
from kosmoscope.files.text import one_line
from kosmoscope.mcp.folders import Folders
from kosmoscope.mcp.tools import Tools
from kosmoscope.scope import Scope

_INSTRUCTIONS = """\
Looks at pictures with Kosmos-2, a small model that links what it says to boxes. Pictures are files
in these folders: {folders}. A picture is looked at once, however much is asked about it. Scores are
between 0 and 1; below a half, do not rely on what they belong to."""
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


class _Server(MCPServer[Any]):
    """Says in one line what is wrong with a call, and not what the library says of it."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as e:
            if not isinstance(e.__cause__, ValidationError):
                raise
            first = e.__cause__.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ToolError(one_line(f"{name}: {where}: {first['msg']}")) from e


def application(tools: Tools, folders: Folders) -> MCPServer[Any]:
    """Return the server of these tools."""
    shown = ", ".join(map(str, folders.paths))
    server = _Server(
        "kosmoscope", version=__version__, instructions=_INSTRUCTIONS.format(folders=shown),
        log_level="WARNING",
    )  # fmt: skip
    for tool in (
        tools.describe, tools.ground, tools.refer, tools.ask, tools.segment, tools.count,
        tools.search,
    ):  # fmt: skip
        server.add_tool(tool, annotations=_READS, structured_output=True)
    return server


def serve(load: Callable[[], Scope], folders: Folders) -> None:
    """Serve over standard input and output until the input ends.

    Args:
        load: returns the model; called in another thread while the client is answered already.
        folders: whose pictures may be looked at.
    """
    model: Future[Scope] = Future()

    def loading() -> None:
        try:
            model.set_result(load())
        except BaseException as e:  # noqa: BLE001 (whatever it is, who asks is told)
            model.set_exception(e)

    # An assistant that goes away meanwhile need not wait for a conversion.
    Thread(target=loading, name="kosmoscope-model", daemon=True).start()
    application(Tools(model.result, folders), folders).run("stdio")
