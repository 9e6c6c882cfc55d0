"""Short runs of the `tool_call` recipe that differ in one thing each, on the same rows, judged by the same rows.

    python -m training.data tool_call
    python -m benchmarks.ablations --data runs/data --out runs/ablations

What a run costs and what it learns: rank, adapted layers, activated against plain LoRA, NF4 against 16-bit base while
training, and where the rows come from. The score is the loss on development rows, in nats per row: on so few rows it
tells settings apart that the share of right answers does not. A finished run is kept in --out and not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lora_agent.training.data.origins import origin_of
from lora_agent.training.data.rows import Row, read_rows
from lora_agent.training.encode import Encoded, encode
from lora_agent.training.files import write_whole
from lora_agent.training.fit import metrics
from lora_agent.training.fit.loop import plan, train
from lora_agent.training.fit.step import Objective
from lora_agent.training.fit.trainable import add_adapter, load_for
from lora_agent.training.run import Run

from lora_agent.engine.local.base import load_base
from lora_agent.errors import SchemaError

RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "tool_call.yaml"
ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
SEED = 7


@dataclass(frozen=True)
class Setting:
    """What differs from the recipe."""

    fit: dict[str, Any] = field(default_factory=dict)
    layers: tuple[str, ...] = ATTENTION + MLP
    sixteen_bit: bool = False
    """Train on the unquantized base; judged on the quantized one, on which every adapter is served."""
    keep: Callable[[Row], bool] = lambda row: True


def _generated(row: Row) -> bool:
    return origin_of(row.source) == "generator"


SETTINGS = {
    "as the recipe": Setting(),
    "rank 4": Setting({"rank": 4}),
    "rank 64": Setting({"rank": 64}),
    "attention only": Setting(layers=ATTENTION),
    "MLP only": Setting(layers=MLP),
    "plain LoRA": Setting({"kind": "lora"}),
    "16-bit base": Setting(sixteen_bit=True),
    "public rows only": Setting(keep=lambda row: not _generated(row)),
    "generated rows only": Setting(keep=_generated),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=300, help="to train on")
    parser.add_argument("--dev-rows", type=int, default=200, help="half of them generated")
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    given = parser.parse_args()
    found = {name: _run(name, given) for name in given.settings}
    _table(found)
    return 0


def _run(name: str, given: argparse.Namespace) -> dict[str, Any]:
    folder = given.out / name.replace(" ", "_")
    result = folder / "result.json"
    if result.is_file():
        return dict(json.loads(result.read_text(encoding="utf-8")))
    setting = SETTINGS[name]
    run = Run.open(RECIPE, folder, data=given.data)
    fit = run.recipe.fit.model_copy(update={"start": None, "epochs": 1, "max_tokens": 700, **setting.fit})
    recipe = run.recipe.model_copy(update={"fit": fit})
    base = load_for(recipe)
    encoder = _encoder(run, base, fit.max_tokens)
    rows = encoder(_choose(given.data / "tool_call" / "train.jsonl.gz", given.rows, setting.keep))
    if setting.sixteen_bit:
        base = load_base(recipe.base, quantization="none", kernels="unpacked", dtype=torch.float32)
    model = add_adapter(base, recipe, steps=len(plan(rows, fit)))
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and not any(layer in key for layer in setting.layers):
            parameter.requires_grad_(False)
    done = train(model, rows, fit, folder, key=name, on_step=lambda p: print(f"{name}: step {p.step}", file=sys.stderr))
    if setting.sixteen_bit:
        model = _moved(model, load_for(recipe), recipe)
    dev = _dev(given)
    losses = {source: _losses(model, encoder(part), fit) for source, part in dev.items()}
    found = {
        "losses": losses,
        "rows": len(rows),
        "seconds": round(done.seconds, 1),
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "peak_mib": metrics.read(folder)[-1]["peak_mib"],
        "steps": done.step,
    }
    write_whole(result, json.dumps(found))
    (folder / "state.pt").unlink(missing_ok=True)
    return found


def _encoder(run: Run, base: Any, most: int) -> Callable[[Sequence[Row]], list[Encoded]]:
    shape, spell = run.prompt_spec(base.renderer), run.spelling(base.renderer, base.vocabulary)

    def encoder(rows: Sequence[Row]) -> list[Encoded]:
        encoded = []
        for row in rows:
            with suppress(SchemaError):  # a number with more digits than the grammar writes
                encoded.append(encode(base.renderer, shape, row, spell))
        return [row for row in encoded if len(row.context) + len(row.suffix) + len(row.target) <= most]

    return encoder


def _choose(path: Path, count: int, keep: Callable[[Row], bool]) -> list[Row]:
    rows = [row for row in read_rows(path) if keep(row)]
    random.Random(SEED).shuffle(rows)
    return rows[:count]


def _dev(given: argparse.Namespace) -> dict[str, list[Row]]:
    path, half = given.data / "tool_call" / "dev.jsonl.gz", given.dev_rows // 2
    return {
        "generated": _choose(path, half, _generated),
        "public": _choose(path, half, lambda row: not _generated(row)),
    }


def _moved(model: Any, base: Any, recipe: Any) -> Any:
    """The same adapter on another base."""
    weights = {k: v for k, v in model.state_dict().items() if "lora_" in k}
    other = add_adapter(base, recipe)
    other.load_state_dict(weights, strict=False)
    return other


def _losses(model: Any, rows: Sequence[Encoded], fit: Any) -> list[float]:
    """Nats of each row's whole target."""
    objective = Objective(model, fit)
    objective.prepare()
    model.eval()
    found = []
    with torch.no_grad():
        for row in rows:
            objective([row])
            found.append(round(objective.loss * objective.tokens, 4))
    return found


def _table(found: dict[str, dict[str, Any]]) -> None:
    """Each setting against the first: mean difference of the rows' losses and its 95 % interval (paired bootstrap)."""
    first = next(iter(found.values()))
    print("| | parameters | rows | rows/s | peak MiB | generated, nats | public, nats | difference, all rows |")
    print("|---|---|---|---|---|---|---|---|")
    for name, one in found.items():
        generated, public = (float(np.mean(one["losses"][part])) for part in ("generated", "public"))
        differences = np.concatenate(
            [np.subtract(one["losses"][part], first["losses"][part]) for part in ("generated", "public")]
        )
        draws = np.random.default_rng(SEED).choice(differences, (2000, len(differences))).mean(axis=1)
        low, high = np.percentile(draws, [2.5, 97.5])
        rate, size = one["rows"] / one["seconds"], one["trained"] / 1e6
        cells = [
            name,
            f"{size:.1f} M",
            one["rows"],
            f"{rate:.2f}",
            one["peak_mib"],
            f"{generated:.2f}",
            f"{public:.2f}",
        ]
        cells.append(f"{differences.mean():+.2f} ({low:+.2f} to {high:+.2f})")
        print(f"| {' | '.join(map(str, cells))} |")
    print(f"n = {len(first['losses']['generated'])} generated and {len(first['losses']['public'])} public rows")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
