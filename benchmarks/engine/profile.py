"""`python -m benchmarks.engine.profile`: where a decode step and a prefill go, part by part, beside the time that the
memory and the arithmetic of this machine would need at least.

The compiled forward pass times its own parts; the rest of a step is Python. Means over all steps of a case.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.native.model import NativeModel
from lora_agent.structured.constraint import Allowed

from . import cases

_READ = 512 * 2**20
_BASE = ("layers' weights", "vocabulary projection")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.profile", description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="decode steps per case")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-profile.json"))
    options = parser.parse_args()
    engine = Engine.load()
    native = engine.base.native
    if native is None:
        raise SystemExit(f"the compiled forward pass does not run here: {engine.base.kernels_reason}")
    adapter = engine.resident(engine.package("tool_call"))
    columns: dict[str, dict[str, float]] = {}
    for context in (64, 2000):
        for name, slot in (("base", 0), ("adapter", adapter)):
            columns[f"decode, {name}, {context} tokens before"] = decode(engine, native, slot, context, options.steps)
    columns["prefill of 512 tokens"] = prefill(engine, native, 5)
    grammar = grammar_ms(engine)
    rate = read_rate(native.threads)
    facts = {
        "threads": native.threads,
        "bytes of a decode step, MB": {part: round(size / 1e6, 1) for part, size in step_bytes(native).items()},
        "read rate, GB/s": round(rate / 1e9, 1),
        "a step's bytes at that rate, ms": round(sum(step_bytes(native).values()) / rate * 1e3, 2),
        "mask, its use and taking a token, ms (the mask is made beside the layers)": grammar,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"facts": facts, "steps": options.steps, "ms": columns}, indent=1))
    for name, value in facts.items():
        print(f"{name}: {value}")
    parts = list(next(iter(columns.values())))
    print("\n| part, ms | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for part in parts:
        print(f"| {part} | " + " | ".join(f"{column[part]:.2f}" for column in columns.values()) + " |")
    return 0


def decode(engine: LocalEngine, native: NativeModel, slot: int, context: int, steps: int) -> dict[str, float]:
    """ms of a step, by part."""
    runner = engine.runner
    cache = runner.new_cache()
    logits = runner.read(_ids(engine, context), cache)
    before, seconds = native.seconds(), 0.0
    for _ in range(steps):
        token = [int(logits.numpy().argmax())]  # torch's threads would get in the way of the next step
        started = time.perf_counter()
        logits = runner.read(token, cache, slot)
        seconds += time.perf_counter() - started
    return _parts(native, before, seconds, steps)


def prefill(engine: LocalEngine, native: NativeModel, runs: int) -> dict[str, float]:
    ids = _ids(engine, 512)
    before, started = native.seconds(), time.perf_counter()
    for _ in range(runs):
        engine.runner.read(ids, engine.runner.new_cache())
    return _parts(native, before, time.perf_counter() - started, runs)


def _parts(native: NativeModel, before: dict[str, float], seconds: float, times: int) -> dict[str, float]:
    spent = {part: (now - before[part]) / times * 1e3 for part, now in native.seconds().items()}
    whole = seconds / times * 1e3
    return {**spent, "Python and the rest": whole - sum(spent.values()), "all": whole}


def step_bytes(native: NativeModel) -> dict[str, int]:
    """What every decode step reads, whatever the context."""
    table = native.config.vocab * native.config.hidden * native.table_itemsize
    return dict(zip(_BASE, (native.memory_bytes - table, table), strict=True))


def read_rate(threads: int) -> float:
    """Bytes a second that this machine's memory gives to one sum over half a GiB, the best of ten."""
    torch.set_num_threads(threads)
    memory = torch.ones(_READ // 4)
    best = min(_seconds(memory) for _ in range(10))
    return _READ / best


def _seconds(memory: torch.Tensor) -> float:
    started = time.perf_counter()
    memory.sum()
    return time.perf_counter() - started


def grammar_ms(engine: LocalEngine) -> dict[str, float]:
    """Of one tool call's tokens, in ms a token."""
    call = cases.tool_call(engine, "What is the weather in Lagos?")
    tokens = call.grammar.tokens_of(engine.call(call.adapter, call.inputs).raw)
    scores = np.zeros(engine.base.config.vocab_size, np.float32)
    constraint, spent = call.grammar.start(), dict.fromkeys(("mask", "use", "take"), 0.0)
    for token in tokens:
        marks = [time.perf_counter()]
        mask = constraint.mask()
        marks.append(time.perf_counter())
        _ = scores + Allowed.of(mask).bias
        marks.append(time.perf_counter())
        constraint.advance(token)
        marks.append(time.perf_counter())
        for part, (start, end) in zip(spent, itertools.pairwise(marks), strict=True):
            spent[part] += end - start
    return {part: round(seconds / len(tokens) * 1e3, 3) for part, seconds in spent.items()}


def _ids(engine: LocalEngine, tokens: int) -> list[int]:
    text: Any = cases.long_talk(engine, tokens + 64)[0]["content"]
    return engine.base.renderer.text(text)[:tokens]


if __name__ == "__main__":
    raise SystemExit(main())
