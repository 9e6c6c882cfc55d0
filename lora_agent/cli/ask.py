"""`lora-agent ask`: one request through the whole agent, with every step shown as it happens."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_agent.cli import options
from lora_agent.cli.inputs import conversation
from lora_agent.errors import ConfigError
from lora_agent.types import StopReason

if TYPE_CHECKING:
    from lora_agent.agent.function_tool import FunctionTool

_SERVED: frozenset[StopReason] = frozenset({"answer", "unanswerable", "blocked_input", "blocked_output"})
"""Ends that the agent means: exit code 0. A spent budget, failed tools, an invalid output: exit code 1."""


def ask(
    text: Annotated[str | None, typer.Argument(help="What you want.")] = None,
    messages: Annotated[
        Path | None, typer.Option("--messages", help="A conversation instead: JSON list of OpenAI messages.")
    ] = None,
    tools: Annotated[Path | None, typer.Option("--tools", help="Python file with functions to offer.")] = None,
    mcp: Annotated[
        Path | None, typer.Option("--mcp", help="JSON file of MCP servers (mcpServers) whose tools to offer too.")
    ] = None,
    docs: Annotated[Path | None, typer.Option("--docs", help="Folder of documents to answer from.")] = None,
    trace: Annotated[Path | None, typer.Option("--trace", help="Append every step to this JSONL file.")] = None,
    adapter_path: options.AdapterPathOption = None,
    base: options.BaseOption = None,
    quantization: options.QuantizationOption = "nf4",
    device: options.DeviceOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Ask the agent. Prints each step, then the answer."""
    request = conversation(text, messages)
    from lora_agent.agent import Agent, ToolSet, load_tools
    from lora_agent.agent.retrieval import as_retriever
    from lora_agent.cli.show import result_text, step_text, terminal

    # Read before the base is loaded: a wrong path should cost no time.
    offered = list((load_tools(tools) if tools is not None else ToolSet()).values())
    documents = as_retriever(docs) if docs is not None else None
    with _mcp_servers(mcp) as servers:
        offered += servers
        engine = options.open_engine(base, quantization, device, adapter_path)
        agent = Agent(engine, tools=offered, documents=documents, trace=trace)
        run = agent.stream(request)
        if as_json:
            for _ in run:
                pass
            print(json.dumps(run.result.to_json(), ensure_ascii=False, default=str))
        else:
            console = terminal()
            for step in run:
                console.print(step_text(step))
            console.print(result_text(run.result))
        if run.result.stop_reason not in _SERVED:
            raise typer.Exit(1)


@contextmanager
def _mcp_servers(config: Path | None) -> Iterator[list[FunctionTool[..., Any]]]:
    """The tools of the configured servers, connected for as long as the block runs."""
    if config is None:
        yield []
        return
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("the MCP SDK is not installed", hint='pip install "lora-agent[mcp]"')
    from lora_agent.mcp.tools import McpServers

    with McpServers.from_file(config) as servers:
        yield list(servers)
