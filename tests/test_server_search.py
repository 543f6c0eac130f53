"""`/api/v1/search`: the answers of the index, over HTTP."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from cli_runner import POCKET, one_error, run
from kosmoscope.search import Index, update_index
from kosmoscope.server.verbs import MOST_CHARACTERS
from search_results import LEFT, RIGHT, SIZE, line, write
from server_process import inside, serving

DOG, CAT = ("a dog", 0.9, LEFT), ("a cat", 0.8, RIGHT)
QUESTION = "a dog left of a cat"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = write(tmp_path, [line("1.jpg", [DOG, CAT]), line("2.jpg", [CAT])])
    update_index(folder)
    return folder


def test_the_server_answers_as_the_index_does(out: Path) -> None:
    with serving("--results", str(out)) as server, server.client() as client:
        found = client.post("/api/v1/search", json={"question": QUESTION})
        answer = found.json()
        (hit,) = answer["hits"]
        more = {name: hit.pop(name) for name in ("picture_id", "width", "height", "colours")}
        with Index.open(out) as index:
            assert answer == index.search(QUESTION).to_dict()
        assert Path(hit["source"]).name == "1.jpg"
        assert (more["width"], more["height"]) == SIZE
        assert set(more["colours"]) == {"a dog", "a cat"}
        nothing = client.post("/api/v1/search", json={"question": "three giraffes", "limit": 1})
        assert nothing.json()["hits"] == []
        assert nothing.status_code == 200
        for body in (
            {}, {"question": 3}, {"question": "a", "limit": -1}, {"question": "a", "cut_off": 2},
            {"question": "a" * (MOST_CHARACTERS + 1)}, {"question": "a", "more": 1},
        ):  # fmt: skip
            assert client.post("/api/v1/search", json=body).status_code == 422
        assert client.post("/api/v1/search", json={"question": '" OR 1=1 --*'}).status_code == 200
        assert server.stop() == 0


def test_without_results_there_is_nothing_to_search() -> None:
    with inside() as (_, address):
        answer = httpx.post(f"{address}/api/v1/search", json={"question": "dogs"})
        assert httpx.get(f"{address}/api/v1/search").json() == {"pictures": None, "suggestions": []}
    assert answer.status_code == 404
    assert "--results" in answer.json()["error"]["message"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Results whose pictures are there, one of them with a place in its file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = []
    for name, colour, things in (("1.jpg", "green", [DOG, CAT]), ("2.jpg", "red", [CAT])):
        exif = Image.Exif()
        exif[0x010E] = "at home"
        exif[0x0112] = 6  # lies on its side
        Image.new("RGB", SIZE[::-1], colour).save(folder / name, exif=exif)
        lines.append(line(str(folder / name), things, content=(folder / name).read_bytes()))
    update_index(write(tmp_path / "out", lines))
    return tmp_path / "out"


def test_pictures_of_answers_and_no_others(photos: Path) -> None:
    file = photos.parent / "photos" / "1.jpg"
    id = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
    with inside(results=photos) as (_, url), httpx.Client(base_url=f"{url}/api/v1") as client:
        assert client.get("search").json() == {
            "pictures": 2, "suggestions": ["a dog left of a cat", "a cat", "a dog"]
        }  # fmt: skip
        # Nothing is known of a picture until it was in an answer, and nothing by its path.
        places = (id, str(file), "..%2f1.jpg", "%2e%2e", "x" * 32, "0")
        for place in places:
            for path in (f"search/pictures/{place}", f"search/pictures/{place}/image"):
                assert client.get(path).status_code == 404, path
            asked = {"picture_id": place, "question": "What is this?"}
            assert client.post("ask", json=asked).status_code == 404
        (hit,) = client.post("search", json={"question": QUESTION}).json()["hits"]
        assert hit["picture_id"] == id
        image = client.get(f"search/pictures/{id}/image")
        assert image.headers["content-type"] == "image/jpeg"
        assert image.headers["x-content-type-options"] == "nosniff"
        assert "private" in image.headers["cache-control"]
        with Image.open(io.BytesIO(image.content)) as seen:
            assert (seen.size, dict(seen.getexif())) == (SIZE, {})  # upright, and pixels alone
        for px, status in (("64", 200), ("63", 422), ("2049", 422), ("-1", 422), ("٣٠٠", 422),
                           ("1_000", 422), ("", 422), ("9" * 5000, 422)):  # fmt: skip
            answer = client.get(f"search/pictures/{id}/image", params={"px": px})
            assert answer.status_code == status, px
        said = client.get(f"search/pictures/{id}").json()
        (description,) = said["descriptions"]
        assert (description["task"], description["image"]["path"]) == ("brief", "1.jpg")
        assert set(description["colours"]) == {"a dog", "a cat"}
        # Asked about as if it had been sent.
        asked = client.post("ask", json={"picture_id": id, "question": "What is this?"})
        sent = client.post(
            "ask", files={"image": file.read_bytes()}, data={"question": "What is this?"}
        )
        assert asked.json()["caption"] == sent.json()["caption"]
        assert asked.json()["picture_id"] == sent.json()["picture_id"] == id


def test_a_file_that_is_not_what_was_described_is_not_shown(photos: Path) -> None:
    file = photos.parent / "photos" / "1.jpg"
    with inside(results=photos) as (_, url), httpx.Client(base_url=f"{url}/api/v1") as client:
        (hit,) = client.post("search", json={"question": QUESTION}).json()["hits"]
        image = f"search/pictures/{hit['picture_id']}/image"
        Image.new("RGB", SIZE, "blue").save(file)
        assert "changed since" in client.get(image).json()["error"]["message"]
        file.unlink()
        file.symlink_to("/etc/passwd")
        answer = client.get(image)
        assert (answer.status_code, answer.content.count(b"root")) == (404, 0)
        file.unlink()
        os.mkfifo(file)
        assert "pipe" in client.get(image).json()["error"]["message"]
        file.unlink()
        answer = client.post("ask", json={"picture_id": hit["picture_id"], "question": "What?"})
        assert answer.status_code == 404
        assert "no such file" in answer.json()["error"]["message"]


def test_results_that_changed_since_they_were_indexed(photos: Path) -> None:
    results = photos / "results.jsonl"
    with inside(results=photos) as (_, url), httpx.Client(base_url=f"{url}/api/v1") as client:
        results.write_bytes(line("3.jpg", [CAT]) + results.read_bytes())
        answer = client.post("search", json={"question": "a cat"}).json()
        assert [hit["picture_id"] for hit in answer["hits"]] == [None, None]  # not another's
        assert "kosmoscope index" in answer["notes"][-1]
        update_index(photos)
        answer = client.post("search", json={"question": "a cat"}).json()
        assert len({hit["picture_id"] for hit in answer["hits"]} - {None}) == 3


def test_many_ask_at_once(photos: Path) -> None:
    """An index is opened in one thread and asked in others."""
    with inside(results=photos) as (_, url), ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(httpx.post, f"{url}/api/v1/search", json={"question": "a cat"})
            for _ in range(32)
        ]
        assert {one.result().status_code for one in asked} == {200}


def test_results_without_an_index_are_refused_at_the_start(tmp_path: Path) -> None:
    folder = write(tmp_path, [line("1.jpg", [DOG])])
    said = one_error(run("serve", "--port", "0", *POCKET, "--results", str(folder)), 2)
    assert "kosmoscope index" in said
