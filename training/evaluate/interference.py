"""What adding one adapter does to the others: their probabilities, and where the router sends their requests.

Outputs must not change at all: each adapter's canary (the fingerprint's) is read before and after the new one lies in a
slot. The router's confusion matrix over the examples on the others' cards is counted with and without the new card; a
version of the adapter that is installed already is there in both, since it is what the new one replaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import AdapterError
from lora_agent.registry import AdapterPackage, Registry

Matrix = dict[str, dict[str, int]]


def interference(base: BaseModel, package: AdapterPackage, engine: LocalEngine | None = None) -> dict[str, Any] | None:
    """None where no other adapter is installed or shipped for this base. `engine`: one on `base` whose slots can be
    used; its registry is left as it was."""
    found = _installed(base)
    others = {name: other for name, other in found.items() if name != package.name}
    if not others:
        return None
    if engine is None:
        engine = LocalEngine(base, Registry({}), allow_ungated=True)
    before, known = engine.registry, found
    try:
        _use(engine, known)
        alone = {name: _canary(engine, other) for name, other in others.items()}
        matrix = _route(engine, others)
        _use(engine, {**others, package.name: package})
        engine.resident(package)
        beside = {name: _canary(engine, other) for name, other in others.items()}
        after = _route(engine, others)
    finally:
        _use(engine, dict(before.packages))
    changed = sorted(name for name in others if alone[name] != beside[name])
    taken = [
        {"adapter": a, "text": t, "was": matrix[1][a, t], "now": after[1][a, t]}
        for a, t in matrix[1]
        if matrix[1][a, t] != after[1][a, t]
    ]
    return {
        "others": sorted(others),
        "outputs_changed": changed,
        "router_before": matrix[0],
        "router_after": after[0],
        "moved": taken,
        "examples": len(matrix[1]),
    }


def _installed(base: BaseModel) -> dict[str, AdapterPackage]:
    own = base.identity.source_sha256
    return {n: p for n, p in Registry.discover().packages.items() if p.manifest.base.source_sha256 == own}


def _use(engine: LocalEngine, packages: Mapping[str, AdapterPackage]) -> None:
    engine.registry = Registry(packages)
    for cached in ("adapters", "router"):
        engine.__dict__.pop(cached, None)


def _canary(engine: LocalEngine, package: AdapterPackage) -> list[float] | str:
    print_ = package.manifest.fingerprint
    try:
        slot = engine.resident(package)
    except AdapterError as error:
        return error.message
    return engine.runner.logprobs(print_.canary, print_.positions, print_.targets, slot)


def _route(engine: LocalEngine, others: Mapping[str, AdapterPackage]) -> tuple[Matrix, dict[tuple[str, str], str]]:
    """Counts by (whose example, where it went), and where each one went."""
    went: dict[tuple[str, str], str] = {}
    for name, package in others.items():
        for text in package.spec.examples:
            went[name, text] = engine.session(text).route().adapter
    rows: dict[str, Counter[str]] = {name: Counter() for name in others}
    for (name, _), to in went.items():
        rows[name][to] += 1
    return {name: dict(sorted(row.items())) for name, row in rows.items()}, went


def describe(moved: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{m['text']!r} ({m['was']} → {m['now']})" for m in moved[:3])
