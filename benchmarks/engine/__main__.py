"""`python -m benchmarks.engine`: medians, spread and ratios, systems alternating in one run. `--check` for the ratios
that must hold. Compare ratios within a run, never absolute times of two runs or machines.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine

from ..rounds import Measure, print_results, run, timed
from . import cases, peers
from .ours import Ours


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
    results = [run(measure, options.runs) for measure in _measures(engine, found, options.context)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"facts": facts, "measures": results}, indent=1))
    print_results(results, missing)
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
        Measure("prefill of 512 tokens", {n: timed(lambda s=s: s.prefill(ids)) for n, s in base.items()}),
        Measure("64 tokens after 64, free", {n: timed(lambda s=s: s.decode(ids[:64], 64)) for n, s in base.items()}),
        Measure(
            "a tool call, start to end",
            {Ours.name: timed(lambda: ours.call(calls[0])), peft.name: timed(lambda: peft.call(calls[0]))},
            {peft.name: 1 / 3},
        ),
        Measure(
            f"second adapter's first token after {len(asked.context)} tokens",
            {
                Ours.name: lambda: ours.after_another(judged, asked),
                "its own tokens alone": timed(lambda: ours.invocation_alone(asked)),
                peft.name: timed(lambda: peft.first_token(asked)),
            },
            {peft.name: 1 / 20},
        ),
        Measure(
            "32 tokens with an adapter",
            {
                "adapter": timed(lambda: ours.decode(ids[:64], 32, names[0])),
                "base": timed(lambda: ours.decode(ids[:64], 32)),
            },
            {"base": 1.15},
        ),
        Measure(
            "8 rows, 16 tokens each",
            {
                "different adapters": timed(lambda: ours.rows(ids[:64], eight, 16)),
                "one adapter": timed(lambda: ours.rows(ids[:64], [names[0]] * 8, 16)),
                "base": timed(lambda: ours.rows(ids[:64], [None] * 8, 16)),
            },
            {"one adapter": 1.15},
        ),
        Measure(
            "8 tool calls",
            {
                "8 at a time": timed(lambda: ours.concurrent(calls, 8)),
                "one by one": timed(lambda: ours.concurrent(calls, 1)),
            },
            {"one by one": 1 / 2},
        ),
        Measure("an adapter from disk into a slot", {Ours.name: timed(lambda: ours.load_adapter(names[0]))}),
    ]


if __name__ == "__main__":
    sys.exit(main())
