"""`/api/v1/search`: the answers of the index, over HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from cli_runner import POCKET, one_error, run
from kosmoscope.search import Index, update_index
from kosmoscope.server.verbs import MOST_CHARACTERS
from search_results import LEFT, RIGHT, line, write
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
        with Index.open(out) as index:
            assert found.json() == index.search(QUESTION).to_dict()
        assert [Path(hit["source"]).name for hit in found.json()["hits"]] == ["1.jpg"]
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
    assert answer.status_code == 404
    assert "--results" in answer.json()["error"]["message"]


def test_results_without_an_index_are_refused_at_the_start(tmp_path: Path) -> None:
    folder = write(tmp_path, [line("1.jpg", [DOG])])
    said = one_error(run("serve", "--port", "0", *POCKET, "--results", str(folder)), 2)
    assert "kosmoscope index" in said
