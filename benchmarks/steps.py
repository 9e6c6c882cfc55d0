"""What a step of the agent costs on this machine, part by part (`lora-agent bench`, `make bench`).

Times are medians over n runs in one process, with the smallest and the largest; compare ratios within one run, never
absolute times of two machines.
"""

from __future__ import annotations

import itertools
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from lora_agent import Engine

TALK = [{"role": "user", "content": "What is the weather in Lagos, and how long can I return a grinder?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
DOCUMENTS = [
    {"id": "returns.md#1", "text": "A grinder can be returned within 30 days if it is unused and in its box."},
    {"id": "shipping.md#1", "text": "Orders over 40 euros ship free of charge within two working days."},
]


def show(rows: list[dict[str, Any]], facts: dict[str, Any], runs: int) -> None:
    """The table, on stdout."""
    for name, value in facts.items():
        print(f"{name:<34} {value}")
    print(f"\n{'part':<34} {'median ms':>10} {'least':>9} {'most':>9}   n = {runs}")
    for row in rows:
        print(f"{row['part']:<34} {row['median_ms']:>10.1f} {row['min_ms']:>9.1f} {row['max_ms']:>9.1f}")


def measure(runs: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(a row per part with its median, least and largest time in ms; facts about the run by name)"""
    started = time.perf_counter()
    engine = Engine.load()
    facts: dict[str, Any] = {"start from the cached base, s": round(time.perf_counter() - started, 2)}
    for name in engine.adapters:
        engine.verify(name)
    facts["start with all adapters proven, s"] = round(time.perf_counter() - started, 2)
    facts["base weights, MiB"] = round(engine.base.memory_bytes / 2**20)
    facts["adapters in slots, MiB"] = round(engine.bank.memory_bytes / 2**20)
    facts["kernels"] = f"{engine.base.kernels} ({engine.base.kernels_reason})"

    session = engine.session(TALK, tools=[TOOL])
    session.prefill()
    facts["context, tokens"] = session.context_tokens

    def prefill() -> None:
        engine.prefixes.clear()
        engine.session(TALK, tools=[TOOL]).prefill()

    def warm() -> None:
        engine.session(TALK, tools=[TOOL]).prefill()

    parts: dict[str, Callable[[], object]] = {
        "prefill, nothing cached": prefill,
        "prefill, all of it cached": warm,
        "route": session.route,
        "safety": lambda: session.run("safety"),
        "tool_call": lambda: session.run("tool_call"),
        "retrieval, two passages": lambda: session.run("retrieval", documents=DOCUMENTS),
        "query_rewrite": lambda: session.run("query_rewrite"),
        "base, 16 tokens": lambda: session.generate(max_tokens=16),
        "4 adapters one by one": lambda: [engine.call(*call) for call in _calls(same=False)],
        "4 adapters in one batch": lambda: engine.call_batch(_calls(same=False)),
        "1 adapter 4 times one by one": lambda: [engine.call(*call) for call in _calls(same=True)],
        "1 adapter 4 times in one batch": lambda: engine.call_batch(_calls(same=True)),
    }
    rows = []
    for number, (name, part) in enumerate(parts.items(), start=1):
        print(f"{number}/{len(parts)} {name}", file=sys.stderr, flush=True)
        rows.append(_time(name, part, runs))
    facts["resident memory at most, MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return rows, facts


_numbers = itertools.count(1)


def _calls(*, same: bool) -> list[tuple[str, dict[str, Any]]]:
    """Four calls on one context that no call before had."""
    text = f"What is the weather in Lagos, and how long can I return grinder {next(_numbers)}?"
    talk = [{"role": "user", "content": text}]
    safety = ("safety", {"messages": talk, "target": "user"})
    if same:
        return [safety] * 4
    tools = ("tool_call", {"messages": talk, "tools": [TOOL]})
    passages = ("retrieval", {"messages": talk, "documents": DOCUMENTS})
    return [safety, tools, passages, ("query_rewrite", {"messages": talk})]


def _time(name: str, part: Callable[[], object], runs: int) -> dict[str, Any]:
    part()  # compiled grammars and resident adapters are part of the second run, not the first
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        part()
        times.append((time.perf_counter() - started) * 1000)
    return {"part": name, "median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times)}
