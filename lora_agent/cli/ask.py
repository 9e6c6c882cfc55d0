"""`lora-agent ask`: one request through the whole agent, with every step shown as it happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lora_agent.cli import options
from lora_agent.cli.inputs import conversation
from lora_agent.types import StopReason

_SERVED: frozenset[StopReason] = frozenset({"answer", "unanswerable", "blocked_input", "blocked_output"})
"""Ends that the agent means: exit code 0. A spent budget, failed tools, an invalid output: exit code 1."""


def ask(
    text: Annotated[str | None, typer.Argument(help="What you want.")] = None,
    messages: Annotated[
        Path | None, typer.Option("--messages", help="A conversation instead: JSON list of OpenAI messages.")
    ] = None,
    tools: Annotated[Path | None, typer.Option("--tools", help="Python file with functions to offer.")] = None,
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
    from lora_agent.agent import Agent, load_tools
    from lora_agent.agent.retrieval import as_retriever
    from lora_agent.cli.show import result_text, step_text, terminal

    # Read before the base is loaded: a wrong path should cost no time.
    offered = load_tools(tools) if tools is not None else ()
    documents = as_retriever(docs) if docs is not None else None
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
