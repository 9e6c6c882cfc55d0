"""Who gets in, how much, and what happens to work whose client is gone. Real sockets throughout."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.server.settings import ServerSettings
from tests.server.conftest import serving
from tests.server.test_chat import TALK

CHAT = "/v1/chat/completions"
# Eight answers one after the other, some 2,500 tokens: busy for a second even where a token takes half a millisecond.
LONG: dict[str, Any] = {
    "model": "base",
    "messages": TALK,
    "max_completion_tokens": 800,
    "temperature": 2,
    "seed": 1,
    "n": 8,
}
SHORT: dict[str, Any] = {"model": "base", "messages": TALK, "max_completion_tokens": 2}


def raw(address: str, request: bytes, *, wait: float = 5.0) -> bytes:
    """Bytes to the socket, and what comes back until the other side closes or says nothing."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=wait) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            pass
        return answer


def until(check: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


def gauge(address: str, name: str) -> float:
    text = httpx.get(f"{address}/metrics").text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"lora_agent_{name} "))


def test_a_key_is_needed_and_compared_whole(engine: LocalEngine) -> None:
    with serving(engine, ServerSettings(keys=("first", "second"))) as address:
        for headers in (
            {},
            {"Authorization": "Bearer firs"},
            {"Authorization": "Bearer firstt"},
            {"Authorization": "first"},
        ):
            for path in ("/v1/models", "/metrics", "/openapi.json", "/nowhere"):
                answer = httpx.get(address + path, headers=headers)
                assert answer.status_code == 401
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        for key in ("first", "second"):
            assert httpx.get(f"{address}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert httpx.get(f"{address}/health").status_code == 200


def test_without_keys_a_foreign_host_name_is_refused(address: str) -> None:
    """DNS rebinding: a web page whose name was pointed at 127.0.0.1."""
    port = urlsplit(address).port
    answer = raw(address, f"GET /v1/models HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n".encode())
    assert b" 403 " in answer.splitlines()[0]
    assert httpx.get(f"{address}/v1/models", headers={"Host": f"[::1]:{port}"}).status_code == 200


def test_pages_of_other_origins_get_nothing(http: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (http.options(CHAT, headers=headers), http.post(CHAT, json=SHORT, headers=headers)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    plain = http.post(CHAT, content=json.dumps(SHORT), headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415  # what a form or fetch may send across origins without asking


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "base", "messages": ',
        b"\xff\xfe{}",
        b'{"model": "base", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "base", "messages": [{"role": "user", "content": "a"}], "temperature": NaN}',
        b'{"model": "base", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": "base", "messages": [{"role": "user", "content": "a"}], "seed": ' + b"9" * 5000 + b"}",
        b"[]",
        b'"text"',
        b"null",
    ],
)
def test_a_body_that_is_no_request_is_told_so(http: httpx.Client, body: bytes) -> None:
    answer = http.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]


def test_a_body_has_a_size_and_a_time(engine: LocalEngine) -> None:
    settings = ServerSettings(max_body_bytes=2000, body_timeout_s=0.5)
    with serving(engine, settings) as address:
        large = {**SHORT, "messages": [{"role": "user", "content": "a" * 3000}]}
        answer = httpx.post(address + CHAT, json=large)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        chunked = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + (b"3e8\r\n" + b"a" * 1000 + b"\r\n") * 3
        assert b" 413 " in raw(address, chunked).splitlines()[0]
        slow = head.encode() + b'Content-Length: 100\r\n\r\n{"model"'
        started = time.monotonic()
        assert b" 408 " in raw(address, slow).splitlines()[0]
        assert time.monotonic() - started < 4


def test_the_queue_is_bounded_and_says_when_to_come_back(engine: LocalEngine) -> None:
    with serving(engine, ServerSettings(workers=1, queue=1)) as address, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: httpx.post(address + CHAT, json=LONG, timeout=60), range(6)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert sorted({answer.status_code for answer in answers}) == [200, 429]
        assert len(refused) >= 2
        for answer in refused:
            assert answer.json()["error"]["code"] == "server_overloaded"
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert until(lambda: gauge(address, "requests_inside") == 0)
        assert httpx.post(address + CHAT, json=SHORT).status_code == 200


def test_one_key_has_its_share(engine: LocalEngine) -> None:
    settings = ServerSettings(keys=("greedy", "modest"), workers=1, queue=8, key_requests=2)
    with serving(engine, settings) as address, ThreadPoolExecutor(6) as pool:

        def ask(key: str, body: dict[str, Any]) -> httpx.Response:
            return httpx.post(address + CHAT, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60)

        greedy = [pool.submit(ask, "greedy", LONG) for _ in range(5)]
        time.sleep(0.3)
        assert ask("modest", SHORT).status_code == 200
        codes = [answer.result().status_code for answer in greedy]
        assert codes.count(429) >= 2
        assert codes.count(200) >= 2
    with serving(engine, ServerSettings(key_requests_per_minute=2)) as address:
        codes = [httpx.post(address + CHAT, json=SHORT).status_code for _ in range(3)]
        assert codes == [200, 200, 429]


@pytest.mark.parametrize("stream", [False, True])
def test_work_ends_when_its_client_leaves(engine: LocalEngine, stream: bool) -> None:
    body = {**LONG, "stream": stream}
    with serving(engine, ServerSettings(workers=1)) as address:
        data = json.dumps(body).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        )
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + data)
            assert until(lambda: gauge(address, "requests_inside") == 1)
        assert until(lambda: gauge(address, "requests_inside") == 0, 3), "the work went on without its client"


