"""`python -m benchmarks.engine.memory`: resident memory against the formula of docs/performance.md, then two thousand
mixed calls, after which it must be what it was.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

_WORDS = "weather river bridge market garden window letter engine winter orange station museum doctor ticket".split()
_GROWTH = 0.05
"""Of resident memory from the first quarter of the calls to the last; the allocator's own leftovers."""
_FORMULA = 0.10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.memory", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--kv-cache-dtype", choices=["float32", "int8"], default="float32")
    parser.add_argument("--check", action="store_true", help="exit code 1 when formula or flatness does not hold")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-memory.json"))
    options = parser.parse_args()
    report = measure(options.calls, options.kv_cache_dtype)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    print(json.dumps({key: value for key, value in report.items() if key != "course"}, indent=1))
    holds = abs(report["measured_mib"] / report["formula_mib"] - 1) <= _FORMULA and report["growth"] <= _GROWTH
    return 1 if options.check and not holds else 0


def measure(calls: int, kv_cache_dtype: Any) -> dict[str, Any]:
    from lora_agent import Engine

    engine = Engine.load(kv_cache_dtype=kv_cache_dtype)
    native = engine.base.native
    if native is None:
        raise SystemExit(f"the compiled forward pass does not run here: {engine.base.kernels_reason}")
    draw = random.Random(0)
    calls_of = [_tool_call, _verdict, _answer, _rewrite, _free]
    for call in calls_of:  # everything has been imported, compiled and loaded once
        call(engine, draw)
    engine.prefixes.clear()
    start = resident_mib()
    program = start - _mib(native.memory_bytes) - _mib(engine.bank.memory_bytes)
    course: list[dict[str, float]] = []
    started = time.monotonic()
    for number in range(1, calls + 1):
        draw.choice(calls_of)(engine, draw)
        if number % max(1, calls // 40) == 0:
            held = _mib(engine.prefixes.tokens * native.kv.token_bytes)
            course.append({"calls": number, "resident_mib": resident_mib(), "prefixes_mib": held})
            left = (time.monotonic() - started) / number * (calls - number)
            print(
                f"{number}/{calls} calls, {course[-1]['resident_mib']} MiB, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
    parts = {
        "program and libraries": program,
        "base": _mib(native.memory_bytes),
        "adapters in slots": _mib(engine.bank.memory_bytes),
        "prefix cache": course[-1]["prefixes_mib"],
    }
    quarter = len(course) // 4
    full = [point["resident_mib"] for point in course if point["prefixes_mib"] > 0.9 * course[-1]["prefixes_mib"]]
    early, late = max(full[: max(1, quarter)]), max(full[-max(1, quarter) :])
    return {
        "calls": calls,
        "kv_cache_dtype": kv_cache_dtype,
        "token_bytes": native.kv.token_bytes,
        "parts_mib": {name: round(value) for name, value in parts.items()},
        "formula_mib": round(sum(parts.values())),
        "measured_mib": course[-1]["resident_mib"],
        "growth": round(late / early - 1, 3),
        "course": course,
    }


def resident_mib() -> int:
    """This process's resident set."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) // 1024


def _mib(count: float) -> float:
    return count / 2**20


def _text(draw: random.Random, most: int = 60) -> str:
    return " ".join(draw.choices(_WORDS, k=draw.randint(3, most))) + "?"


def _tool_call(engine: Any, draw: random.Random) -> None:
    from .cases import TOOLS  # not before the engine, which says how torch's threads wait

    inputs = {"messages": [{"role": "user", "content": _text(draw)}], "tools": TOOLS[:1]}
    engine.call("tool_call", inputs, max_tokens=48)


def _verdict(engine: Any, draw: random.Random) -> None:
    engine.call("safety", {"messages": [{"role": "user", "content": _text(draw)}], "target": "user"})


def _answer(engine: Any, draw: random.Random) -> None:
    documents = [{"id": f"{number}", "text": _text(draw, 200)} for number in range(draw.randint(1, 3))]
    inputs = {"messages": [{"role": "user", "content": _text(draw, 10)}], "documents": documents}
    engine.call("retrieval", inputs, max_tokens=32)


def _rewrite(engine: Any, draw: random.Random) -> None:
    messages = [
        {"role": "user", "content": _text(draw)},
        {"role": "assistant", "content": _text(draw)},
        {"role": "user", "content": _text(draw, 8)},
    ]
    engine.call("query_rewrite", {"messages": messages}, max_tokens=32)


def _free(engine: Any, draw: random.Random) -> None:
    engine.session(_text(draw)).generate(max_tokens=16, temperature=1.0, seed=draw.randrange(10**6))


if __name__ == "__main__":
    raise SystemExit(main())
