"""Pictures of Label Studio's tasks, fetched from where Label Studio is.

A task names its picture by a path there (``/data/upload/...``, ``/data/local-files/?d=...``), by an
address, by a place in a cloud that Label Studio has the keys of, or holds it as a data URI. Only
that one server is asked with the key, wherever it is; any other address only where the server
fetches addresses at all.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
import time
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from kosmoscope.files.text import one_line
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.fetching import MOST_REDIRECTS, AnswerError, Fetcher
from kosmoscope.server.pictures import decoded, url_of

_TOLD = "--label-studio-url and --label-studio-key (LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY)"
_KEY = "--label-studio-key (LABEL_STUDIO_API_KEY)"
_OURS = re.compile(r"/(data|storage-data|static|tasks/[^/]+/(presign|resolve))/")
"""Where Label Studio has files; whoever may ask us for predictions has no other business there."""
_CLOUD = re.compile(r"(s3|gs|azure-blob)://")
_LOGIN = re.compile(r"/user/login\b")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EARLY_S = 30.0
"""Before its end an access token is not used any more."""


class LabelStudioFiles(Fetcher):
    """Fetches the pictures of tasks.

    Args:
        address: where Label Studio is; None: nobody has said.
        key: a token of it: one of the old kind, or a personal access token, which is exchanged for
            one that holds for minutes.
        max_bytes: of a picture.
        others: fetches from other addresses; None: they are not fetched.
    """

    def __init__(
        self, address: str | None, key: str | None, max_bytes: int, others: Fetcher | None
    ) -> None:
        super().__init__(max_bytes)
        self._address = None if address is None else address.rstrip("/")
        self._home = None if address is None else _origin(urlsplit(address))
        self._base = "" if self._address is None else urlsplit(self._address).path
        self._key, self._others = key, others
        self._lock = threading.Lock()
        self._access, self._access_ends = "", 0.0

    def picture(self, text: str, task: int | str | None) -> bytes:
        """Return a picture's file.

        Args:
            text: what a task's data have in its place.
            task: its id, by which Label Studio opens what lies in a cloud.

        Raises:
            RefusedError: it cannot be had; says what to set.
        """
        if _CLOUD.match(text):
            where = quote(base64.urlsafe_b64encode(text.encode()).decode())
            return self._own(f"/tasks/{quote(str(task), safe='')}/presign/?fileuri={where}")
        if text.startswith("/"):
            return self._own(text)
        if text[:5].lower() == "data:":
            return decoded(text)
        url = url_of(text)
        if url is None:
            raise RefusedError(
                422, f"{_shown(text)} is no address; expected one, a path at Label Studio, or a "
                "data URI"
            )  # fmt: skip
        try:
            parts = urlsplit(_escaped(url))
        except ValueError:
            raise RefusedError(422, "expected an http or https address of a picture") from None
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        # Label Studio calls itself by the name that browsers know, which may be another here.
        if _origin(parts) == self._home or (parts.hostname in _LOOPBACK and _OURS.match(path)):
            return self._own(path)
        if self._others is None:
            raise RefusedError(
                422, f"{_shown(url)} is not Label Studio's; start the server with --allow-urls to "
                f"fetch from other addresses, or with {_TOLD} if it is"
            )  # fmt: skip
        return self._others.fetch(url)

    def headers(self, parts: SplitResult) -> dict[str, str]:
        """Return the key for Label Studio, and nothing for anybody else."""
        if _origin(parts) != self._home:
            return {}
        accepted = {"Accept": "*/*"}  # its API answers nothing to whoever wants pictures alone
        if self._key is None or parts.path.endswith(_REFRESH):
            return accepted
        kind = _claims(self._key).get("token_type")
        if kind == "refresh":
            return {**accepted, "Authorization": f"Bearer {self._access}"}
        return {**accepted, "Authorization": f"{'Token' if kind is None else 'Bearer'} {self._key}"}

    def may_ask(self, parts: SplitResult, ip: str) -> bool:
        """Say yes to Label Studio's address, wherever that is."""
        if _origin(parts) == self._home:
            return True
        return self._others is not None and self._others.may_ask(parts, ip)

    def _own(self, path: str) -> bytes:
        if self._address is None:
            raise RefusedError(
                422, f"{_shown(path)} is at Label Studio, and this server was not told where that "
                f"is; start it with {_TOLD}"
            )  # fmt: skip
        path = path.removeprefix(self._base)
        steps = unquote(unquote(path.partition("?")[0])).replace("\\", "/").split("/")
        if not _OURS.match(path) or ".." in steps:
            raise RefusedError(422, f"{_shown(path)} is no picture of Label Studio's")
        return self._asked(self._address + path)

    def _asked(self, url: str) -> bytes:
        """Fetch from Label Studio, and say what may be wrong where that fails."""
        end = time.monotonic() + self.seconds
        url = _escaped(url)
        shown = _shown(urlsplit(url).path)
        try:
            self._renew(end)
            for _ in range(MOST_REDIRECTS + 1):
                found = self.once(url, end)
                if isinstance(found, bytes):
                    return found
                url = urljoin(url, found)
                self._check_step(url)
            raise RefusedError(422, f"Label Studio redirects {shown} too often")
        except AnswerError as e:
            if e.answer in (401, 403):
                raise self._refused(str(e.answer)) from None
            hint = ""
            if e.answer == 404 and "/local-files/" in url:
                hint = "; it needs LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true, and a storage "
                hint += "of the project with that folder"
            raise RefusedError(422, f"Label Studio answers {e.answer} to {shown}{hint}") from None
        except (OSError, http.client.HTTPException, ValueError):
            raise RefusedError(
                422, f"Label Studio cannot be reached at {self._home}; --label-studio-url "
                "(LABEL_STUDIO_URL) must be an address that this machine reaches, and in a "
                "container localhost is the container"
            ) from None  # fmt: skip

    def _check_step(self, url: str) -> None:
        parts = urlsplit(url)
        if _origin(parts) == self._home:
            if _LOGIN.search(parts.path):
                raise self._refused("sent to its login page")
        elif self._others is None:
            raise RefusedError(
                422, f"Label Studio sends on to {_shown(str(_origin(parts)))}; start the server "
                "with --allow-urls to fetch from there"
            )  # fmt: skip

    def _refused(self, why: str) -> RefusedError:
        if self._key is None:
            return RefusedError(422, f"Label Studio wants a key ({why}); set {_KEY}")
        return RefusedError(
            422, f"Label Studio refuses the key ({why}); set {_KEY} to a token of an account that "
            "may see the project, from Account & Settings there"
        )  # fmt: skip

    def _renew(self, end: float) -> None:
        """Exchange a personal access token, which itself opens nothing."""
        if self._key is None or _claims(self._key).get("token_type") != "refresh":
            return
        with self._lock:
            if time.time() < self._access_ends - _EARLY_S:
                return
            body = json.dumps({"refresh": self._key}).encode()
            answer = json.loads(self.once(f"{self._address}{_REFRESH}", end, body))
            access = answer.get("access") if isinstance(answer, dict) else None
            if not isinstance(access, str):
                raise ValueError("no access token")
            ends = _claims(access).get("exp")
            self._access = access
            self._access_ends = float(ends) if isinstance(ends, int | float) else 0.0


_REFRESH = "/api/token/refresh/"


def _claims(token: str) -> dict[str, Any]:
    """Return what a JSON web token says of itself, unchecked; nothing of what is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _origin(parts: SplitResult) -> str:
    try:
        port = parts.port
    except ValueError:
        port = 0
    usual = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{usual if port is None else port}"


def _escaped(url: str) -> str:
    """Return an address with what no address may have escaped: spaces, letters with accents."""
    return quote(url, safe="%/:?#[]@!$&'()*+,;=~")


def _shown(text: str) -> str:
    return one_line(text.partition("?")[0], limit=120)