def test_a_request_has_a_deadline(engine: LocalEngine) -> None:
    with serving(engine, ServerSettings(request_timeout_s=0.1)) as address:
        answer = httpx.post(address + CHAT, json=LONG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        with httpx.stream("POST", address + CHAT, json={**LONG, "stream": True}) as streamed:
            lines = [line for line in streamed.iter_lines() if line]
        assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "deadline_exceeded"


@pytest.mark.slow
def test_a_reader_that_takes_nothing_is_let_go(engine: LocalEngine) -> None:
    """Its buffers fill, and after the time-out the connection is closed; others are served meanwhile."""
    with serving(engine, ServerSettings(write_timeout_s=0.5, max_output_tokens=900)) as address:
        body = {**LONG, "stream": True, "logprobs": True, "top_logprobs": 20, "max_completion_tokens": 900}
        data = json.dumps(body).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        )
        parts = urlsplit(address)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((parts.hostname, parts.port))
        with connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + data)
            assert httpx.post(address + CHAT, json=SHORT, timeout=30).status_code == 200
            assert until(lambda: gauge(address, "requests_inside") == 0, 60)
            taken = b""
            while piece := connection.recv(65536):
                taken += piece
            assert b"[DONE]" not in taken


@pytest.mark.slow
def test_sigterm_finishes_what_is_inside_and_takes_nothing_new(base_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lora_agent.cli.main", "serve", "--port", "0"]
    command += ["--base", str(base_dir), "--quantization", "none", "--device", "cpu"]
    environment = {**os.environ, "LORA_AGENT_HOME": str(tmp_path), "LORA_AGENT_API_KEY": ""}
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        assert server.stderr is not None
        try:
            address = next(line.split()[-1] for line in server.stderr if line.startswith("serving on"))
            begun = pool.submit(httpx.post, address + CHAT, json=LONG, timeout=60)
            assert until(lambda: gauge(address, "requests_inside") == 1)
            server.terminate()
            assert until(lambda: httpx.get(f"{address}/ready").status_code == 503)
            late = httpx.post(address + CHAT, json=SHORT)
            assert (late.status_code, late.json()["error"]["code"]) == (503, "shutting_down")
            assert late.headers["Retry-After"]
            assert begun.result().status_code == 200
            assert server.wait(15) in (0, -15)  # uvicorn passes the signal on once it has finished
        finally:
            server.kill()


def test_adapters_are_loaded_by_name_from_the_operators_folder(
    engine: LocalEngine, tmp_path: Path, address: str
) -> None:
    off = httpx.post(f"{address}/v1/load_lora_adapter", json={"lora_name": "lora", "lora_path": "/etc"})
    assert (off.status_code, off.json()["error"]["code"]) == (403, "adapter_loading_disabled")
    source = engine.adapters["lora"].folder
    (tmp_path / "mine").symlink_to(source)
    with serving(engine, ServerSettings(adapter_folder=tmp_path)) as own:

        def post(verb: str, **body: Any) -> httpx.Response:
            return httpx.post(f"{own}/v1/{verb}_lora_adapter", json=body)

        assert post("unload", lora_name="lora").status_code == 200
        try:
            assert httpx.post(own + CHAT, json={"model": "lora", "messages": TALK}).status_code == 404
            for path in ("..", "/etc", str(source), "../mine", "mine/../mine"):
                assert post("load", lora_name="lora", lora_path=path).status_code == 404
            assert post("load", lora_name="other", lora_path="mine").status_code == 404
            loaded = post("load", lora_name="lora", lora_path="mine")
            assert loaded.json()["digest"] == engine.adapters["lora"].digest
            assert httpx.post(own + CHAT, json={"model": "lora", "messages": TALK}).status_code == 200
        finally:
            if "lora" not in engine.adapters:
                post("load", lora_name="lora", lora_path="mine")


def test_the_log_holds_counts_and_no_texts(address: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = "a phrase that only this test says"
    with caplog.at_level(logging.INFO, "lora_agent.server"):
        body = {**SHORT, "messages": [{"role": "user", "content": secret}]}
        answer = httpx.post(address + CHAT, json=body, headers={"X-Request-Id": "mine-1"})
        httpx.post(address + CHAT, json={**body, "beams": 1}, headers={"X-Request-Id": 'bad"id'})
        assert until(lambda: len(caplog.messages) >= 2)
    assert answer.headers["X-Request-Id"] == "mine-1"
    first, second = (json.loads(line) for line in caplog.messages[:2])
    assert (first["id"], first["status"], first["path"], first["model"]) == ("mine-1", 200, CHAT, "base")
    assert first["completion_tokens"] == answer.json()["usage"]["completion_tokens"]
    assert second["id"].startswith("req_")
    assert (second["status"], second["error"]) == (400, "unknown_parameter")
    assert secret not in "".join(caplog.messages)


def test_the_metrics_count_what_was_done(engine: LocalEngine) -> None:
    with serving(engine) as address:
        httpx.post(address + CHAT, json={"model": "alora", "messages": TALK})
        httpx.post(address + CHAT, json={"model": "auto", "messages": TALK, "max_completion_tokens": 48})
        httpx.post(address + CHAT, json={"model": "nope", "messages": TALK})
        httpx.get(f"{address}/made/up/path")
        assert until(lambda: 'path="other"' in httpx.get(f"{address}/metrics").text)
        lines = httpx.get(f"{address}/metrics").text
    for wanted in (
        'lora_agent_requests_total{path="/v1/chat/completions",status="200"} 2.0',
        'lora_agent_requests_total{path="other",status="404"} 1.0',
        'lora_agent_refused_total{code="model_not_found"} 1.0',
        'lora_agent_verdicts_total{adapter="alora",verdict="valid"}',
        'lora_agent_tokens_total{kind="reused"}',
        "lora_agent_routes_total{",
        "lora_agent_adapter_slots 8.0",
        'lora_agent_call_seconds_bucket{adapter="alora"',
    ):
        assert wanted in lines, wanted
