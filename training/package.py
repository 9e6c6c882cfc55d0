"""Gate and package: the folder that a registry loads, with its proof.

The package is written twice: first ungated, so that the very files that will ship are what is validated, then with the
gate's report, the calibration and the card.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.registry import (
    AdapterPackage,
    AdapterSpec,
    BaseRecord,
    Calibration,
    DataRecord,
    Fingerprint,
    GateRecord,
    Manifest,
    Registry,
    ScoreSpec,
    read_tensors,
    sha256_file,
    write_package,
)

from .card import card
from .data.origins import describe, digest
from .data.rows import Row
from .encode import TargetSpelling, encode
from .recipe import Recipe
from .stages import Run, prompt_spec
from .validate.run import calibration, report, run_system

_TOLERANCE = 0.35
"""Mean difference in nats that other kernels and dtypes may cause on the canary; adapters change it by several."""
_CANARY_TARGETS = 12


def build_package(run: Run, base: BaseModel, rows: Sequence[Row], dev: Sequence[Row], folder: Path) -> dict[str, Any]:
    """Validate the fitted weights on `dev`, decide the gate, write the package. Returns the report."""
    recipe = run.recipe
    spec = make_spec(run, base)
    sources = describe(rows, recipe.fit.seed)
    draft = run.folder / "package"
    manifest = _manifest(run, base, sources, _draft_fingerprint(), GateRecord(passed=False), Calibration())
    package = _write(run, draft, spec, manifest, sources, {})
    engine = LocalEngine(base, Registry.discover([draft], search=False), allow_ungated=True)
    fingerprint = make_fingerprint(engine, package, dev, run.spelling(base))
    manifest = manifest.model_copy(update={"fingerprint": fingerprint})
    package = _write(run, draft, spec, manifest, sources, {})
    engine = _reopen(engine, draft)
    found = validate(engine, package, recipe, dev)
    passed = verdict(recipe, found["report"])
    found["report"]["reasons"] = passed["reasons"]
    run.write("validate.json", found)
    values = {k: found["calibration"][k] for k in ("confidence", "score", "ece", "n")}
    manifest = manifest.model_copy(
        update={
            "gate": GateRecord(passed=passed["passed"], report=found["report"]),
            "calibration": Calibration.model_validate(values),
        }
    )
    _write(run, folder, spec, manifest, sources, found)
    return {"passed": passed["passed"], **found}


def _reopen(engine: LocalEngine, folder: Path) -> LocalEngine:
    """The same base and slots with the registry read anew."""
    engine.registry = Registry.discover([folder], search=False)
    engine.__dict__.pop("adapters", None)
    return engine


def validate(engine: LocalEngine, package: AdapterPackage, recipe: Recipe, dev: Sequence[Row]) -> dict[str, Any]:
    rows = pick(dev, recipe.gate.rows)
    adapter = run_system(engine, package.name, rows, recipe.gate.metric, prompted=False)
    prompted = run_system(engine, package.name, pick(rows, recipe.gate.base_rows), recipe.gate.metric, prompted=True)
    return {
        "report": report(adapter, prompted, rows, pick_index(len(rows), recipe.gate.base_rows), recipe.gate.metric),
        "calibration": calibration(adapter, rows, package),
    }


def pick(rows: Sequence[Row], n: int) -> list[Row]:
    """At most `n` rows, evenly spread over the file: the same ones every time."""
    return [rows[i] for i in pick_index(len(rows), n)]


def pick_index(total: int, n: int) -> list[int]:
    step = max(1.0, total / n)
    return [int(i * step) for i in range(min(n, total))]


def verdict(recipe: Recipe, found: dict[str, Any]) -> dict[str, Any]:
    """The gate: each rule that failed, with its numbers."""
    reasons = []
    if found["gain"] < recipe.gate.min_gain:
        reasons.append(f"gain over the prompted base {found['gain']} is under {recipe.gate.min_gain}")
    if found["mcnemar_p"] > 0.05:
        reasons.append(f"the difference to the prompted base may be chance (McNemar p = {found['mcnemar_p']:.3g})")
    if found["adapter"]["valid"] < recipe.gate.min_valid:
        reasons.append(f"valid outputs {found['adapter']['valid']} are under {recipe.gate.min_valid}")
    return {"passed": not reasons, "reasons": reasons}


def make_spec(run: Run, base: BaseModel) -> AdapterSpec:
    recipe = run.recipe
    return AdapterSpec(
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        examples=list(recipe.examples),
        kind=recipe.fit.kind,
        prompt=prompt_spec(recipe, base.renderer),
        recipe=run.recipe_path.name,
        output=recipe.output,
        score=ScoreSpec(pointer=recipe.score.pointer, positive=recipe.score.positive) if recipe.score else None,
        licence=recipe.licence,
    )


def make_fingerprint(
    engine: LocalEngine, package: AdapterPackage, dev: Sequence[Row], spell: TargetSpelling
) -> Fingerprint:
    """Canary: a short development row of our own generator, read as a whole; the first target tokens are scored."""
    own = [row for row in dev if row.source.startswith("generator")] or list(dev)
    encoded = [encode(engine.base.renderer, package.spec.prompt, row, spell) for row in own[:200]]
    row = min(encoded, key=lambda e: (len(e) < 40, len(e)))
    ids = [*row.context, *row.suffix, *row.target][-512:]
    first = len(ids) - len(row.target)
    positions = list(range(first - 1, min(first - 1 + _CANARY_TARGETS, len(ids) - 1)))
    targets = [ids[p + 1] for p in positions]
    slot = engine.bank.put(package.digest, read_tensors(package, engine.bank.shapes))
    with engine.bank.use([0]):
        base = engine.runner.logprobs(ids, positions, targets)
    with engine.bank.use([slot]):
        adapted = engine.runner.logprobs(ids, positions, targets)
    engine.bank.drop(package.digest)
    return Fingerprint(
        canary=ids, positions=positions, targets=targets, base=base, adapted=adapted, tolerance=_TOLERANCE
    )


def _draft_fingerprint() -> Fingerprint:
    """Stands in the draft until the draft's own weights have been read; never shipped."""
    return Fingerprint(canary=[0, 0], positions=[0], targets=[0], base=[-9.0], adapted=[0.0], tolerance=0.1)


def _manifest(
    run: Run,
    base: BaseModel,
    sources: list[dict[str, Any]],
    fingerprint: Fingerprint,
    gate: GateRecord,
    values: Calibration,
) -> Manifest:
    identity = base.identity
    return Manifest(
        base=BaseRecord(**vars(identity)),
        data=[DataRecord(name=s["name"], sha256=digest(s), licence=s["licence"], rows=s["rows"]) for s in sources],
        recipe_sha256=sha256_file(run.recipe_path),
        libraries={n: version(n) for n in ("torch", "transformers", "peft", "bitsandbytes", "llguidance")},
        gate=gate,
        calibration=values,
        fingerprint=fingerprint,
        created=datetime.now(UTC).replace(microsecond=0),
    )


def _write(
    run: Run, folder: Path, spec: AdapterSpec, manifest: Manifest, sources: list[dict[str, Any]], found: dict[str, Any]
) -> AdapterPackage:
    return write_package(
        folder,
        spec,
        manifest,
        weights=run.weights,
        input_schema=run.schema("input"),
        output_schema=run.schema("output"),
        readme=card(run.recipe, spec, manifest, sources, found),
        sources=yaml.safe_dump(json.loads(json.dumps(sources)), sort_keys=False, width=110),
        overwrite=True,
    )
