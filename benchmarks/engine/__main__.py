"""`python -m benchmarks.engine`: medians, spread and ratios, systems alternating in one run. `--check` for the ratios
that must hold. Compare ratios within a run, never absolute times of two runs or machines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine

from . import cases, peers
from .ours import Ours

Timed = Callable[[], float | None]
"""Does the work once; returns the seconds of the part that counts, or None where all of it does."""


@dataclass(frozen=True)
class Measure:
    name: str
    systems: Mapping[str, Timed]
    """The first one is what the others' ratios are taken to."""
    bound: tuple[str, float] | None = None
    """(system, ratio): `--check` fails when the first system takes more than this times that system's time."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs per system and case")
    parser.add_argument("--context", type=int, default=2000, help="tokens of the long conversation")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a ratio that must hold does not")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-engine.json"))
    options = parser.parse_args()
    engine = Engine.load()
    if not isinstance(engine, LocalEngine):
        raise TypeError("the benchmark is of the local engine")
    for name in engine.adapters:
        engine.verify(name)
    threads = engine.base.native.threads if engine.base.native is not None else 2
    found, missing = peers.find(engine, threads)
    facts = {"kernels": engine.base.kernels, "threads": threads, "runs": options.runs, "missing": missing}
    results = [_run(measure, options.runs) for measure in _measures(engine, found, options.context)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"facts": facts, "measures": results}, indent=1))
    _print(results, missing)
    broken = [r for r in results if r["holds"] is False]
    for result in broken:
        print(f"ratio broken: {result['name']}: {result['bound']}", file=sys.stderr)
    return 1 if options.check and broken else 0


def _measures(engine: LocalEngine, found: Mapping[str, Any], context: int) -> list[Measure]:
    ours, peft = Ours(engine), found[peers.Peft.name]
    base = {Ours.name: ours, **found}
    calls = [cases.tool_call(engine, f"What is the weather in {city}?") for city in cases.CITIES]
    talk = cases.long_talk(engine, context)
    judged = cases.verdict(engine, talk[0]["content"])
    asked = cases.tool_call(engine, talk[0]["content"])
    prompt = cases.long_talk(engine, 512)[0]["content"]
    ids = engine.base.renderer.text(prompt)[:512]
    names = list(engine.adapters)
    eight = [names[i % len(names)] for i in range(8)]
    return [
        Measure("prefill of 512 tokens", {n: _all(lambda s=s: s.prefill(ids)) for n, s in base.items()}),
        Measure("64 tokens after 64, free", {n: _all(lambda s=s: s.decode(ids[:64], 64)) for n, s in base.items()}),
        Measure(
            "a tool call, start to end",
            {Ours.name: _all(lambda: ours.call(calls[0])), peft.name: _all(lambda: peft.call(calls[0]))},
            (peft.name, 1 / 3),
        ),
        Measure(
            f"second adapter's first token after {len(asked.context)} tokens",
            {
                Ours.name: lambda: ours.after_another(judged, asked),
                "its own tokens alone": _all(lambda: ours.invocation_alone(asked)),
                peft.name: _all(lambda: peft.first_token(asked)),
            },
            (peft.name, 1 / 20),
        ),
        Measure(
            "32 tokens with an adapter",
            {
                "adapter": _all(lambda: ours.decode(ids[:64], 32, names[0])),
                "base": _all(lambda: ours.decode(ids[:64], 32)),
            },
            ("base", 1.15),
        ),
        Measure(
            "8 rows, 16 tokens each",
            {
                "different adapters": _all(lambda: ours.rows(ids[:64], eight, 16)),
                "one adapter": _all(lambda: ours.rows(ids[:64], [names[0]] * 8, 16)),
                "base": _all(lambda: ours.rows(ids[:64], [None] * 8, 16)),
            },
            ("one adapter", 1.15),
        ),
        Measure(
            "8 tool calls",
            {
                "8 at a time": _all(lambda: ours.concurrent(calls, 8)),
                "one by one": _all(lambda: ours.concurrent(calls, 1)),
            },
            ("one by one", 1 / 2),
        ),
        Measure("an adapter from disk into a slot", {Ours.name: _all(lambda: ours.load_adapter(names[0]))}),
    ]


def _all(work: Callable[[], object]) -> Timed:
    def timed() -> None:
        work()

    return timed


def _run(measure: Measure, runs: int) -> dict[str, Any]:
    """Systems take turns, so that what else the machine does meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in measure.systems}
    for number in range(runs + 1):
        print(f"{measure.name}: {number}/{runs}", file=sys.stderr, flush=True)
        for name, work in measure.systems.items():
            started = time.perf_counter()
            own = work()
            seconds = time.perf_counter() - started if own is None else own
            if number:  # the first round compiles grammars and touches memory
                times[name].append(seconds * 1000)
    first, *_ = times
    median = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        {
            "system": name,
            "median_ms": round(median[name], 2),
            "min_ms": round(min(values), 2),
            "max_ms": round(max(values), 2),
            "ratio": round(median[name] / median[first], 2),
        }
        for name, values in times.items()
    ]
    holds = None if measure.bound is None else median[first] <= measure.bound[1] * median[measure.bound[0]]
    bound = None if measure.bound is None else f"at most {measure.bound[1]:.2f} × {measure.bound[0]}"
    return {"name": measure.name, "n": runs, "rows": rows, "bound": bound, "holds": holds}


def _print(results: list[dict[str, Any]], missing: Mapping[str, str]) -> None:
    for result in results:
        verdict = {None: "", True: f"   [{result['bound']}: holds]", False: f"   [{result['bound']}: BROKEN]"}
        print(f"\n{result['name']}, n = {result['n']}{verdict[result['holds']]}")
        for row in result["rows"]:
            spread = f"{row['min_ms']:.1f} to {row['max_ms']:.1f}"
            print(f"  {row['system']:<24} {row['median_ms']:>10.1f} ms   ({spread})   × {row['ratio']:.2f}")
    for name, reason in missing.items():
        print(f"\nmissing: {name} ({reason})")


if __name__ == "__main__":
    sys.exit(main())
