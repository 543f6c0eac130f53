"""The server as a real process: signals, room, tokens, and clients that go away."""

from __future__ import annotations

import base64
import http.client
import inspect
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli_runner import POCKET, one_error, process, run
from kosmoscope.cli.serve_command import serve
from kosmoscope.server import Settings
from server_process import LONG, PHOTOS, Held, Server, admitted, serving, until

B64 = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
BODY = {"image": B64}
LONG_BODY = {"image": B64, "prompt": "detailed", "options": LONG}


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """A server with room for one text, and for one request that waits."""
    with serving("--texts", "1", "--queue", "1") as started:
        yield started


def test_overload_is_refused_and_nobody_is_lost(small: Server) -> None:
    with small.client() as client:
        held = [Held(small, BODY) for _ in range(2)]
        admitted(small, 2)
        for path in ("/api/v1/describe", "/v1/chat/completions", "/api/generate", "/api/chat"):
            refused = client.post(path, content=b"whatever: it is not read")
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/health").status_code == 200
        metrics = client.get("/metrics").text
        assert 'kosmoscope_requests_total{route="/api/chat",status="429"} 1.0' in metrics
        for request in held:
            request.send()
        assert [json.loads(r.answer())["schema"] for r in held] == [1, 1]
        admitted(small, 0)
        assert client.post("/api/v1/describe", json=BODY).status_code == 200


def test_who_leaves_before_the_body_makes_room(small: Server) -> None:
    held = [Held(small, BODY) for _ in range(2)]
    admitted(small, 2)
    for request in held:
        request.connection.close()
    admitted(small, 0)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_client_that_goes_away_stops_its_text(small: Server, streaming: bool) -> None:
    before = small.metric("kosmoscope_cancelled_total")
    passes = small.metric("kosmoscope_passes_total")
    request = Held(small, {**LONG_BODY, "stream": streaming})
    request.send()
    until(lambda: small.metric("kosmoscope_passes_total") > passes)
    request.connection.close()
    until(lambda: small.metric("kosmoscope_cancelled_total") == before + 1)
    assert small.metric("kosmoscope_batch_size") == 0
    stopped = small.metric("kosmoscope_passes_total")
    assert stopped - passes < LONG["min_new_tokens"]
    assert small.metric("kosmoscope_passes_total") == stopped


def test_sigterm_answers_all_that_was_accepted() -> None:
    with serving("--texts", "2") as server, server.client() as client:
        held = [Held(server, {**BODY, "stream": n == 0}) for n in range(5)]
        admitted(server, 5)
        held[4].send()
        server.child.send_signal(signal.SIGTERM)
        until(lambda: client.get("/health").status_code == 503)
        refused = client.post("/api/v1/describe", json=BODY)
        assert refused.status_code == 503
        assert "shutting down" in refused.json()["error"]["message"]
        assert int(refused.headers["retry-after"]) >= 1
        for request in held[:4]:
            request.send()
        streamed, *others = [request.answer() for request in held]
        assert "event: result" in streamed.splitlines()
        assert [json.loads(text)["schema"] for text in others] == [1] * 4
        assert server.ended() == 0
        assert "Traceback" not in "".join(server.lines)


def test_a_second_signal_ends_it_at_once() -> None:
    with serving() as server, server.client() as client:
        held = Held(server, BODY)
        admitted(server, 1)
        server.child.send_signal(signal.SIGTERM)
        until(lambda: client.get("/health").status_code == 503)
        server.child.send_signal(signal.SIGTERM)
        server.ended()
        try:
            assert held.connection.getresponse().status >= 500
        except (http.client.HTTPException, OSError):
            pass  # hung up
        finally:
            held.connection.close()


def test_others_need_a_token_which_is_made_up_and_printed() -> None:
    with serving("--host", "0.0.0.0") as server, server.client() as client:
        (note,) = [line for line in server.lines if line.startswith("note: token: ")]
        token = note.split()[-1]
        assert client.get("/health").status_code == 200
        for path in ("/metrics", "/v1/models", "/api/tags", "/openapi.json", "/nothing"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer wrong", f"Basic {token}", "Bearer", f"Bearer {token}x"):
            answer = client.post("/api/v1/describe", json=BODY, headers={"Authorization": wrong})
            assert answer.status_code == 401
            assert answer.json()["error"]["type"] == "authentication_error"
        right = {"Authorization": f"Bearer {token}", "Host": "any.name.example"}
        assert client.get("/v1/models", headers=right).status_code == 200
        assert not any(token in line for line in server.lines if line != note)
        assert server.stop() == 0


def test_pages_of_others_are_refused(server: Server) -> None:
    with server.client() as client:
        for headers in ({"Host": "evil.example"}, {"Host": "["}, {"Origin": "http://evil.example"},
                        {"Origin": "null"}):  # fmt: skip
            refused = client.post("/api/v1/describe", json=BODY, headers=headers)
            assert refused.status_code == 403
        own = {"Origin": server.url}
        answer = client.post("/api/v1/describe", json=BODY, headers=own)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_given_token_and_pages_that_may_call() -> None:
    page = "http://localhost:3000"
    environment = {"KOSMOSCOPE_TOKEN": "only-mine"}
    with serving("--cors", page, env=environment) as server, server.client() as client:
        asking = {
            "Origin": page, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }  # fmt: skip
        allowed = client.options("/api/v1/describe", headers=asking)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == page
        other = client.options("/api/v1/describe", headers={**asking, "Origin": "http://evil"})
        assert "access-control-allow-origin" not in other.headers
        assert client.post("/api/v1/describe", json=BODY).status_code == 401
        headers = {"Origin": page, "Authorization": "Bearer only-mine"}
        answer = client.post("/api/v1/describe", json=BODY, headers=headers)
        assert answer.headers["access-control-allow-origin"] == page
        assert server.stop(signal.SIGINT) == 0
        assert not any("only-mine" in line for line in server.lines)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--texts", "0"], "texts is 0; expected a whole number"),
        (["--timeout", "nan"], "timeout is nan"),
        (["--token", "a b"], "token: expected"),
        (["--host", "256.1.1.1"], "cannot listen on 256.1.1.1"),
        (["--max-pixels", "0"], "--max-pixels"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_a_wrong_call_is_one_line(args: list[str], says: str) -> None:
    assert says in one_error(run("serve", "--port", "0", "--token", "t", *args), 2)


def test_a_model_that_is_not_there_is_one_line() -> None:
    done = process("serve", "--port", "0", "--model", "nothing-of-this-name")
    listening, error = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (1, b"")
    assert "listening on" in listening
    assert error.startswith("error: ")
    assert "nothing-of-this-name" in error


def test_a_port_that_is_taken_is_one_line(server: Server) -> None:
    done = process("serve", "--port", str(server.port), *POCKET)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"error: cannot listen on 127.0.0.1:{server.port}: ")


def test_without_the_extra_one_line_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'fastapi':\n"
        "            raise ModuleNotFoundError('no', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "sys.argv = ['kosmoscope', 'serve']\n"
        "from kosmoscope.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: fastapi is not installed; install it with: ")


def test_the_command_offers_the_settings_own_defaults() -> None:
    offered = inspect.signature(serve).parameters
    wanted = Settings()
    for name in ("host", "port", "token", "allow_urls", "texts", "queue", "timeout", "cache_mb",
                 "max_body_mb"):  # fmt: skip
        assert offered[name].default == getattr(wanted, name)
