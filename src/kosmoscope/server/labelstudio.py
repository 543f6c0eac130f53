"""Label Studio's ML backend: predictions for a project's labels, typed prompts, clicks and boxes.

The form is that of label_studio_ml/api.py and of label_studio/ml/api_connector.py. Nothing is
trained here: webhooks are answered, and that is all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse

from kosmoscope.errors import KosmoscopeError
from kosmoscope.files.text import one_line
from kosmoscope.labels import Label, phrases_of, sorted_out
from kosmoscope.prompts import describe_prompt, ground_prompt
from kosmoscope.server.bodies import Loose, read_json
from kosmoscope.server.desk import Ask, Desk, unless_gone
from kosmoscope.server.failures import RefusedError, refusal
from kosmoscope.server.labelstudio_config import Config, Control, ShapeControl, read_config
from kosmoscope.server.labelstudio_pointing import (
    Answering,
    Pointed,
    answering,
    read_pointed,
)
from kosmoscope.server.labelstudio_results import Found, caption_item, prediction, shape_items
from kosmoscope.server.pictures import Shown
from kosmoscope.server.schema import documented

T = TypeVar("T")
_log = logging.getLogger("kosmoscope.server")
UP = {"model_class": "kosmoscope"}
"""What a backend says of itself beside its status."""
_TRAINING = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")


class Task(Loose):
    """A task; of its data the configuration says which are pictures."""

    id: int | str | None = None
    data: dict[str, Any] = Field({})


class Predict(Loose):
    """A call for predictions."""

    tasks: list[Task]
    label_config: str = Field(description="The project's labelling configuration.")
    params: dict[str, Any] | None = Field(
        None, description="Of an interactive call, context has what was typed or pointed at."
    )


class Setup(Loose):
    """A project that is about to ask; its configuration comes again with every call."""

    project: str | int | None = None


class Webhook(Loose):
    """Something happened in a project."""

    action: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked about one picture of each task."""

    key: str
    """Where the task's data have it."""
    shapes: tuple[tuple[ShapeControl, tuple[tuple[list[str], Label], ...]], ...]
    """Controls, and what to look for: the labels that a result gets, and the phrases."""
    captions: tuple[Control, ...]
    every: bool = False
    """Keep what is unlikely, too: somebody asked on purpose."""


Answer = Callable[[Task], Awaitable[list[dict[str, Any]]]]
"""From a task to its results."""


def routes(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["Label Studio"])
    limit = desk.settings.max_body_mb * 2**20

    @router.post("/predict", **documented(Predict, None, multipart=False))
    async def predict(request: Request) -> JSONResponse:
        body = await read_json(request, Predict, limit)
        config = read_config(body.label_config)
        done = _done(body.params or {})
        pointed = read_pointed(done)
        answer: Answer
        if pointed is not None:
            answer = partial(_pointed, desk, answering(config, pointed), pointed)
        else:
            wanted = _prompted(config, _typed(done)) if done else _labelled(config)
            answer = partial(_asked, desk, wanted)
        results = await unless_gone(request, _results(desk, body.tasks, answer, bool(done)))
        return JSONResponse({"results": results, "model_version": desk.model().model})

    @router.post("/setup", **documented(Setup, None, multipart=False))
    async def setup(request: Request) -> JSONResponse:
        await read_json(request, Setup, limit)
        return JSONResponse({"model_version": desk.model().model})

    @router.post("/webhook", **documented(Webhook, None, multipart=False))
    async def webhook(request: Request) -> JSONResponse:
        body = await read_json(request, Webhook, limit)
        if body.action not in _TRAINING:
            return JSONResponse({"status": "Unknown event"})
        return JSONResponse({"result": None, "status": "ok"}, 201)

    return router


def _done(params: dict[str, Any]) -> Any:
    """Return what somebody did with smart tools or typed; nothing where nobody did."""
    context = params.get("context")
    return context.get("result") if isinstance(context, dict) else None


def _typed(items: Any) -> list[str]:
    """Return the phrases that somebody typed.

    Raises:
        RefusedError: something was done, and it was not typing.
    """
    phrases = [text.strip() for text in _texts(items) if text.strip()]
    if not phrases:
        raise RefusedError(
            422, "params.context: expected a text of a TextArea, a click (KeyPointLabels) or a box"
        )
    return list(dict.fromkeys(phrases))


