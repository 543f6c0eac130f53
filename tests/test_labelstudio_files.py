"""Where the pictures of Label Studio's tasks come from, and what is said where they do not."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator

import pytest

from kosmoscope.errors import OptionError
from kosmoscope.server import Settings
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.fetching import Fetcher
from kosmoscope.server.labelstudio_files import LabelStudioFiles
from label_studio_site import KEY, PERSONAL, LabelStudioSite, web_token

PICTURE = b"a picture"
CLOUD = "s3://bucket/a b.jpg"
PRESIGN = f"/tasks/7/presign/?fileuri={base64.urlsafe_b64encode(CLOUD.encode()).decode()}"


@pytest.fixture
def site() -> Iterator[LabelStudioSite]:
    files = {
        "/data/upload/1/é a.jpg": PICTURE, "/data/local-files/?d=a b/c.jpg": PICTURE,
        "/ls/data/upload/1/a.jpg": PICTURE, PRESIGN: "/elsewhere.jpg", "/elsewhere.jpg": PICTURE,
        "/data/a.jpg": PICTURE, "/data/broken": 500, "/data/closed": 403,
        "/data/out": "/user/login/?next=/out", "/data/round": "/data/round",
    }  # fmt: skip
    with LabelStudioSite.running(files) as started:
        yield started


def files(
    url: str | None, key: str | None = KEY, others: Fetcher | None = None
) -> LabelStudioFiles:
    return LabelStudioFiles(url, key, 10**6, others)


def refused(found: LabelStudioFiles, text: str) -> str:
    with pytest.raises(RefusedError) as caught:
        found.picture(text, 7)
    assert caught.value.status in (400, 422)
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "/data/upload/1/%C3%A9%20a.jpg", "/data/upload/1/é a.jpg", "{url}/data/upload/1/é%20a.jpg",
        "/data/local-files/?d=a b/c.jpg", "/data/local-files/?d=a%20b/c.jpg",
        "http://localhost:8080/data/upload/1/é a.jpg",  # as its own settings call it
        CLOUD, f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}",
    ],
)  # fmt: skip
def test_every_way_to_name_a_picture(site: LabelStudioSite, text: str) -> None:
    assert files(f"{site.url}/").picture(text.format(url=site.url), 7) == PICTURE
    for _, key, accept in site.asked:
        assert key == f"Token {KEY}"
        assert accept == "*/*", "its API has no picture for whoever wants nothing else"


def test_an_address_with_a_path(site: LabelStudioSite) -> None:
    found = files(f"{site.url}/ls")
    for text in ("/data/upload/1/a.jpg", "/ls/data/upload/1/a.jpg"):
        assert found.picture(text, 7) == PICTURE
        assert found.picture(f"{site.url}/ls/data/upload/1/a.jpg", 7) == PICTURE


def test_a_personal_access_token_is_exchanged(site: LabelStudioSite) -> None:
    found = files(site.url, PERSONAL)
    for _ in range(3):
        assert found.picture("/data/a.jpg", 7) == PICTURE
    assert site.exchanged == 1
    site.access_ends = 0  # over already
    again = files(site.url, PERSONAL)
    for _ in range(3):
        assert again.picture("/data/a.jpg", 7) == PICTURE
    assert site.exchanged == 4
    wrong = files(site.url, web_token(token_type="refresh", exp=0))
    assert "refuses the key (401)" in refused(wrong, "/data/a.jpg")
    site.access = access = web_token(token_type="access")
    assert files(site.url, access).picture("/data/a.jpg", 7) == PICTURE


@pytest.mark.parametrize("key", ["wrong", "a.b.c", "a.W10.c"])
def test_a_wrong_key(site: LabelStudioSite, key: str) -> None:
    said = refused(files(site.url, key), "/data/a.jpg")
    assert "refuses the key (401); set --label-studio-key (LABEL_STUDIO_API_KEY)" in said


def test_no_key(site: LabelStudioSite) -> None:
    assert "wants a key (401)" in refused(files(site.url, None), "/data/a.jpg")
    assert site.asked[0][1] is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/data/broken", "answers 500 to /data/broken"),
        ("/data/gone", "answers 404 to /data/gone"),
        ("/data/closed", "refuses the key (403)"),
        ("/data/out", "refuses the key (sent to its login page)"),
        ("/data/round", "redirects /data/round too often"),
        ("/data/local-files/?d=x.jpg", "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"),
        ("/api/users/1", "is no picture of Label Studio's"),
        ("/data/../api/users/1", "is no picture of Label Studio's"),
        ("/data/%252e%252E/api/users/1", "is no picture of Label Studio's"),
        ("/user/logout?next=/data/", "is no picture of Label Studio's"),
        ("{url}/api/users/1", "is no picture of Label Studio's"),
        ("photos/a.jpg", "is no address"),
        ("ftp://host/a.jpg", "do not come from ftp"),
        ("data:image/png,abc", "base64"),
        ("http://other.example/a.jpg?secret=1", "http://other.example/a.jpg is not Label Studio's"),
        ("http://[::1/a.jpg", "expected an http or https address"),
    ],
)
def test_what_is_said_of_a_picture_that_cannot_be_had(
    site: LabelStudioSite, text: str, says: str
) -> None:
    assert says in refused(files(site.url), text.format(url=site.url))


@pytest.mark.parametrize("text", ["/data/upload/1/a.jpg", CLOUD])
def test_nobody_said_where_label_studio_is(text: str) -> None:
    said = refused(files(None), text)
    assert "--label-studio-url" in said
    assert "LABEL_STUDIO_URL" in said


def test_nobody_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert f"cannot be reached at {url}" in refused(files(url), "/data/a.jpg")


def test_the_key_goes_nowhere_else(site: LabelStudioSite) -> None:
    """Neither by a redirect nor by a task's own address; and nobody else is asked unallowed."""
    here = Fetcher(10**6, allowed=lambda ip: ip == "127.0.0.1")
    with LabelStudioSite.running({}) as other:
        site.files["/data/away"] = f"{other.url}/picture.jpg"
        said = refused(files(site.url), "/data/away")
        assert "sends on to http://127.0.0.1" in said
        assert "--allow-urls" in said
        assert other.asked == []
        refused(files(site.url, others=here), "/data/away")
        refused(files(site.url, others=here), f"{other.url}/direct.jpg")
        assert [(path, key) for path, key, _ in other.asked] == [
            ("/picture.jpg", None), ("/direct.jpg", None),
        ]  # fmt: skip
        # What --allow-urls lets through is public, and a redirect's end is held to it as well.
        refused(files(site.url, others=Fetcher(10**6)), "/data/away")
        assert len(other.asked) == 2


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://", "http://a:99999",
                                 "http://user:pass@host", "http://host/?a=b"])  # fmt: skip
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(OptionError, match="label_studio_url"):
        Settings(label_studio_url=url)
    with pytest.raises(OptionError, match="label_studio_key"):
        Settings(label_studio_key="two words")
