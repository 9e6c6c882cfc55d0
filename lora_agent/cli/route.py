"""`lora-agent route`: which adapter the router picks, for one conversation or for a JSON Lines file.

With --cards it routes among adapters that exist only as cards (name, description, perhaps examples): adapters
that the router was never trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from lora_agent.cli import options
from lora_agent.cli.batch import Work, field, run_batch
from lora_agent.cli.call import print_summary
from lora_agent.cli.inputs import as_messages, as_tools, conversation, read_json_file, read_text
from lora_agent.cli.show import bars
from lora_agent.errors import ConfigError, ToolError
from lora_agent.types import Message, Route, Tool, compact_json

if TYPE_CHECKING:
    from lora_agent.engine import EngineProtocol
    from lora_agent.routing import Card

RouteOne = Callable[[Sequence[Message], Sequence[Tool]], Route]


def route(
    text: Annotated[str | None, typer.Argument(help="A user's request.")] = None,
    messages: Annotated[Path | None, typer.Option("--messages", help="Conversation: JSON messages.")] = None,
    source: Annotated[Path | None, typer.Option("--in", help='JSONL of {"id", "messages", "tools"?}.')] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Result lines, in order. A file that exists is continued.")
    ] = None,
    cards: Annotated[
        Path | None,
        typer.Option("--cards", help="YAML list of {name, description, examples?}."),
    ] = None,
    tools: Annotated[Path | None, typer.Option("--tools", help="JSON list of OpenAI tool objects.")] = None,
    adapter_path: options.AdapterPathOption = None,
    base: options.BaseOption = None,
    quantization: options.QuantizationOption = "nf4",
    device: options.DeviceOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Show which adapter the router picks, with its probabilities."""
    offered = as_tools(read_json_file(tools, ToolError)) if tools is not None else []
    batch = source is not None or out is not None
    if batch and (source is None or out is None):
        raise ConfigError("a batch needs both --in FILE and --out FILE")
    if batch and (text is not None or messages is not None):
        raise ConfigError("route needs either a request or --in FILE with --out FILE, got both")
    asked = None if batch else conversation(text, messages)
    known = _read_cards(cards) if cards is not None else None

    one = _router(options.open_engine(base, quantization, device, adapter_path), known)
    if source is not None and out is not None:
        summary = run_batch(source, out, batch_work(one, offered), failed_line)
        print_summary(asdict(summary), out, as_json)
    elif asked is not None:
        _print_route(one(asked, offered), as_json)


def _router(engine: EngineProtocol, cards: Sequence[Card] | None) -> RouteOne:
    """Among the registered adapters, or among those on the cards."""
    if cards is not None:
        from lora_agent.routing import CardRouter

        by_card = CardRouter(engine, cards)
        return lambda messages, tools: by_card.route(messages)

    def by_session(messages: Sequence[Message], tools: Sequence[Tool]) -> Route:
        session = engine.session(messages, tools=tools)
        session.prefill()
        return session.route()

    return by_session


def batch_work(route_one: RouteOne, offered: Sequence[Tool]) -> Work:
    """The work on one line. A line's own "tools" replace the ones that --tools offers to every line."""

    def work(record: Mapping[str, Any]) -> dict[str, Any]:
        tools = as_tools(record["tools"]) if record.get("tools") is not None else offered
        chosen = route_one(as_messages(field(record, "messages")), tools)
        return {
            "adapter": chosen.adapter,
            "probabilities": dict(chosen.probabilities),
            "abstained": chosen.abstained,
        }

    return work


def failed_line(error: str) -> dict[str, Any]:
    return {"adapter": None, "probabilities": None, "abstained": None, "error": error}


def _read_cards(path: Path) -> Sequence[Card]:
    from lora_agent.routing import read_cards

    try:
        value = yaml.safe_load(read_text(path))
    except yaml.YAMLError as fault:
        raise ConfigError(f"{str(path)!r} is not YAML: {fault}", hint="Quote texts that hold ':'.") from fault
    return read_cards(value)


def _print_route(chosen: Route, as_json: bool) -> None:
    if as_json:
        print(compact_json(asdict(chosen)))
        return
    print(chosen.adapter + (" (abstained: no adapter was sure enough)" if chosen.abstained else ""))
    for line in bars(chosen.probabilities):
        print(f"  {line}")
