"""`python -m benchmarks.second_look`: adapters known from cards alone, with the `route` adapter and without it.

Thirty skills from a line each, CLINC150's and BANKING77's intents from ten examples each: the halves of the development
requests that the matcher's odds were not set from.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lora_agent.training.data.router.intents import SHOTS, Intent, intents
from lora_agent.training.evaluate.calibrate import ece, wilson

from lora_agent import Engine
from lora_agent.routing import Card, CardRouter


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.second_look", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--public", type=Path, default=os.environ.get("LORA_AGENT_DATA"), help="LORA_AGENT_DATA")
    parser.add_argument("--sources", nargs="+", default=["skills", "clinc150", "banking77"])
    parser.add_argument("--adapter-path", type=Path, action="append", default=[], help="a folder with other packages")
    parser.add_argument("--most", type=int, help="requests of each source")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.public is None:
        parser.error("no folder of public sets: pass --public FOLDER or set LORA_AGENT_DATA")
    engine = Engine.load(adapters=options.adapter_path)
    every = intents(options.public, "dev")
    found = {name: measure(engine, [i for i in every if i.source == name], options.most) for name in options.sources}
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    print("| | n | cards alone (calibration error) | looked again | asked | ms, reading too | ms more if asked |")
    print("|---|---|---|---|---|---|---|")
    for name, r in found.items():
        alone, again = (f"{_share(r[k], r[f'{k}_95'])} ({r[f'{k}_ece']:.3f})" for k in ("alone", "again"))
        print(f"| {name} | {r['n']} | {alone} | {again} | {r['asked']:.0%} | {r['ms']:.0f} | {r['asked_ms']:.0f} |")
    return 0


def _share(rate: float, interval: tuple[float, float]) -> str:
    return f"{100 * rate:.1f} % ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})"


def measure(engine: Any, group: Sequence[Intent], most: int | None) -> dict[str, Any]:
    """Cards alone first, so that the second figure of a request is without the reading of it."""
    start = 0 if group[0].description else SHOTS
    cards = [Card(i.name, i.description, i.utterances[:start]) for i in group]
    asked = [(text, i.name) for i in group for text in i.utterances[start:]][1::2][:most]
    print(f"{group[0].source}: reading {len(cards)} cards", file=sys.stderr)
    routers = {"alone": CardRouter(engine, cards, again=False), "again": CardRouter(engine, cards)}
    hits: dict[str, list[bool]] = {name: [] for name in routers}
    confidences: dict[str, list[float]] = {name: [] for name in routers}
    times: dict[str, list[float]] = {"alone": [], "asked": []}
    for number, (text, right) in enumerate(asked, 1):
        for name, router in routers.items():
            began = time.perf_counter()
            route = router.route(text)
            spent = (time.perf_counter() - began) * 1000
            likely = {n: p for n, p in route.probabilities.items() if n != "base"}
            best = max(likely, key=lambda n: likely[n])
            hits[name].append(best == right)
            confidences[name].append(likely[best] / sum(likely.values()))
            if name == "alone":
                times["alone"].append(spent)
            elif route.method == "decode":
                times["asked"].append(spent)
        if number % 50 == 0:
            print(f"{number}/{len(asked)}", file=sys.stderr)
    found: dict[str, Any] = {"n": len(asked), "cards": len(cards), "asked": len(times["asked"]) / len(asked)}
    for name in routers:
        found[name], found[f"{name}_95"] = sum(hits[name]) / len(asked), wilson(sum(hits[name]), len(asked))
        found[f"{name}_ece"] = ece(np.array(confidences[name]), np.array(hits[name]))
    return found | {"ms": statistics.median(times["alone"]), "asked_ms": statistics.median(times["asked"] or [0.0])}


if __name__ == "__main__":
    sys.exit(main())
