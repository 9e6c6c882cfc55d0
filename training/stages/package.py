"""The finished package: weights, contract, card, manifest with gate report, calibration and fingerprint."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from lora_agent.engine.local.base import load_tokenizer
from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.registry import BaseIdentity, Calibration, Fingerprint, GateRecord, VariantRecord

from .. import packing, provenance
from ..evaluate.candidate import merge
from ..run import Run
from . import variants


def inputs(run: Run) -> Any:
    recipe = run.recipe
    return {
        "gate": run.report("gate")["inputs"],
        "card": [recipe.version, recipe.description, recipe.examples, recipe.licence, recipe.data.licence],
        "folder": str(run.package.resolve()),
        "variants": run.report("variants")["inputs"] if variants.needed(run) else None,
    }


def intact(run: Run) -> bool:
    return run.package.is_dir()


def work(run: Run) -> dict[str, Any]:
    """Written even when the gate failed, so that it can be looked at; engines refuse to load it then."""
    validated, gate = _public(run.report("validate")), run.report("gate")
    renderer, _ = load_tokenizer(run.recipe.base)
    checkpoint = ensure_checkpoint(run.recipe.base, "nf4" if run.recipe.quantized else "none")
    identity = BaseIdentity(
        id=checkpoint.id,
        source_sha256=checkpoint.source_sha256,
        quantization=checkpoint.quantization,
        tokenizer_sha256=renderer.tokenizer_sha256,
        chat_template_sha256=renderer.template_sha256,
    )
    values = {k: validated["calibration"].get(k) for k in Calibration.model_fields}
    report = {**validated["report"], "reasons": gate["reasons"], "previous": validated["previous"]}
    record = GateRecord(passed=gate["passed"], report=report)
    served = run.recipe.served
    if missing := provenance.undigested(run):
        hint = "set LORA_AGENT_DATA to the folder that they lie in, and run again with --from package"
        print(f"warning: no digests of {', '.join(missing)} in sources.yaml: {hint}", file=sys.stderr)
    if served != "hot-swapped":
        merged = partial(merge, run) if served == "merged" else None
        packing.write_unserved(run, run.package, renderer, identity, gate=record, found=validated, merged=merged)
        return {"folder": str(run.package), "digest": None, "passed": gate["passed"], "served": served}
    package = packing.write(
        run,
        run.package,
        renderer,
        identity,
        fingerprint=Fingerprint.model_validate(validated["fingerprint"]),
        gate=record,
        calibration=Calibration.model_validate(values),
        found=validated,
        variants=_variants(run),
    )
    return {"folder": str(run.package), "digest": package.digest, "passed": gate["passed"], "served": served}


def _variants(run: Run) -> dict[str, tuple[Path, VariantRecord]]:
    """Weights and record of each variant; one that failed its gate is packed too, and refused when it is asked for."""
    built = run.report("variants")["built"] if variants.needed(run) else {}
    return {kind: (run.folder / found["weights"], _record(found)) for kind, found in built.items()}


def _record(found: dict[str, Any]) -> VariantRecord:
    report = {**_public(found)["report"], "reasons": found["reasons"], "steps": found["steps"]}
    values = {k: found["calibration"].get(k) for k in Calibration.model_fields}
    return VariantRecord(
        gate=GateRecord(passed=found["passed"], report=report),
        calibration=Calibration.model_validate(values),
        fingerprint=Fingerprint.model_validate(found["fingerprint"]),
    )


def _public(validated: dict[str, Any]) -> dict[str, Any]:
    """Without the failures on rows that are not our generators': people's data is not copied into a package."""
    own = [f for f in validated["report"]["failures"] if f["source"].startswith("generator")]
    return {**validated, "report": {**validated["report"], "failures": own}}
