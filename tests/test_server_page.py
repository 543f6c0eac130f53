"""The page's files: what is served, with which headers, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

import httpx
import pytest

from kosmoscope.gallery.html import SHARED
from kosmoscope.server.website import OWN
from server_process import Server, inside

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGE = files("kosmoscope.server") / "page"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_a_browser_gets_the_page_and_a_program_a_word(client: httpx.Client) -> None:
    page = client.get("/", headers=HTML)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text == (PAGE / "index.html").read_text("utf-8")
    word = client.get("/")
    assert (word.status_code, word.text) == (200, "kosmoscope is running")
    assert word.headers["content-type"].startswith("text/plain")
    assert page.headers["vary"] == word.headers["vary"] == "Accept"
    for headers in (HTML, {}):
        head = client.head("/", headers=headers)
        assert (head.status_code, head.content) == (200, b"")


TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml",
         "jpg": "image/jpeg"}  # fmt: skip


@pytest.mark.parametrize("name", [*OWN, *SHARED])
def test_every_file(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == TYPES[name.rpartition(".")[2]]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    policy = dict(p.strip().split(" ", 1) for p in
                  answer.headers["content-security-policy"].split(";"))  # fmt: skip
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    tag = answer.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(f"/page/{name}", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(f"/page/{name}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_everything_in_the_folder_is_served_and_used() -> None:
    there = {one.name for one in PAGE.iterdir()}
    assert there == set(OWN)
    assert not there & set(SHARED)
    texts = {n: (PAGE / n).read_text("utf-8") for n in OWN if not n.endswith(".jpg")}
    for name in SHARED:
        texts[name] = (files("kosmoscope.gallery") / "page" / name).read_text("utf-8")
    named = set(re.findall(r'"/page/([^"]+)"', texts["index.html"]))
    for name, text in texts.items():
        imported = set(re.findall(r'from "\./([^"]+)"', text))
        assert name.endswith(".js") or not imported
        named |= imported
    assert named | {"index.html"} == there | set(SHARED)
    # What a strict policy would refuse, and what would come from elsewhere.
    assert not re.search(r"<style|<script>| style=| on[a-z]+=", texts["index.html"])
    for text in texts.values():
        assert not re.search(r"""(src|href|url\(|import|fetch\()\s*=?\s*["'(]?(https?:)?//""", text)


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/none.js", "/page/../website.py", "/page/%2e%2e/website.py",
     "/page/..%2fwebsite.py", "/page/%2e%2e%2fwebsite.py", "/page/..%5cwebsite.py",
     "/page//etc/passwd", "/page/index.html%00.js", "/page/main.js/", "/page/large.css",
     "/page", "/index.html"],
)  # fmt: skip
def test_nothing_else(server: Server, path: str) -> None:
    # As it is: a client would tidy the path.
    with httpx.Client() as client:
        request = client.build_request("GET", server.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = client.send(request)
    assert answer.status_code == 404
    assert "content-security-policy" not in answer.headers


def test_the_page_needs_no_token_and_its_questions_do() -> None:
    with inside(token="secret") as (_, url), httpx.Client(base_url=url) as client:
        assert client.get("/", headers=HTML).status_code == 200
        assert client.get("/page/main.js").status_code == 200
        assert client.post("/page/main.js").status_code == 401
        assert client.get("/v1/models").status_code == 401
        assert client.get("/openapi.json").status_code == 401


def test_a_page_of_another_name_is_refused(server: Server) -> None:
    with server.client() as client:
        assert client.get("/", headers={**HTML, "Host": "evil.example"}).status_code == 403
