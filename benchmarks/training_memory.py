"""How far the memory forecast of a training step is from the measured peak: `python -m benchmarks.training_memory`.

Each configuration runs two steps (the second one has the optimizer's moments) on the embedded base in a process of its
own. Measured is the most that the process held from the first step on.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from typing import Any

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "aLoRA, 8 rows of 480": {"fit": {"kind": "alora"}, "rows": 8, "context": 400, "suffix": 40, "target": 40},
    "aLoRA, 16 short rows": {"fit": {"kind": "alora"}, "rows": 16, "context": 60, "suffix": 40, "target": 20},
    "LoRA, 3 rows of 260": {"fit": {"kind": "lora"}, "rows": 3, "context": 200, "suffix": 30, "target": 30},
    "DoRA, 2 rows of 300": {
        "fit": {"kind": "lora", "dora": True},
        "rows": 2,
        "context": 240,
        "suffix": 30,
        "target": 30,
    },
    "prompt tuning, 2 rows of 160": {"fit": {"kind": "prompt"}, "rows": 2, "context": 100, "suffix": 30, "target": 30},
    "full with GaLore, 2 rows of 160": {
        "fit": {"kind": "full", "galore": 64},
        "rows": 2,
        "context": 100,
        "suffix": 30,
        "target": 30,
    },
}
DEFAULT = tuple(CONFIGURATIONS)[:3]


def measure(name: str) -> dict[str, Any]:
    """Forecast and peak in MiB of one configuration, in this process."""
    from lora_agent.training.encode import Encoded
    from lora_agent.training.fit.memory import forecast, peak, reset_peak, resident
    from lora_agent.training.fit.optimizer import make_optimizer
    from lora_agent.training.fit.step import Objective
    from lora_agent.training.fit.trainable import add_adapter, load_for
    from lora_agent.training.recipe import Recipe

    given = CONFIGURATIONS[name]
    files = {"data": {"train": "t"}, "input_schema": "i", "output_schema": "o"}
    recipe = Recipe.model_validate({"name": "a", "description": "d", **files, "fit": given["fit"]})
    rng = random.Random(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(100, 40000) for _ in range(count))

    rows = [
        Encoded(ids(given["context"]), ids(given["suffix"]), ids(given["target"]), str(i)) for i in range(given["rows"])
    ]
    model = add_adapter(load_for(recipe), recipe, steps=2)
    expected = forecast(model, rows, recipe.fit, resident())
    optimizer = make_optimizer(model, recipe.fit)
    objective = Objective(model, recipe.fit)
    objective.prepare()
    own = reset_peak()
    for _ in range(2):
        objective(rows).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    parts, measured = expected.report(), round(peak() / 2**20)
    ratio = round(parts["total"] / measured, 3)
    return {"configuration": name, "forecast": parts, "measured": measured, "ratio": ratio, "step_only": own}


def in_process(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.training_memory", "--one", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help="Measure this configuration in this process.")
    parser.add_argument("--all", action="store_true", help="Not only the first three.")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one)))
        return
    print(f"{'configuration':<34} {'forecast MiB':>12} {'measured':>9} {'ratio':>6}  parts")
    for name in CONFIGURATIONS if given.all else DEFAULT:
        found = in_process(name)
        parts = ", ".join(f"{k} {v}" for k, v in found["forecast"].items() if k != "total")
        print(f"{name:<34} {found['forecast']['total']:>12} {found['measured']:>9} {found['ratio']:>6}  {parts}")


if __name__ == "__main__":
    main()
