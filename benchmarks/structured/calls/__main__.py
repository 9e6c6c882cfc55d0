"""`python -m benchmarks.structured.calls`: systems take turns at the same structured calls. `--check`: exit code 1 when
a ratio that must hold does not. Schemas are compiled before (the time of that is listed); no prompt is cached.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.prompts import answer_prompt
from lora_agent.render import read_messages
from lora_agent.structured import compile_schema, validate
from lora_agent.types import Result

from ... import plot
from ...rounds import Measure, print_results, run, timed
from . import peers
from .cases import CASES, Case

FASTER = 1 / 2
"""Of the fastest peer's time at most."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structured.calls", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs per system and case")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-calls.json"), help="the plot is .html beside it")
    options = parser.parse_args()
    engine = Engine.load()
    if not isinstance(engine, LocalEngine):
        raise TypeError("the benchmark is of the local engine")
    found, missing = peers.find(engine)
    results = []
    facts = []
    for case in CASES:
        measure, about = _measure(engine, found, case)
        result = run(measure, options.runs)
        results.append(result)
        facts.append(about)
        print_results([result], {})
        print("  " + json.dumps(about))
    print_results([], missing)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"missing": missing, "measures": results, "facts": facts}, indent=1))
    plot.write(options.out.with_suffix(".html"), "Structured calls: median milliseconds and spread", results, missing)
    return 1 if options.check and any(result["holds"] is False for result in results) else 0


def _measure(engine: LocalEngine, found: list[peers.Peer], case: Case) -> tuple[Measure, dict[str, Any]]:
    """The case's systems, and what one call of each wrote."""
    renderer = engine.base.renderer
    prompt = [*renderer.context(read_messages(case.messages), ()), *answer_prompt(renderer, case.schema)]
    compile_ms: dict[str, float] = {}
    valid: dict[str, bool] = {}
    systems: dict[str, Any] = {"lora-agent": timed(lambda: _ours(engine, case))}
    ours = _ours(engine, case)
    valid["lora-agent"] = ours.ok
    written = ours.usage.generated + ours.usage.forced
    for peer in found:
        started = time.perf_counter()
        prepared = peer.prepare(case)
        compile_ms[peer.name] = round((time.perf_counter() - started) * 1000, 1)
        systems[peer.name] = timed(lambda p=peer, g=prepared: p.call(g, prompt))
        valid[peer.name] = validate(peer.call(prepared, prompt), case.schema).valid
    systems[f"lora-agent, free text of {written} tokens"] = timed(lambda: _free(engine, prompt, written))
    bounds = {peer.name: FASTER for peer in found}
    forced = ours.usage.forced / written
    if forced >= 0.5:
        bounds[f"lora-agent, free text of {written} tokens"] = 1.0
    about = {
        "tokens": written,
        "forced_share": round(forced, 2),
        "valid": valid,
        "compile_ms": compile_ms,
        "grammar_us_per_token": round(_grammar_us(engine, case, ours), 1),
    }
    return Measure(case.name, systems, bounds), about


def _ours(engine: LocalEngine, case: Case) -> Result:
    engine.prefixes.clear()
    return engine.session(case.messages).generate(schema=case.schema, max_tokens=peers.MAX_TOKENS)


def _free(engine: LocalEngine, prompt: list[int], tokens: int) -> None:
    """Greedy, a pass per token, no grammar."""
    cache = engine.runner.new_cache()
    logits = engine.runner.read(prompt, cache)
    for _ in range(tokens - 1):
        logits = engine.runner.read([int(logits.argmax())], cache)


def _grammar_us(engine: LocalEngine, case: Case, result: Result) -> float:
    """Mask, apply and accept per token of this answer, alone and in a row; while decoding, the masks are worked out
    beside the forward pass."""
    import torch

    grammar = compile_schema(case.schema, engine.vocabulary, budget_tokens=peers.MAX_TOKENS)
    tokens = grammar.tokens_of(result.raw)
    constraint = grammar.start()
    logits = torch.zeros(engine.vocabulary.size)
    started = time.perf_counter()
    for token in tokens:
        constraint.apply(logits)
        constraint.advance(token)
    return (time.perf_counter() - started) / len(tokens) * 1e6


if __name__ == "__main__":
    sys.exit(main())
