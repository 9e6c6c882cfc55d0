"""The saved weights, as a package, on the development rows: against the prompted base and the previous version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import AdapterError
from lora_agent.registry import AdapterPackage, Registry

from .. import packing
from ..data.rows import Row, read_rows
from ..evaluate.compare import mcnemar
from ..evaluate.run import Scored, calibration, pick, pick_index, report, run_system
from ..fit.trainable import load_frozen
from ..run import Run


def inputs(run: Run) -> Any:
    gate = run.recipe.gate
    return {
        "weights": run.report("fit")["weights_sha256"],
        "rows": run.report("data")["dev"]["sha256"],
        "gate": [gate.metric, gate.rows, gate.base_rows],
        "prompt": run.recipe.prompt.model_dump(mode="json"),
        "previous": _digest(_previous(run)),
    }


def work(run: Run) -> dict[str, Any]:
    # float32 copies of the quantized values: in batches several times faster than expanding them at every step
    base = load_frozen(run.recipe.base)
    dev = read_rows(run.rows_file("dev"))
    package = packing.write(run, run.draft, base.renderer, base.identity)
    engine = _engine(base, package)
    fingerprint = packing.make_fingerprint(engine, package, dev, run.spelling(base.renderer, base.vocabulary))
    package = packing.write(run, run.draft, base.renderer, base.identity, fingerprint=fingerprint)
    engine = _engine(base, package, engine)
    gate = run.recipe.gate
    rows = pick(dev, gate.rows)
    scored = run_system(engine, package.name, rows, gate.metric)
    shared = pick_index(len(rows), gate.base_rows)
    prompted = run_system(engine, package.name, [rows[i] for i in shared], gate.metric, prompted=True)
    return {
        "report": report(scored, prompted, rows, shared, gate.metric),
        "calibration": calibration(scored, rows, package),
        "previous": _against_previous(run, base, engine, rows, scored),
        "fingerprint": fingerprint.model_dump(mode="json"),
    }


def _engine(base: BaseModel, package: AdapterPackage, old: LocalEngine | None = None) -> LocalEngine:
    """An engine with this one package; the slots of an engine that is there are used again."""
    registry = Registry.discover([package.folder], search=False)
    if old is None:
        return LocalEngine(base, registry, allow_ungated=True)
    old.registry = registry
    old.__dict__.pop("adapters", None)
    return old


def _against_previous(
    run: Run, base: BaseModel, engine: LocalEngine, rows: Sequence[Row], scored: Scored
) -> dict[str, Any] | None:
    """The version of this name that is installed or shipped, on the same rows. None if there is none for this base,
    or if its contract differs so that it cannot read them."""
    package = _previous(run)
    if package is None or package.manifest.base.source_sha256 != base.identity.source_sha256:
        return None
    try:
        old = run_system(_engine(base, package, engine), package.name, rows, run.recipe.gate.metric)
    except (AdapterError, ValueError) as error:
        return {"version": package.spec.version, "digest": package.digest, "not_comparable": str(error).splitlines()[0]}
    return {
        "version": package.spec.version,
        "digest": package.digest,
        "correct": round(sum(old.correct) / len(rows), 4),
        "mcnemar_p": mcnemar(scored.correct, old.correct),
    }


def _previous(run: Run) -> AdapterPackage | None:
    found = Registry.discover().packages.get(run.recipe.name)
    if found is None or found.digest == _digest_at(run):
        return None
    return found


def _digest_at(run: Run) -> str | None:
    """The package that this very run wrote: no predecessor of itself."""
    return run.report("package").get("digest") if run.has("package") else None


def _digest(package: AdapterPackage | None) -> str | None:
    return None if package is None else package.digest
