"""Real MCP clients against `lora-agent mcp` over stdio and HTTP, and our agent's tools from a real MCP server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import uvicorn
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from lora_agent.agent import ToolSet
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import ConfigError, ToolError
from lora_agent.mcp.server import ToolServer, http_app
from lora_agent.mcp.tools import McpServers, read_config
from lora_agent.registry import Registry
from lora_agent.types import AgentResult, ToolCall
from tests.engine.conftest import load_tiny, package_adapter

ASKED = {"messages": [{"role": "user", "content": "What is the weather in Oslo?"}]}
ECHO = Path(__file__).with_name("echo_server.py")


class Asked:
    """Stands where an Agent does: what the tool makes of its result is what is tested here."""

    def run(self, request: str) -> AgentResult:
        return AgentResult(f"You said {request}", "answer", (), ("a",))


@pytest.fixture(scope="module")
def folders(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = load_tiny(base_dir)
    return [package_adapter(base_dir, base, name, tmp_path_factory.mktemp(name)) for name in ("alora", "lora")]


@pytest.fixture(scope="module")
def engine(base_dir: Path, folders: list[Path]) -> LocalEngine:
    return LocalEngine(load_tiny(base_dir), Registry.discover(folders, search=False))


@pytest.fixture(scope="module")
def address(engine: LocalEngine) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = http_app(ToolServer(engine, Asked()), host="127.0.0.1", keys=["right"])  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join(10)
    listener.close()


async def over_http(address: str, use: Callable[[Client], Awaitable[Any]]) -> Any:
    async with (
        httpx2.AsyncClient(headers={"Authorization": "Bearer right"}, timeout=60) as http,
        Client(streamable_http_client(address, http_client=http)) as client,
    ):
        return await use(client)


def test_adapters_and_agent_are_tools_with_their_schemas(address: str, engine: LocalEngine) -> None:
    async def use(client: Client) -> Any:
        return (await client.list_tools()).tools, await client.call_tool("alora", ASKED)

    tools, result = asyncio.run(over_http(address, use))
    by_name = {tool.name: tool for tool in tools}
    assert list(by_name) == ["alora", "lora", "agent"]
    assert by_name["alora"].input_schema == engine.adapters["alora"].input_schema
    assert by_name["alora"].output_schema == engine.adapters["alora"].output_schema
    assert by_name["alora"].description == engine.adapters["alora"].description
    own = engine.call("alora", ASKED)
    assert result.structured_content == own.output
    assert result.content[0].text == own.raw


def test_the_agent_answers_and_faults_are_results(address: str) -> None:
    async def use(client: Client) -> Any:
        return [
            await client.call_tool("agent", {"request": "hello"}),
            await client.call_tool("alora", {"messages": []}),
            await client.call_tool("nothing", {}),
            await client.call_tool("agent", {}),
        ]

    answered, bad_input, unknown, empty = asyncio.run(over_http(address, use))
    assert answered.structured_content == {"output": "You said hello", "stop_reason": "answer", "citations": ["a"]}
    assert [r.is_error for r in (bad_input, unknown, empty)] == [True] * 3
    assert "input of adapter 'alora'" in bad_input.content[0].text
    assert "no adapter 'nothing'" in unknown.content[0].text


def test_http_needs_a_key(address: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert httpx.post(address, json={}, headers=headers).status_code == 401


@pytest.mark.slow
def test_the_command_serves_stdio(base_dir: Path, folders: list[Path], engine: LocalEngine) -> None:
    command = ["-m", "lora_agent.cli.main", "mcp", "--no-agent", "--base", str(base_dir), "--quantization", "none"]
    paths = [part for folder in folders for part in ("--adapter-path", str(folder))]
    started = StdioServerParameters(command=sys.executable, args=[*command, *paths], env=dict(os.environ))

    async def use() -> Any:
        async with Client(started) as client:
            return (await client.list_tools()).tools, await client.call_tool("lora", ASKED)

    tools, result = asyncio.run(asyncio.wait_for(use(), 120))
    assert {"alora", "lora"} <= {tool.name for tool in tools}
    assert set(result.structured_content) == set(engine.call("lora", ASKED).output)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpServers]:
    path = tmp_path_factory.mktemp("mcp") / "mcp.json"
    entry = {"command": sys.executable, "args": [str(ECHO)], "type": "stdio"}
    path.write_text(json.dumps({"mcpServers": {"one": entry, "two": entry}}))
    with McpServers.from_file(path) as found:
        yield found


def test_tools_of_other_servers_are_tools_of_the_agent(servers: McpServers) -> None:
    tools = ToolSet(servers)
    assert list(tools) == ["add", "shout", "sleep", "two.add", "two.shout", "two.sleep"]
    assert tools["add"].spec.parameters["required"] == ["a", "b"]
    added = tools.run(ToolCall(name="add", arguments={"a": 2, "b": 3}))
    assert (added.ok, added.value) == (True, {"result": 5})
    assert tools.run(ToolCall(name="two.shout", arguments={"text": "hello"})).content == '{"result":"HELLO"}'
    assert not tools["add"].trusted


def test_their_failures_are_outcomes(servers: McpServers) -> None:
    tools = ToolSet(servers)
    wrong = tools.run(ToolCall(name="add", arguments={"a": "two"}))
    assert not wrong.ok
    assert "bad arguments" in str(wrong.error)
    assert "nothing to shout" in str(tools.run(ToolCall(name="shout", arguments={"text": ""})).error)
    started = time.monotonic()
    late = tools.run(ToolCall(name="sleep", arguments={"seconds": 5}), timeout_s=0.3)
    assert late.error == "timed out after 0.3 s"
    asked = iter([False, False, True, True])
    stopped = tools["two.sleep"].run({"seconds": 5}, cancel=lambda: next(asked, True))
    assert stopped.error == "cancelled"
    assert time.monotonic() - started < 4


def test_a_server_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"gone": {"command": str(tmp_path / "nothing")}}}))
    with pytest.raises(ToolError, match="MCP server 'gone'"):
        McpServers.from_file(path)
    path.write_text(json.dumps({"mcpServers": {"both": {"command": "x", "url": "http://y"}}}))
    with pytest.raises(ConfigError, match="either `command`"):
        read_config(path)
    with pytest.raises(ConfigError, match="mcpServers"):
        read_config(tmp_path / "absent.json")
