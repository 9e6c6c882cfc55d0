"""`python -m benchmarks.engine.rounding`: how far the logits of the ways to compute a pass lie from each other.

Each way reads the same text (this repository's README) on the embedded base. KL is the mean Kullback-Leibler divergence
from the reference's next-token distributions, in nats.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.native.model import Feed

_TEXT = Path(__file__).parents[2] / "README.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.rounding", description=__doc__)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-rounding.json"))
    options = parser.parse_args()
    engine = Engine.load(kernels="native")
    ids = engine.base.renderer.text(_TEXT.read_text(encoding="utf-8"))[: options.tokens]
    whole = read(engine, ids, len(ids))
    ways = {
        "one token at a time (integers) / all at once (float32)": (read(engine, ids, 1), whole),
        "eight tokens at a time / all at once": (read(engine, ids, 8), whole),
        "keys and values in int8 / float32": (read(Engine.load(kv_cache_dtype="int8"), ids, len(ids)), whole),
    }
    reference = transformers_logits(ids)
    ways["all at once / transformers in float32"] = (whole, reference)
    ways["one token at a time / transformers in float32"] = (ways[next(iter(ways))][0], reference)
    report = {"tokens": len(ids), "spread of logits": round(float(reference.std()), 2)}
    report |= {name: difference(*pair) for name, pair in ways.items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    return 0


def read(engine: LocalEngine, ids: list[int], step: int) -> Tensor:
    """Logits (tokens, vocabulary), reading `step` tokens a pass."""
    assert engine.base.native is not None
    cache = engine.runner.new_cache()
    out = []
    for start in range(0, len(ids), step):
        piece = ids[start : start + step]
        out.append(engine.base.native.forward([Feed(piece, cache)], outputs=range(len(piece)))[0])
    return torch.cat(out)


def transformers_logits(ids: list[int]) -> Tensor:
    engine = Engine.load(kernels="unpacked", dtype=torch.float32)
    return engine.runner.forward(ids, engine.runner.new_cache(), 0, logits=len(ids)).logits.float()


def difference(found: Tensor, reference: Tensor) -> dict[str, float]:
    gap = (found - reference).abs()
    kl = kl_div(found.log_softmax(1), reference.log_softmax(1), log_target=True, reduction="batchmean")
    return {
        "KL": float(f"{float(kl):.2g}"),
        "mean": round(float(gap.mean()), 4),
        "most": round(float(gap.max()), 3),
        "same likeliest token": round(float((found.argmax(1) == reference.argmax(1)).float().mean()), 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())
