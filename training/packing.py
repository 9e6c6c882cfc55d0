"""The package's files: card, manifest, fingerprint. First as a draft, so that the very files that will ship are what is
validated, then with the gate's report and the calibration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import SchemaError
from lora_agent.registry import (
    AdapterPackage,
    AdapterSpec,
    BaseIdentity,
    BaseRecord,
    Calibration,
    DataRecord,
    Fingerprint,
    GateRecord,
    Manifest,
    ScoreSpec,
    VariantRecord,
    read_tensors,
    sha256_file,
    write_package,
)
from lora_agent.registry.staging import copy_file, staged
from lora_agent.render import ChatRenderer

from . import provenance
from .card import card, plot
from .data.origins import digest
from .data.rows import Row
from .encode import Encoded, TargetSpelling, encode
from .run import Run

_TOLERANCE = 0.35
"""Mean difference in nats that other kernels and dtypes may cause on the canary; adapters change it by several."""
_CANARY_TARGETS = 12
_PEFT_FILES = {"adapter_config.json", "adapter_model.safetensors", "arrow.json"}

UNPROVEN = Fingerprint(canary=[0, 0], positions=[0], targets=[0], base=[-9.0], adapted=[0.0], tolerance=0.1)
"""Stands in the draft until the draft's own weights have been read; never shipped."""


def write(
    run: Run,
    folder: Path,
    renderer: ChatRenderer,
    identity: BaseIdentity,
    *,
    fingerprint: Fingerprint = UNPROVEN,
    gate: GateRecord | None = None,
    calibration: Calibration | None = None,
    found: dict[str, Any] | None = None,
    variants: Mapping[str, tuple[Path, VariantRecord]] | None = None,
) -> AdapterPackage:
    """A package of the run's weights at `folder`; an ungated one is refused by engines that were not told otherwise."""
    spec = make_spec(run, renderer)
    sources = provenance.sources(run)
    manifest = _manifest(run, identity, sources, fingerprint, gate, calibration)
    records = {name: record for name, (_, record) in (variants or {}).items()}
    manifest = manifest.model_copy(update={"variants": records})
    return write_package(
        folder,
        spec,
        manifest,
        weights=run.weights,
        input_schema=run.schema("input"),
        output_schema=run.schema("output"),
        readme=_card(run, spec, manifest, sources, found or {}, plotted=bool(found)),
        sources=provenance.text(sources),
        plots={"gate.svg": plot(found)} if found else {},
        variants={name: folder for name, (folder, _) in (variants or {}).items()},
        overwrite=True,
    )


def in_memory(run: Run, renderer: ChatRenderer, identity: BaseIdentity) -> AdapterPackage:
    """The contract of weights that lie in no package: of a fit under way, or of a method without slots."""
    spec = make_spec(run, renderer)
    manifest = _manifest(run, identity, [], UNPROVEN, None, None)
    schemas = run.schema("input"), run.schema("output")
    return AdapterPackage(run.folder, spec, manifest, *schemas, digest="in memory")


def write_unserved(
    run: Run,
    folder: Path,
    renderer: ChatRenderer,
    identity: BaseIdentity,
    *,
    gate: GateRecord,
    found: dict[str, Any],
    merged: Callable[[Path], None] | None,
) -> Path:
    """What a method without slots ends as: PEFT's files, the contract and the card, and in `merged/` (written by
    `merged`, where the method can be merged) a model of its own. No adapter.yaml, so that nothing takes it for a
    package that an engine could load; manifest.json holds the gate's report and every file's digest all the same."""
    spec, sources = make_spec(run, renderer), provenance.sources(run)
    manifest = _manifest(run, identity, sources, UNPROVEN, gate, None)
    with staged(folder, overwrite=True) as staging:
        for source in run.weights.rglob("*"):
            if source.is_file() and source.name in _PEFT_FILES:
                (staging / source.relative_to(run.weights)).parent.mkdir(parents=True, exist_ok=True)
                copy_file(source, staging / source.relative_to(run.weights))
        for which in ("input", "output"):
            text = json.dumps(run.schema(which), ensure_ascii=False, indent=2) + "\n"
            (staging / f"{which}.schema.json").write_text(text, encoding="utf-8")
        (staging / "README.md").write_text(_card(run, spec, manifest, sources, found), encoding="utf-8")
        (staging / "sources.yaml").write_text(provenance.text(sources), encoding="utf-8")
        (staging / "prompt.json").write_text(spec.prompt.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if merged is not None:
            merged(staging / "merged")
        files = {str(p.relative_to(staging)): sha256_file(p) for p in sorted(staging.rglob("*")) if p.is_file()}
        record = manifest.model_copy(update={"files": files}).model_dump(mode="json", exclude={"fingerprint"})
        record["served"] = run.recipe.served
        (staging / "manifest.json").write_text(
            json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
    return folder


def _card(
    run: Run,
    spec: AdapterSpec,
    manifest: Manifest,
    sources: list[dict[str, Any]],
    found: dict[str, Any],
    *,
    plotted: bool = False,
) -> str:
    clean = bool(run.report("data")["decontaminated"])
    return card(run.fitted, spec, manifest, sources, found, decontaminated=clean, plotted=plotted)


def _manifest(
    run: Run,
    identity: BaseIdentity,
    sources: list[dict[str, Any]],
    fingerprint: Fingerprint,
    gate: GateRecord | None,
    calibration: Calibration | None,
) -> Manifest:
    return Manifest(
        base=BaseRecord(**vars(identity)),
        data=[DataRecord(name=s["name"], sha256=digest(s), licence=s["licence"], rows=s["rows"]) for s in sources],
        recipe_sha256=sha256_file(run.recipe_path),
        libraries={n: version(n) for n in ("torch", "transformers", "peft", "bitsandbytes", "llguidance")},
        gate=gate or GateRecord(passed=False),
        calibration=calibration or Calibration(),
        fingerprint=fingerprint,
        created=datetime.now(UTC).replace(microsecond=0),
    )


def make_spec(run: Run, renderer: ChatRenderer) -> AdapterSpec:
    recipe = run.recipe
    return AdapterSpec(
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        examples=list(recipe.examples),
        kind=recipe.fit.spec_kind,
        prompt=run.prompt_spec(renderer),
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
    encoded = list(_encodable(engine, package, own[:200], spell))
    row = min(encoded, key=lambda e: (len(e) < 40, len(e)))
    ids = [*row.context, *row.suffix, *row.target][-512:]
    first = len(ids) - len(row.target)
    positions = list(range(first - 1, min(first - 1 + _CANARY_TARGETS, len(ids) - 1)))
    targets = [ids[p + 1] for p in positions]
    slot = engine.bank.put(package.digest, read_tensors(package, engine.bank.shapes))
    base = engine.runner.logprobs(ids, positions, targets)
    adapted = engine.runner.logprobs(ids, positions, targets, slot)
    engine.bank.drop(package.digest)
    return Fingerprint(
        canary=ids, positions=positions, targets=targets, base=base, adapted=adapted, tolerance=_TOLERANCE
    )


def _encodable(
    engine: LocalEngine, package: AdapterPackage, rows: Sequence[Row], spell: TargetSpelling
) -> Iterator[Encoded]:
    """Rows whose targets fit the grammar; a development row need not (it may hold more items than the bounds allow)."""
    for row in rows:
        try:
            yield encode(engine.base.renderer, package.spec.prompt, row, spell)
        except SchemaError:
            continue
