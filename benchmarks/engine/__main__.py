"""`python -m benchmarks.engine`: medians, spread and ratios, systems alternating in one run; a table, JSON, and a plot
beside it. `--check` measures only the ratios that must hold. Compare ratios within a run, never absolute times of two
runs or machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine

from .. import plot
from ..rounds import print_results, run
from . import cases, peers
from .llama import LlamaCpp
from .measures import measures
from .ours import Ours
from .peer import Peer
from .peft import Peft
from .vllm import Vllm

TITLE = "The engine and its peers: median milliseconds and spread"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs per system and case")
    parser.add_argument("--context", type=int, default=2000, help="tokens of the long conversation")
    parser.add_argument("--check", action="store_true", help="only what must hold; exit code 1 if it does not")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-engine.json"), help="the plot is .html beside it")
    options = parser.parse_args()
    # A plain end by signal would leave vLLM's server behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    engine = Engine.load()
    if not isinstance(engine, LocalEngine):
        raise TypeError("the benchmark is of the local engine")
    for name in engine.adapters:
        engine.verify(name)
    threads = engine.base.native.threads if engine.base.native is not None else 2
    wanted = (Peft.name,) if options.check else (Peft.name, LlamaCpp.name, Vllm.name)
    with ExitStack() as stack:
        found, missing = peers.start(engine, threads, wanted, stack)
        chosen = measures(engine, found, options.context)
        if options.check:
            chosen = [measure.only_bounds() for measure in chosen if measure.bounds]
        results = [run(measure, options.runs) for measure in chosen]
        written = {} if options.check else _outputs(engine, found)
        builds = {name: peer.build for name, peer in found.items()}
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    facts = {"machine": machine, "kernels": engine.base.kernels, "threads": threads, "runs": options.runs, **builds}
    _save(options.out, results, facts, written, missing)
    print_results(results, missing)
    for name, text in written.items():
        print(f"\n{name} wrote: {text}")
    broken = [r for r in results if r["holds"] is False]
    for result in broken:
        print(f"ratio broken: {result['name']}: {result['bound']}", file=sys.stderr)
    return 1 if options.check and broken else 0


def _outputs(engine: LocalEngine, found: Mapping[str, Peer]) -> dict[str, str]:
    """What each system answers to the first tool call: times of different work would say nothing."""
    call = cases.tool_call(engine, cases.request(cases.CITIES[0]))
    return {Ours.name: Ours(engine).call(call), **{name: peer.call(call) for name, peer in found.items()}}


def _save(
    out: Path, results: list[dict[str, Any]], facts: dict[str, Any], written: dict[str, str], missing: dict[str, str]
) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {"facts": facts, "measures": results, "outputs": written, "missing": missing}
    out.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    absent = {f"missing: {name}": reason for name, reason in missing.items()}
    plot.write(out.with_suffix(".html"), TITLE, results, {**facts, **absent})


if __name__ == "__main__":
    sys.exit(main())
