"""A real server on a real socket: uvicorn around the tiny base, with adapters of the engine's tests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn

from lora_agent.agent import ToolSet, tool
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.registry import Registry
from lora_agent.server.app import create_app
from lora_agent.server.settings import ServerSettings
from tests.engine.conftest import load_tiny, package_adapter

Serve = Callable[..., str]


@tool
def get_time(city: str) -> str:
    """Time in a city."""
    return f"12:00 in {city}"


@pytest.fixture(scope="session")
def engine(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    base = load_tiny(base_dir)
    folders = [package_adapter(base_dir, base, name, tmp_path_factory.mktemp(name)) for name in ("alora", "lora")]
    return LocalEngine(load_tiny(base_dir), Registry.discover(folders, search=False))


@contextlib.contextmanager
def serving(engine: Any, settings: ServerSettings | None = None, **options: Any) -> Iterator[str]:
    """The server's address while it runs."""
    app = create_app(engine, settings, **options)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        for _ in range(200):
            if server.started:
                break
            time.sleep(0.02)
        yield address
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="session")
def address(engine: LocalEngine) -> Iterator[str]:
    """One server that most tests share."""
    with serving(engine, tools=ToolSet([get_time])) as found:
        yield found


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as found:
        yield found


@pytest.fixture(scope="session")
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as found:
        yield found
