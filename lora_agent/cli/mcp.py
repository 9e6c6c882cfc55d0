"""`lora-agent mcp`: adapters and the agent as MCP tools, over stdio or streamable HTTP."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Annotated

import typer

from lora_agent.cli import options
from lora_agent.cli.serve import KEYS_VARIABLE, is_loopback
from lora_agent.errors import ConfigError


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP at /mcp instead of stdio.")] = False,
    host: Annotated[str, typer.Option("--host", help="With --http. Others than loopback need keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="With --http.")] = 8001,
    tools: Annotated[Path | None, typer.Option("--tools", help="Python file with functions for `agent`.")] = None,
    docs: Annotated[Path | None, typer.Option("--docs", help="Folder of documents for `agent`.")] = None,
    no_agent: Annotated[bool, typer.Option("--no-agent", help="Offer the adapters alone.")] = False,
    adapter_path: options.AdapterPathOption = None,
    base: options.BaseOption = None,
    quantization: options.QuantizationOption = "nf4",
    device: options.DeviceOption = None,
) -> None:
    """Serve every adapter, and the whole agent, as MCP tools. HTTP keys come from LORA_AGENT_API_KEY."""
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("the MCP SDK is not installed", hint='pip install "lora-agent[mcp]"')
    keys = [key for part in os.environ.get(KEYS_VARIABLE, "").split(",") if (key := part.strip())]
    if http and not keys and not is_loopback(host):
        raise ConfigError(
            f"--host {host} would let everybody in: there is no API key",
            hint=f"Set {KEYS_VARIABLE}, or leave out --host.",
        )
    from lora_agent.agent import Agent, load_tools
    from lora_agent.agent.retrieval import as_retriever
    from lora_agent.mcp.server import ToolServer, http_app, run_stdio

    offered = load_tools(tools) if tools is not None else ()
    documents = as_retriever(docs) if docs is not None else None
    engine = options.open_engine(base, quantization, device, adapter_path)
    agent = None if no_agent else Agent(engine, tools=offered, documents=documents)
    server = ToolServer(engine, agent)
    if not http:
        run_stdio(server)
        return
    import uvicorn

    uvicorn.run(http_app(server, host=host, keys=keys), host=host, port=port, log_level="warning")
