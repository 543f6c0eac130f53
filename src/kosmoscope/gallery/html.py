"""Records and the page's parts -> index.html, and files of data where they do not fit into it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from kosmoscope.gallery.language import language

MAX_PAGE_BYTES = 200_000
"""index.html is never larger: data that do not fit go into files of their own."""
CHUNK_BYTES = 250_000
"""Of a file of data, about."""
DATA_FILE = re.compile(r"[0-9]{4}-[0-9a-f]{16}\.js")

SHARED = (
    *("dom.js", "words.js", "scores.js", "stage.js", "phrases.js", "theme.js", "answer.js"),
    *("base.css", "stage.css", "cards.css"),
)
"""What other pages are made of too: modules, and styles."""
_STYLES = (*(name for name in SHARED if name.endswith(".css")), "large.css")
SEARCH = tuple(
    f"search/{name}.js"
    for name in (
        *("tables", "tokens", "nouns", "amounts", "dates", "cursor", "filters", "drafts", "parser"),
        *("wording", "space", "chance", "judge", "meanings", "records", "nearest", "asking"),
        "examples",
    )
)
"""The language of questions, its rules, and what asks them of a page: modules, in their order."""
_SCRIPTS = (
    *(name for name in SHARED if name.endswith(".js")),
    *SEARCH,
    *("data.js", "state.js", "card.js", "feed.js", "large.js", "main.js"),
)
_MODULE = re.compile(r'^import [^;]*";\n|^export (?=const |function |class )', re.MULTILINE)
"""What makes a file a module: a page opened from a file may not load any, so all are one script."""
_UNSAID = re.compile(r"^ *(?://.*)?\n|^ +", re.MULTILINE)
"""Indents, and lines of comments alone: a fifth of the scripts. No text of theirs has lines."""
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_RISKY = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
_CSP = (
    "default-src 'none'; img-src {images}; style-src '{style}'; script-src '{script}'"
    "{scripts}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)

_BESIDE = "'self' file:"
"""Files beside the page: 'self' if the folder is served, file: if it is opened."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be written."""

    index: bytes
    data: dict[str, bytes]
    """File name inside the folder of data -> contents; empty where the page holds them itself."""


def safe_json(value: Any) -> str:
    r"""Return compact JSON that is harmless inside a script element, and is JavaScript as well.

    ``<``, ``>`` and ``&`` are written as escapes, so that no text can end the element or begin a
    comment; U+2028 and U+2029 since old JavaScript takes them for line ends; lone surrogates
    (file names that are not UTF-8) since UTF-8 cannot carry them.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _RISKY.sub(lambda m: f"\\u{ord(m.group()):04x}", text)


def make_page(title: str, meta: dict[str, Any], rows: Iterable[Sequence[Any]]) -> Page:
    """Put the page together.

    Args:
        title: plain text.
        meta: what `page/data.js` reads as META; `chunks` is added here.
        rows: one per picture, see `records`.
    """
    encoded = [safe_json(row) for row in rows]
    inline = _inline(encoded)
    page = _assemble(title, {**meta, "chunks": 0}, inline, [])
    if len(page) <= MAX_PAGE_BYTES or not encoded:
        return Page(page, {})
    data: dict[str, bytes] = {}
    for i, chunk in enumerate(_chunks(encoded)):
        text = f"(globalThis.kosmoscopeData??=[])[{i}]=[{chunk}];\n".encode()
        digest = hashlib.blake2b(text, digest_size=8).hexdigest()
        data[f"{i:04d}-{digest}.js"] = text
    return Page(_assemble(title, {**meta, "chunks": len(data)}, "", list(data)), data)


def _inline(encoded: Sequence[str]) -> str:
    return "\n".join(
        f'<script type="application/json" class="pictures">[{row}]</script>'
        for row in _chunks(encoded)
    )


def _chunks(encoded: Sequence[str]) -> Iterable[str]:
    part: list[str] = []
    size = 0
    for row in encoded:
        if part and size + len(row) > CHUNK_BYTES:
            yield ",\n".join(part)
            part, size = [], 0
        part.append(row)
        size += len(row)
    if part:
        yield ",\n".join(part)


def _assemble(title: str, meta: dict[str, Any], inline: str, data: Sequence[str]) -> bytes:
    parts = _parts()
    values = {
        "meta": safe_json(meta),
        "language": parts["language"],
        "data": inline or "\n".join(f'<script defer src="data/{name}"></script>' for name in data),
    }
    return static_page(
        _text("page.html"), title, parts["style"], parts["script"], values,
        images=f"{_BESIDE} data:",
        scripts=_BESIDE if data else "",
    )  # fmt: skip


def static_page(
    body: str,
    title: str,
    style: str,
    script: str,
    values: Mapping[str, str],
    *,
    images: str = "data:",
    scripts: str = "",
) -> bytes:
    """Return a page of one file: the head that all pages have, and a body.

    What it may load is said in its head, by hashes: its own style and script, and nothing else.

    Args:
        body: from ``<body>`` on, with places ``{{name}}`` for the title, the script and the values.
        title: plain text.
        style: the page's own.
        script: the page's own.
        values: by the names of places, as HTML.
        images: where pictures may come from, as the Content-Security-Policy says it.
        scripts: where other scripts may come from; none unless given.
    """
    csp = _CSP.format(
        style=source_hash(style),
        script=source_hash(script),
        images=images,
        scripts=f" {scripts}" if scripts else "",
    )
    shown = html.escape(title.encode("utf-8", "replace").decode("utf-8"))
    places = {**values, "csp": csp, "title": shown, "style": style, "script": script}
    # In one pass: braces in what is put in are text.
    return _PLACE.sub(lambda m: places[m.group(1)], _text("head.html") + body).encode("utf-8")


def shared(name: str) -> bytes:
    """Return one of the files in `SHARED`."""
    if name not in SHARED:
        raise KeyError(name)
    return _text(name).encode()


@cache
def _text(name: str) -> str:
    return (files("kosmoscope.gallery") / "page" / name).read_text("utf-8")


@cache
def _parts() -> dict[str, str]:
    style = "\n" + "\n".join(_text(name) for name in _STYLES)
    body = bundled(_SCRIPTS)
    return {
        "style": style,
        "script": f'\n(() => {{\n"use strict";\n{body}}})();\n',
        "language": safe_json(language()),
    }


def bundled(names: Iterable[str]) -> str:
    """Return files of the page as one script, each after those that it imports from."""
    return "\n".join(_UNSAID.sub("", _MODULE.sub("", _text(name))) for name in names)


def source_hash(text: str) -> str:
    """Return a source of a Content-Security-Policy: this very text may run, nothing else."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
