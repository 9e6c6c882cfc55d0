"""Rows per second and peak memory of one training run: our split pass against TRL's SFTTrainer on the same rows.

    python -m training.data tool_call
    python -m benchmarks.training_throughput --rows runs/data/tool_call/train.jsonl.gz

The recipe is that of the shipped `tool_call` adapter (activated LoRA, batches of 12); every run is a process of its own
with the same number of threads, taken in turns so that a slow minute of the machine hits all. TRL gets our tokens, with
gradient checkpointing (its default) and without it, four rows at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SYSTEMS = ("ours", "trl", "trl, no checkpointing")
MICRO = 4
"""Rows in one pass of the last: twelve at once took more than 8 GiB."""
RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "tool_call.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="train.jsonl.gz of the tool_call data")
    parser.add_argument("--count", type=int, default=48, help="rows to train on, once")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.system:
        print(json.dumps(measure(given.system, given.rows, given.count)))
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SYSTEMS}
    for turn in range(given.rounds):
        for name in SYSTEMS if turn % 2 == 0 else reversed(SYSTEMS):
            result = _child(name, given)
            found[name].append(result)
            print(f"{name}: {result}", file=sys.stderr, flush=True)
    print(f"{given.count} rows of tool_call, {given.threads} thread(s), n = {given.rounds} runs each")
    print("| | rows/s | ours is | peak MiB | of which before training | loss, first step |")
    print("|---|---|---|---|---|---|")
    rate = {name: statistics.median(r["rows_per_s"] for r in runs) for name, runs in found.items()}
    for name, runs in found.items():
        peak, before = (round(statistics.median(r[k] for r in runs)) for k in ("peak_mib", "loaded_mib"))
        ratio = rate["ours"] / rate[name]
        print(f"| {name} | {rate[name]:.3f} | {ratio:.1f}x | {peak} | {before} | {runs[0]['first_loss']:.4f} |")


def _child(name: str, given: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.training_throughput", "--system", name]
    command += ["--rows", str(given.rows), "--count", str(given.count)]
    threads = {"OMP_NUM_THREADS": str(given.threads), "MKL_NUM_THREADS": str(given.threads)}
    done = subprocess.run(command, env={**os.environ, **threads}, stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(name: str, file: Path, count: int) -> dict[str, Any]:
    """One run in this process."""
    from lora_agent.training.data.rows import read_rows
    from lora_agent.training.encode import encode
    from lora_agent.training.fit.memory import peak, resident
    from lora_agent.training.fit.trainable import add_adapter, load_frozen
    from lora_agent.training.recipe import read_recipe
    from lora_agent.training.run import Run
    from lora_agent.training.selection import choose

    recipe = read_recipe(RECIPE)
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"epochs": 1})})
    folder = Path(tempfile.mkdtemp())
    run = Run(RECIPE, recipe, file.parent, folder, folder)
    base = load_frozen(recipe.base)
    shape, spell = run.prompt_spec(base.renderer), run.spelling(base.renderer, base.vocabulary)
    encoded = []
    for row in choose(read_rows(file), 2 * count, recipe.fit.seed):
        made = encode(base.renderer, shape, row, spell)
        if len(made) <= recipe.fit.max_tokens and len(encoded) < count:
            encoded.append(made)
    model = add_adapter(base, recipe)
    loaded = resident()
    if name == "ours":
        rate, first = _ours(model, encoded, recipe.fit, folder)
    else:
        from lora_agent.training.learning.activate import activate

        activate(model, base.renderer.tokens(shape.invocation))
        rate, first = _trl(model, base.tokenizer, encoded, recipe.fit, folder, checkpointing=name == "trl")
    return {
        "rows_per_s": round(rate, 4),
        "peak_mib": round(peak() / 2**20),
        "loaded_mib": round(loaded / 2**20),
        "first_loss": first,
        "tokens": sum(map(len, encoded)),
    }


def _ours(model: Any, rows: list[Any], fit: Any, folder: Path) -> tuple[float, float]:
    from lora_agent.training.fit.loop import train

    done = train(model, rows, fit, folder)
    first = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    return done.rows / done.seconds, float(first["loss"])


def _trl(
    model: Any, tokenizer: Any, rows: list[Any], fit: Any, folder: Path, *, checkpointing: bool
) -> tuple[float, float]:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    lines = [
        {
            "input_ids": [*row.context, *row.suffix, *row.target],
            "labels": [-100] * (len(row.context) + len(row.suffix)) + list(row.target),
        }
        for row in rows
    ]
    args = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=fit.batch_rows if checkpointing else MICRO,
        gradient_accumulation_steps=1 if checkpointing else fit.batch_rows // MICRO,
        num_train_epochs=1,
        learning_rate=fit.learning_rate,
        warmup_steps=fit.warmup,
        max_grad_norm=fit.clip,
        seed=fit.seed,
        max_length=None,
        packing=False,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=checkpointing,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(model=model, args=args, train_dataset=Dataset.from_list(lines), processing_class=tokenizer)
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    trainer.remove_callback(PrinterCallback)
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started
    first = next(float(line["loss"]) for line in trainer.state.log_history if "loss" in line)
    return len(rows) / seconds, first


if __name__ == "__main__":
    main()
