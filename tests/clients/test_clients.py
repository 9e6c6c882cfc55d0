"""examples/clients run as they stand, each SDK unmodified, against `lora-agent serve` with the shipped adapters."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("LORA_AGENT_CLIENTS_PYTHON", sys.executable)
"""An interpreter that has the SDKs, where this one has not."""
EXPECTED = {
    "openai": ["chat: .", "stream: .", r"json: \{'city': ", r"tool: get_weather \{"],
    "pydantic_ai": [r"object: City\(name="],
    "smolagents": ["tool: get_weather .*-> 29 degrees in "],
    "langchain": ["tool: get_weather .*-> 29 degrees in ", r"object: City\(name=", "stream: ."],
    "instructor": [r"object: City\(name="],
}
MODULES = {"langchain": "langchain_openai"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "lora_agent.cli.main", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
            assert server.poll() is None, "the server ended"
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, url: str) -> None:
    module = MODULES.get(name, name)
    if sys.executable == PYTHON and importlib.util.find_spec(module) is None:
        pytest.skip(f'{module} is not installed: pip install "lora-agent[clients]"')
    script = ROOT / "examples" / "clients" / f"with_{name}.py"
    environment = {**os.environ, "LORA_AGENT_URL": url, "OTEL_SDK_DISABLED": "true"}
    done = subprocess.run(
        [PYTHON, str(script)], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for pattern in EXPECTED[name]:
        assert re.search(pattern, done.stdout), done.stdout
