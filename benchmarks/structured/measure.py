"""One schema: compiled, timed, and tried on its instances. Runs in a worker process."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

from lora_agent.errors import SchemaError
from lora_agent.structured import Grammar, Vocabulary, compile_schema, validate
from lora_agent.structured.check import read_schema
from lora_agent.structured.faults import SchemaKeywordError
from lora_agent.structured.lower import lower
from lora_agent.types import compact_json

from .order import Orders

BUDGET = 512
"""Tokens: the budget of the timed grammar, the default of `compile_schema`."""
CACHED_ROUNDS = 20


def measure(row: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """One line of the results. `exact`: nothing is left to be checked after. Each case is
    [collection says valid, validator says valid, grammar accepts]; null where it was not asked."""
    record: dict[str, Any] = {"id": row["id"], "split": row["split"], "bytes": len(json.dumps(row["schema"]))}
    _forget_peak()
    before = _memory_mb()
    try:
        record |= _timed("exact", row["schema"], vocabulary, None)
        grammar = compile_schema(row["schema"], vocabulary, budget_tokens=None)
    except SchemaError as error:
        return record | _refusal(error) | {"cases": _without_grammar(row)}
    try:
        record |= _timed("bounded", row["schema"], vocabulary, BUDGET)
    except SchemaError as error:
        return record | _refusal(error) | {"cases": _without_grammar(row)}
    record["peak_mb"] = round(_peak_mb() - before, 1)
    record["cached_us"] = _cached_us(row["schema"], vocabulary)
    record["status"] = "honoured"
    record["tier"] = grammar.tier
    record["exact"] = grammar.exact
    record["checked"] = sorted({note.keyword for note in grammar.checked if not note.idle})
    orders = Orders(lower(read_schema(row["schema"]))[0])
    record["cases"] = [_case(case, row["schema"], grammar, orders) for case in row["tests"]]
    return record


def _refusal(error: SchemaError) -> dict[str, Any]:
    keyword, reason = (error.keyword, error.reason) if isinstance(error, SchemaKeywordError) else ("", error.message)
    return {"status": "refused", "keyword": keyword, "reason": f"{reason:.300}"}


def _timed(name: str, schema: Any, vocabulary: Vocabulary, budget: int | None) -> dict[str, float]:
    """Compile and first mask, in ms: by the clock, and of this process alone."""
    clock, cpu = time.perf_counter(), time.process_time()
    compile_schema(schema, vocabulary, budget_tokens=budget).start().mask()
    return {
        f"{name}_ms": round((time.perf_counter() - clock) * 1000, 3),
        f"{name}_cpu_ms": round((time.process_time() - cpu) * 1000, 3),
    }


def _cached_us(schema: Any, vocabulary: Vocabulary) -> float:
    """Median of asking again for a grammar that is known, and a fresh constraint of it."""
    times = []
    for _ in range(CACHED_ROUNDS):
        clock = time.perf_counter()
        compile_schema(schema, vocabulary, budget_tokens=BUDGET).start()
        times.append(time.perf_counter() - clock)
    return round(sorted(times)[len(times) // 2] * 1e6, 1)


def _case(case: dict[str, Any], schema: Any, grammar: Grammar, orders: Orders) -> list[Any]:
    fits = _validates(case["data"], schema)
    if not fits:
        return [case["valid"], fits, _accepts(grammar, case["data"]) or _accepts_any(grammar, orders, case["data"])]
    return [case["valid"], fits, _accepts_any(grammar, orders, case["data"])]


def _accepts_any(grammar: Grammar, orders: Orders, value: Any) -> bool:
    tried: set[str] = set()
    for ordered in orders.of(value):
        text = compact_json(ordered)
        if text not in tried and _accepts_text(grammar, text):
            return True
        tried.add(text)
    return False


def _without_grammar(row: dict[str, Any]) -> list[list[Any]]:
    try:
        return [[case["valid"], _validates(case["data"], row["schema"]), None] for case in row["tests"]]
    except SchemaError:
        return []


def _validates(value: Any, schema: Any) -> bool:
    return validate(compact_json(value), schema).valid


def _accepts(grammar: Grammar, value: Any) -> bool:
    return _accepts_text(grammar, compact_json(value))


def _accepts_text(grammar: Grammar, text: str) -> bool:
    matcher = grammar.matcher.deep_copy()
    tokens = grammar.vocabulary.encode(text)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def _forget_peak() -> None:
    """Linux keeps a peak that can be reset; elsewhere the peak is that of the process so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _status_mb(field: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), None)


def _memory_mb() -> float:
    return _status_mb("VmRSS:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _peak_mb() -> float:
    return _status_mb("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
