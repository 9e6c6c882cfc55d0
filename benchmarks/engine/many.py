"""`python -m benchmarks.engine.many`: a thousand adapters in eight slots. What it costs to register them, to use more
of them than there are slots, and to decode while others are being loaded.

The adapters are copies of a shipped one under other names: they share their weights file on disk, so it is read from
the page cache, and nothing else.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.registry import AdapterPackage, write_package

from .memory import resident_mib

_OF = "safety"
_REQUEST = {"messages": [{"role": "user", "content": "How do I get to the station?"}], "target": "user"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.many", description=__doc__)
    parser.add_argument("--adapters", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=40, help="calls per number of adapters in use")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-many.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = copies(Engine.load().package(_OF), Path(folder), options.adapters)
        report = measure(folders, options.calls)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    return 0


def copies(package: AdapterPackage, folder: Path, count: int) -> list[Path]:
    made: list[Path] = []
    for number in range(count):
        spec = package.spec.model_copy(update={"name": f"{_OF}_{number}"})
        made.append(folder / spec.name)
        write_package(
            made[-1],
            spec,
            package.manifest,
            weights=made[0] if number else package.folder,
            input_schema=package.input_schema,
            output_schema=package.output_schema,
            readme="A copy.\n",
            sources="{}\n",
        )
        weights = "adapter_model.safetensors"
        if number:
            (made[-1] / weights).unlink()
            os.link(made[0] / weights, made[-1] / weights)
        if number % 100 == 99:
            print(f"{number + 1}/{count} adapters written", file=sys.stderr, flush=True)
    return made


def measure(folders: Sequence[Path], calls: int) -> dict[str, Any]:
    before = resident_mib()
    started = time.perf_counter()
    engine = Engine.load(adapters=folders)
    report: dict[str, Any] = {"adapters": len(folders), "start_s": round(time.perf_counter() - started, 1)}
    names = [f.name for f in folders]
    report["resident_mib"] = {"before": before, "registered": resident_mib()}
    slots = engine.bank.slots - 1
    report["slots"] = slots
    report["ms"] = []
    for used in sorted({slots // 2, slots, slots + 1, 2 * slots, 8 * slots, len(names)}):
        report["ms"].append(working_set(engine, names[:used], calls))
        print(report["ms"][-1], file=sys.stderr, flush=True)
    report["resident_mib"]["used"] = resident_mib()
    report["token_ms"] = beside_loading(engine, names[: 2 * slots])
    return report


def working_set(engine: LocalEngine, names: Sequence[str], calls: int) -> dict[str, Any]:
    """Calls of adapters drawn at random; each is used once before, as its first use proves it by its fingerprint."""
    draw = random.Random(0)
    chosen = [draw.choice(names) for _ in range(calls)]
    first = [_ms(lambda n=name: engine.call(n, _REQUEST)) for name in dict.fromkeys(chosen)]
    again = [_ms(lambda n=name: engine.call(n, _REQUEST)) for name in chosen]
    return {"adapters_in_use": len(names), "n": calls, "first_use": _spread(first), "again": _spread(again)}


def beside_loading(engine: LocalEngine, names: Sequence[str]) -> dict[str, Any]:
    """ms from token to token of the base, alone and while another thread loads one adapter after the other."""
    alone = _gaps(engine)
    stop, loads = threading.Event(), 0

    def load() -> None:
        nonlocal loads
        while not stop.is_set():
            engine.resident(engine.package(names[loads % len(names)]))
            loads += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        beside = _gaps(engine)
    finally:
        stop.set()
        thread.join()
    return {"alone": _spread(alone), "while_loading": _spread(beside), "loads": loads}


def _gaps(engine: LocalEngine, tokens: int = 200) -> list[float]:
    marks: list[float] = []
    session = engine.session("Tell me a long story about a fox, a river and a bridge.")
    session.generate(max_tokens=tokens, watch=lambda _: marks.append(time.perf_counter()))
    return [1e3 * (b - a) for a, b in itertools.pairwise(marks)]


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "max": round(ordered[-1], 1),
    }


if __name__ == "__main__":
    raise SystemExit(main())
