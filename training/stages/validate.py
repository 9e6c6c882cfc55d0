"""The saved weights on the development rows: against the prompted base and the previous version, without the grammar,
on the unquantized base, and beside the other adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lora_agent.engine.local.base import BaseModel, load_base
from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.engine.local.device import choose
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import AdapterError, BaseModelError, FingerprintError
from lora_agent.registry import AdapterPackage, Fingerprint, Registry, check_fingerprint, plain_lora, read_tensors

from .. import packing
from ..data.rows import Row, read_rows
from ..evaluate.candidate import load
from ..evaluate.compare import mcnemar
from ..evaluate.interference import interference
from ..evaluate.live import LiveEngine
from ..evaluate.run import Scored, calibration, latency, report, run_system, summary
from ..fit.trainable import load_frozen
from ..run import Run
from ..selection import pick, pick_index


def inputs(run: Run) -> Any:
    gate = run.recipe.gate
    return {
        "weights": run.report("fit")["weights_sha256"],
        "rows": run.report("data")["dev"]["sha256"],
        "gate": [gate.metric, gate.rows, gate.base_rows, gate.compare_16bit],
        "prompt": run.recipe.prompt.model_dump(mode="json"),
        "previous": _digest(_previous(run)),
        **({"risk": run.risk} if run.risk is not None else {}),
    }


def work(run: Run) -> dict[str, Any]:
    base = _base(run)
    dev = read_rows(run.rows_file("dev"))
    gate = run.recipe.gate
    rows = pick(dev, gate.rows)
    shared = pick_index(len(rows), gate.base_rows)
    engine: LocalEngine
    candidate: Any
    if run.recipe.served == "hot-swapped":
        engine, package, fingerprint = _proven(run, base, dev)
        candidate = engine
    else:
        package = packing.in_memory(run, base.renderer, base.identity)
        engine, fingerprint = LiveEngine(base, package), None  # without adapter layers: it speaks as the prompted base
        candidate = load(run)
    scored = run_system(candidate, package.name, rows, gate.metric)
    free = run_system(candidate, package.name, [rows[i] for i in shared], gate.metric, free=True)
    prompted = run_system(engine, package.name, [rows[i] for i in shared], gate.metric, prompted=True)
    found: dict[str, Any] = {
        "report": report(scored, prompted, rows, shared, gate.metric),
        "calibration": calibration(scored, rows, package, run.risk),
        "previous": None,
        "fingerprint": None,
        "engine": {"kernels": base.kernels, "dtype": base.dtype, "reason": base.kernels_reason},
    }
    found["report"]["adapter_without_grammar"] = summary(free)
    found["report"]["latency_ms"] = latency(candidate, package.name, rows)
    if fingerprint is None:
        return found
    found["fingerprint"] = fingerprint.model_dump(mode="json")
    found["report"]["without_effect"] = _without_effect(fingerprint)
    found["previous"] = _against_previous(run, base, engine, rows, scored)
    found["report"]["interference"] = interference(base, package, engine)
    del engine, candidate
    found["report"]["on_16_bit_base"] = _on_16_bit(run, package, rows, shared, scored)
    return found


def _base(run: Run) -> BaseModel:
    """The compiled forward pass where users of this machine will run the adapter by it: the gate then measures what
    ships. Elsewhere float32 copies of the quantized values, in batches several times faster than expanding them at
    every step; so too for what is no adapter in a slot, which the compiled pass cannot run."""
    if run.recipe.served == "hot-swapped":
        path = ensure_checkpoint(run.recipe.base, "nf4").path
        if choose(None, "auto", path).kernels == "native":
            return load_base(run.recipe.base)
    return load_frozen(run.recipe.base)


def _proven(run: Run, base: BaseModel, dev: Sequence[Row]) -> tuple[LocalEngine, AdapterPackage, Fingerprint]:
    """The very files that will ship, as a draft, and their fingerprint."""
    package = packing.write(run, run.draft, base.renderer, base.identity)
    engine = _engine(base, package)
    fingerprint = packing.make_fingerprint(engine, package, dev, run.spelling(base.renderer, base.vocabulary))
    package = packing.write(run, run.draft, base.renderer, base.identity, fingerprint=fingerprint)
    engine = _engine(base, package, engine)
    # Put there by hand: an adapter that has learnt next to nothing is for the gate to judge, not an error.
    engine.bank.put(package.digest, read_tensors(package, engine.bank.shapes))
    return engine, package, fingerprint


def _without_effect(fingerprint: Fingerprint) -> str | None:
    """What is wrong with a fingerprint that an engine will refuse; None for a sound one."""
    try:
        check_fingerprint(fingerprint, fingerprint.base, fingerprint.adapted)
    except FingerprintError as error:
        return error.message
    return None


def _engine(base: BaseModel, package: AdapterPackage, old: LocalEngine | None = None) -> LocalEngine:
    """An engine with this one package; the slots of an engine that is there are used again."""
    registry = Registry({package.name: package})
    if old is None:
        return LocalEngine(base, registry, allow_ungated=True)
    old.registry = registry
    old.__dict__.pop("adapters", None)
    return old


def _on_16_bit(
    run: Run, package: AdapterPackage, rows: Sequence[Row], shared: Sequence[int], scored: Scored
) -> dict[str, Any] | None:
    """The same adapter on the unquantized base, on the rows that the prompted base did: what quantization costs."""
    if not run.recipe.gate.compare_16bit:
        return None
    try:
        base = load_base(run.recipe.base, quantization="none", kernels="unpacked", dtype=torch.float32)
    except BaseModelError as error:
        return {"not_available": error.message}
    if base.quantization != "none":
        return {"not_available": f"{base.id!r} is itself quantized ({base.quantization})"}
    engine = _engine(base, package)
    # put there by hand: the fingerprint is that of the quantized base, and need not hold on this one
    engine.bank.put(package.digest, read_tensors(package, engine.bank.shapes))
    plain = run_system(engine, package.name, [rows[i] for i in shared], run.recipe.gate.metric)
    same = [scored.correct[i] for i in shared]
    return {**summary(plain), "nf4_correct": round(sum(same) / len(same), 4), "mcnemar_p": mcnemar(same, plain.correct)}


def _against_previous(
    run: Run, base: BaseModel, engine: LocalEngine, rows: Sequence[Row], scored: Scored
) -> dict[str, Any] | None:
    """The version of this name that is installed or shipped, on the same rows. None if there is none for this base,
    or if its contract differs so that it cannot read them."""
    package = _previous(run)
    if package is None or package.manifest.base.source_sha256 != base.identity.source_sha256:
        return None
    registry = engine.registry
    try:
        old = run_system(_engine(base, package, engine), package.name, rows, run.recipe.gate.metric)
    except (AdapterError, ValueError) as error:
        return {"version": package.spec.version, "digest": package.digest, "not_comparable": str(error).splitlines()[0]}
    finally:
        engine.registry = registry
        engine.__dict__.pop("adapters", None)
    return {
        "version": package.spec.version,
        "digest": package.digest,
        "correct": round(sum(old.correct) / len(rows), 4),
        "mcnemar_p": mcnemar(scored.correct, old.correct),
    }


def _previous(run: Run) -> AdapterPackage | None:
    """A variant follows on the earlier version's variant, which is what its users have."""
    found = Registry.discover().packages.get(run.recipe.name)
    if found is None or found.digest == _digest_at(run):
        return None
    return plain_lora(found) if run.beside and run.fit.kind in found.manifest.variants else found


def _digest_at(run: Run) -> str | None:
    """The package that this very run wrote: no predecessor of itself."""
    return run.report("package").get("digest") if run.has("package") else None


def _digest(package: AdapterPackage | None) -> str | None:
    return None if package is None else package.digest
