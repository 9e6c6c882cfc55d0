"""The measures: which systems take turns at what, and which ratios must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lora_agent.engine.local.engine import LocalEngine

from ..rounds import Measure, Timed, timed
from . import cases
from .llama import LlamaCpp
from .ours import Ours
from .peer import Batching, Peer, Serving
from .peft import Peft

OURS = Ours.name


def measures(engine: LocalEngine, found: Mapping[str, Peer], context: int) -> list[Measure]:
    """`found`: the peers that are here, by name. `context`: tokens of the long conversation."""
    ours = Ours(engine)
    ids = engine.base.renderer.text(cases.long_talk(engine, 512)[0]["content"])[:512]
    names = list(engine.adapters)
    calls = [cases.tool_call(engine, cases.request(city)) for city in cases.CITIES]
    return [
        Measure("prefill of 512 tokens", _each(ours, found, lambda s: s.prefill(ids))),
        Measure("64 tokens after 64, free", _each(ours, found, lambda s: s.decode(ids[:64], 64))),
        Measure("a tool call, start to end", _each(ours, found, lambda s: s.call(calls[0])), {Peft.name: 1 / 3}),
        _first_token(engine, ours, found, context),
        Measure(
            "32 tokens with an adapter",
            {
                "adapter": timed(lambda: ours.decode(ids[:64], 32, names[0])),
                "base": timed(lambda: ours.decode(ids[:64], 32)),
            },
            {"base": 1.15},
        ),
        _rows(ours, found, ids[:64], names),
        _calls(ours, found, calls),
        Measure("an adapter from disk into a slot", {OURS: timed(lambda: ours.load_adapter(names[0]))}),
    ]


def _each(ours: Ours, found: Mapping[str, Peer], work: Callable[[Any], float | str | None]) -> dict[str, Timed]:
    """The same of every system; ours first."""

    def once(system: Any) -> float | None:
        done = work(system)
        return done if isinstance(done, float) else None

    return {name: partial(once, system) for name, system in {OURS: ours, **found}.items()}


def _first_token(engine: LocalEngine, ours: Ours, found: Mapping[str, Peer], context: int) -> Measure:
    asked_of = cases.long_talk(engine, context)[0]["content"]
    judged, asked = cases.verdict(engine, asked_of), cases.tool_call(engine, asked_of)
    systems = _each(ours, found, lambda s: s.first_token(judged, asked))
    systems["its own tokens alone"] = timed(lambda: ours.invocation_alone(asked))
    name = f"second adapter's first token after {len(asked.context)} tokens"
    return Measure(name, systems, {Peft.name: 1 / 20}, [(OURS, "its own tokens alone")])


def _rows(ours: Ours, found: Mapping[str, Peer], ids: list[int], names: list[str]) -> Measure:
    """A batch whose rows have different adapters, against the same batch with one."""
    different, one = [names[i % len(names)] for i in range(8)], [names[0]] * 8
    systems: dict[str, Timed] = {
        f"{OURS}, different adapters": timed(lambda: ours.rows(ids, different, 16)),
        f"{OURS}, one adapter": timed(lambda: ours.rows(ids, one, 16)),
        f"{OURS}, base": timed(lambda: ours.rows(ids, [None] * 8, 16)),
    }
    batching = {name: peer for name, peer in found.items() if isinstance(peer, Batching)}
    for name, peer in batching.items():
        systems[f"{name}, different adapters"] = partial(peer.rows, ids, different, 16)
        systems[f"{name}, one adapter"] = partial(peer.rows, ids, one, 16)
    pairs = [(f"{name}, different adapters", f"{name}, one adapter") for name in (OURS, *batching)]
    return Measure("8 rows, 16 tokens each", systems, {f"{OURS}, one adapter": 1.15}, pairs)


def _calls(ours: Ours, found: Mapping[str, Peer], calls: list[cases.Call]) -> Measure:
    """Requests that come together, against one after the other. transformers would take a minute for eight calls, which
    say no more than its one call does."""
    systems: dict[str, Timed] = {
        f"{OURS}, 8 at a time": timed(lambda: ours.concurrent(calls, 8)),
        f"{OURS}, one by one": timed(lambda: ours.concurrent(calls, 1)),
    }
    serving = {name: peer for name, peer in found.items() if isinstance(peer, Serving)}
    for name, peer in serving.items():
        systems[f"{name}, 8 at a time"] = partial(peer.concurrent, calls, 8)
        systems[f"{name}, one by one"] = partial(peer.concurrent, calls, 1)
    if LlamaCpp.name in found:
        llama = found[LlamaCpp.name]
        systems[f"{LlamaCpp.name}, one by one"] = timed(lambda: [llama.call(call) for call in calls])
    pairs = [(f"{name}, 8 at a time", f"{name}, one by one") for name in (OURS, *serving)]
    return Measure("8 tool calls", systems, {f"{OURS}, one by one": 1.0}, pairs)
