"""Which peers are here, what they are started with, and that a server of ours ends whatever happens."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.engine import peers, vllm
from benchmarks.engine.environment import as_started
from lora_agent.engine.local.engine import LocalEngine


def test_absent_peers_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vllm.PYTHON, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found, missing = peers.start(cast(LocalEngine, None), 2, ["llama.cpp", "vLLM"], ExitStack())
    assert not found
    assert set(missing) == {"llama.cpp", "vLLM"}
    assert all("make bench-peers" in reason for reason in missing.values())


def test_peers_run_in_the_environment_that_the_user_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert "OMP_WAIT_POLICY" not in as_started()
    assert as_started()["OMP_NUM_THREADS"] == "2"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Starts a "vLLM" from a script's text, on no adapters."""

    class Engine:
        adapters: tuple[str, ...] = ()

    script = tmp_path / "server.py"
    monkeypatch.setattr(vllm, "export_base", lambda base, folder: folder)
    monkeypatch.setattr(vllm, "_arguments", lambda base, adapters, port: ["server", str(port)])

    def start(text: str) -> vllm.Vllm:
        script.write_text(text)
        monkeypatch.setattr(vllm, "as_started", lambda: {**os.environ})
        monkeypatch.chdir(tmp_path)
        return vllm.Vllm(cast(LocalEngine, Engine()), 1, sys.executable)

    return start


SERVER = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())
    def do_GET(self):
        self.answer({"version": "0"})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        print(self.path, json.dumps(body), file=open("asked", "a"))
        self.answer({"choices": [{"text": "x"}]})
open("pid", "w").write(str(os.getpid()))
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_nothing_is_cached_when_the_time_starts_and_the_server_ends(served: Any, tmp_path: Path) -> None:
    peer = served(SERVER)
    try:
        assert peer.prefill([1, 2, 3]) > 0
        assert peer.rows([1, 2], ["a", "b"], 4) > 0
    finally:
        peer.close()
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[0] for line in asked[:3]] == ["/reset_prefix_cache", "/v1/completions", "/reset_prefix_cache"]
    assert '"prompt": [1, 2, 3]' in asked[1]
    assert sorted(line.split('"model": "')[1][0] for line in asked[3:]) == ["a", "b"]
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_server_that_does_not_start_is_a_fault_with_its_last_lines(served: Any) -> None:
    with pytest.raises(RuntimeError, match="no such model"):
        served("import sys; sys.exit('no such model')")


def alive(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True