def _texts(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else ():
        value = item.get("value") if isinstance(item, dict) else None
        text = value.get("text") if isinstance(value, dict) else None
        yield from (t for t in (text if isinstance(text, list) else [text]) if isinstance(t, str))


def _labelled(config: Config) -> list[Wanted]:
    """Ask for every label of every control that is not for smart tools alone, and for captions."""
    shapes = [control for control in config.shapes if not control.is_tool]
    if not config.captions and not any(control.labels for control in shapes):
        raise RefusedError(422, "label_config: expected a Label to look for; there is none")
    return [
        Wanted(
            key,
            tuple(
                (control, tuple(([label.name], label) for label in control.labels))
                for control in shapes
                if control.key == key
            ),
            tuple(control for control in config.captions if control.key == key),
        )
        for key in dict.fromkeys(control.key for control in (*shapes, *config.captions))
    ]


def _prompted(config: Config, phrases: Sequence[str]) -> list[Wanted]:
    """Ask for phrases: each is for the first control with a label for it, or for the first."""
    if not config.shapes:
        raise RefusedError(
            422, "label_config: a prompt needs RectangleLabels, PolygonLabels or BrushLabels"
        )
    found: dict[str, tuple[ShapeControl, list[tuple[list[str], Label]]]] = {}
    for phrase in phrases:
        meant = [(c, c.names_for(phrase)) for c in config.shapes]
        first = config.shapes[0], config.shapes[0].only_name
        control, names = next((m for m in meant if m[1]), first)
        found.setdefault(control.name, (control, []))[1].append((names, Label(phrase, (phrase,))))
    return [
        Wanted(control.key, ((control, tuple(items)),), (), every=True)
        for control, items in found.values()
    ]


async def _results(
    desk: Desk, tasks: Iterable[Task], answer: Answer, interactive: bool
) -> list[Any]:
    """Return a prediction a task, in order; in the place of one that failed what was wrong.

    Label Studio logs that, saves nothing for the task, and asks again another time.
    """
    results: list[Any] = []
    try:
        async with asyncio.timeout(desk.settings.timeout):
            for task in tasks:
                try:
                    results.append(prediction(await answer(task), desk.model().model))
                except (RefusedError, KosmoscopeError) as e:
                    refused = refusal(e)
                    message = one_line(f"task {task.id}: {refused.message}")
                    if interactive or refused.status >= 500:
                        raise RefusedError(refused.status, message, refused.headers) from e
                    _log.warning("%s", message)
                    results.append({"task": task.id, "error": message})
    except TimeoutError:
        raise RefusedError(504, f"not done within {desk.settings.timeout:g} s") from None
    return results


async def _asked(desk: Desk, wanted: Sequence[Wanted], task: Task) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for one in wanted:
        items += await _items(desk, await _shown(desk, task, one.key), one)
    return items


async def _pointed(desk: Desk, to: Answering, pointed: Pointed, task: Task) -> list[dict[str, Any]]:
    shown = await _shown(desk, task, to.control.key)
    return await desk.aside(desk.pointing.items, to, pointed, shown, desk.model())


async def _shown(desk: Desk, task: Task, key: str) -> Shown:
    text = task.data.get(key)
    if not isinstance(text, str) or not text.strip():
        raise RefusedError(422, f"its data have no picture called {key!r}")
    return await desk.shown(await desk.fetched(desk.label_studio.picture, text.strip(), task.id))


async def _items(desk: Desk, shown: Shown, wanted: Wanted) -> list[dict[str, Any]]:
    # Looked at first, so that no two of the questions do.
    seen = replace(shown, encoded=(await desk.look(shown)).image)
    least = [0.0 if wanted.every else control.min_score for control, _ in wanted.shapes]
    phrases = phrases_of(label for _, items in wanted.shapes for _, label in items)
    asks: dict[str, Ask] = {phrase: partial(ground_prompt, phrase=phrase) for phrase in phrases}
    styles = [*(["brief"] if wanted.captions else []), *(["detailed"] if None in least else [])]
    told: dict[str, Ask] = {style: partial(describe_prompt, prompt=style) for style in styles}
    for ask in (*asks.values(), *told.values()):
        desk.check(ask)
    done = await _all(desk.whole(seen, ask) for ask in (*asks.values(), *told.values()))
    said = [one.description for one in done]
    answers = dict(zip(phrases, said, strict=False))
    described = dict(zip(styles, said[len(phrases) :], strict=True))
    items: list[dict[str, Any]] = []
    for (control, looked_for), score in zip(wanted.shapes, least, strict=True):
        labels = [label for _, label in looked_for]
        own = sorted_out(labels, answers, described.get("detailed"), score)
        found = [Found(names, tuple(a)) for (names, _), a in zip(looked_for, own, strict=True)]
        items += await desk.aside(
            shape_items, control, found, shown, desk.model(), desk.settings.segmenter
        )
    return items + [caption_item(control, described["brief"]) for control in wanted.captions]


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    """Return what all of them bring; where one fails, the others end."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
