"""serve: the model for other programs, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.model_options import ModelOptions, PictureOptions
from kosmoscope.cli.options import add_commands
from kosmoscope.optional import optional
from kosmoscope.segment.classical.segmenter_kind import CLASSICAL_SEGMENTER

_MODULES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
_PANEL = "Limits"
_LABEL_STUDIO = "Label Studio"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Serve", serve)


def serve(
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; 0.0.0.0 is everywhere.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes a free one.")] = 8428,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="KOSMOSCOPE_TOKEN",
            show_envvar=False,
            help="What clients must send as Authorization: Bearer (KOSMOSCOPE_TOKEN in the "
            "environment does the same). Where others than this machine can reach the host, one "
            "is made up and printed unless given.",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            "--cors", metavar="ORIGIN", help="Let pages of this origin call; can be repeated."
        ),
    ] = None,
    allow_urls: Annotated[
        bool,
        typer.Option("--allow-urls", help="Fetch pictures from public addresses, for clients."),
    ] = False,
    label_studio_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="LABEL_STUDIO_URL",
            show_envvar=False,
            help="Where Label Studio is, as this machine reaches it: the pictures of its tasks are "
            "fetched there (LABEL_STUDIO_URL in the environment does the same).",
            rich_help_panel=_LABEL_STUDIO,
        ),
    ] = None,
    label_studio_key: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            envvar="LABEL_STUDIO_API_KEY",
            show_envvar=False,
            help="A token of an account there (LABEL_STUDIO_API_KEY).",
            rich_help_panel=_LABEL_STUDIO,
        ),
    ] = None,
    segmenter: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What makes the masks that Label Studio is sent: classical, sam, or a model that "
            "was pulled.",
            rich_help_panel=_LABEL_STUDIO,
        ),
    ] = CLASSICAL_SEGMENTER.name,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="OUT",
            help="A folder of `describe -o` with an index, to search: the page, /api/v1/search.",
        ),
    ] = None,
    texts: Annotated[
        int,
        typer.Option(metavar="N", help="Texts written at once.", rich_help_panel=_PANEL),
    ] = 8,
    queue: Annotated[
        int,
        typer.Option(metavar="N", help="Requests that wait; more get 429.", rich_help_panel=_PANEL),
    ] = 32,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="For an answer.", rich_help_panel=_PANEL),
    ] = 300.0,
    cache_mb: Annotated[
        int,
        typer.Option(
            metavar="MB",
            help="Pictures kept, to be asked about again; at Kosmos-2's size 26 MB each.",
            rich_help_panel=_PANEL,
        ),
    ] = 512,
    max_body_mb: Annotated[
        int, typer.Option(metavar="MB", help="Of a request.", rich_help_panel=_PANEL)
    ] = 32,
    pictures: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
) -> None:
    """Serve a model over HTTP: its own API, and those of OpenAI, Ollama, PhotoPrism, Label Studio.

    SIGTERM and Ctrl-C let it answer what it has accepted; a second one ends it at once.

    [bold]Examples[/]

    [cyan]kosmoscope serve[/]
    [cyan]kosmoscope serve --host 0.0.0.0 --token "$TOKEN" --model kosmos-2[/]
    """
    for module in _MODULES:
        optional(module, "server")
    model.check()
    limits = pictures.limits()
    if results is not None:
        from kosmoscope.search import Index

        Index.open(results).close()  # which says what is wrong with it, now
    if segmenter != CLASSICAL_SEGMENTER.name:
        from kosmoscope.segment.run import load_segmenter

        load_segmenter(segmenter)  # which says what is wrong with it, now
    from kosmoscope.server import Settings, guarded
    from kosmoscope.server import serve as run

    given = Settings(
        host, port, token, texts, queue, timeout, cache_mb, max_body_mb, allow_urls,
        tuple(cors or ()), label_studio_url or None, label_studio_key or None, segmenter,
        results,
    )  # fmt: skip
    settings = guarded(given)
    if settings.token != token:
        terminal.note(f"token: {settings.token}")
    quiet = model.quietly(True)
    run(settings, lambda: quiet.load(limits), terminal.note)
