"""What of a CVAT server its command line meets when it annotates a task."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cvat_sdk.version

from made_site import Quiet, listening

USER, PASSWORD, TASK = "annotator", "secret", 7
_WHEN = "2026-01-01T00:00:00Z"
_NOBODY = {"url": "http://host/api/users/1", "id": 1, "username": USER}


class CvatSite:
    """A server with one task.

    Args:
        labels: names and types of the task's.
        frames: its pictures' files, by name.
    """

    def __init__(self, labels: Mapping[str, str], frames: Mapping[str, bytes]) -> None:
        self.labels = [
            {"id": 100 + n, "name": name, "type": type, "attributes": [], "sublabels": [],
             "color": "#ff0000", "task_id": TASK, "parent_id": None, "has_parent": False}
            for n, (name, type) in enumerate(labels.items())
        ]  # fmt: skip
        self.frames = frames
        self.annotations: list[dict[str, Any]] = []
        """What was uploaded."""
        self.url = ""

    @classmethod
    @contextmanager
    def running(cls, labels: Mapping[str, str], frames: Mapping[str, bytes]) -> Iterator[CvatSite]:
        site = cls(labels, frames)

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def do_POST(self) -> None:
                site.login(self)

            def do_PATCH(self) -> None:
                site.upload(self)

            def do_PUT(self) -> None:
                site.upload(self)

        with listening(Handler) as site.url:
            yield site

    def login(self, handler: BaseHTTPRequestHandler) -> None:
        given = _body(handler)
        right = (given.get("username"), given.get("password")) == (USER, PASSWORD)
        cookies = ["sessionid=a; Path=/", "csrftoken=b; Path=/"] if right else []
        _send(handler, 200 if right else 400, {"key": "k"}, cookies)

    def upload(self, handler: BaseHTTPRequestHandler) -> None:
        assert "sessionid=a" in handler.headers["Cookie"]
        self.annotations.append({"path": handler.path, **_body(handler)})
        _send(handler, 200, {"version": 1, "tags": [], "shapes": [], "tracks": []})

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        match parts.path:
            case "/api/server/about":
                version = cvat_sdk.version.VERSION
                about = {"name": "CVAT", "description": "", "version": version}
                _send(handler, 200, {**about, "logo_url": "", "subtitle": ""})
            case "/api/tasks/7":
                _send(handler, 200, self._task())
            case "/api/labels":
                assert asked["task_id"] == str(TASK)
                found = self.labels
                _send(handler, 200, {"count": len(found), "next": None, "previous": None,
                                     "results": found})  # fmt: skip
            case "/api/tasks/7/data/meta":
                _send(handler, 200, self._meta())
            case "/api/tasks/7/data/":
                assert (asked["type"], asked["number"]) == ("chunk", "0")
                _send(handler, 200, self._chunk())
            case _:
                _send(handler, 404, {"detail": f"nothing at {handler.path}"})

    def _task(self) -> dict[str, Any]:
        summary = {"url": f"{self.url}/api/x", "count": 0, "completed": 0, "validation": 0}
        return {
            "url": f"{self.url}/api/tasks/7", "id": TASK, "name": "made", "project_id": None,
            "mode": "annotation", "owner": _NOBODY, "assignee": None, "bug_tracker": "",
            "created_date": _WHEN, "updated_date": _WHEN, "overlap": 0,
            "segment_size": len(self.frames), "status": "annotation",
            "data_chunk_size": len(self.frames), "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset", "guide_id": None,
            "size": len(self.frames), "image_quality": 70, "data": 3, "dimension": "2d",
            "subset": "", "organization": None, "target_storage": None, "source_storage": None,
            "jobs": summary, "labels": summary, "assignee_updated_date": None,
            "validation_mode": None, "consensus_enabled": False, "data_cloud_storage_id": None,
        }  # fmt: skip

    def _meta(self) -> dict[str, Any]:
        frames = [{"width": 1, "height": 1, "name": name, "related_files": 0}
                  for name in self.frames]  # fmt: skip
        return {
            "chunk_size": len(frames), "size": len(frames), "image_quality": 70, "start_frame": 0,
            "stop_frame": len(frames) - 1, "frame_filter": "", "frames": frames,
            "deleted_frames": [], "included_frames": None, "storage": "local",
            "chunks_updated_date": _WHEN,
        }  # fmt: skip

    def _chunk(self) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for n, data in enumerate(self.frames.values()):
                archive.writestr(f"{n:06d}.jpeg", data)
        return out.getvalue()


def _body(handler: BaseHTTPRequestHandler) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
    return found


def _send(
    handler: BaseHTTPRequestHandler, status: int, body: Any, cookies: Sequence[str] = ()
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    kind = "application/zip" if isinstance(body, bytes) else "application/vnd.cvat+json"
    handler.send_header("Content-Type", kind)
    for cookie in cookies:
        handler.send_header("Set-Cookie", cookie)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
