"""`python -m training.router.rows`: rows for the `route` adapter, which looks again where the matcher is not sure.

Each row is a request and two to five cards: its own intent's, and those that the matcher (of the head that is there)
puts nearest among some dozens of others. Cards show a description, examples, or both, since adapters have the one or
the other. Writes train.jsonl.gz, dev.jsonl.gz, report.json and card.md; the features are those that
`python -m training.router` keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.routing.head import Head, find_head
from lora_agent.routing.second_look import card_document

from ..data.card import write_card
from ..data.decontaminate import Decontaminator
from ..data.router.intents import Intent, intents
from ..data.rows import SPLITS, Row, Split, count_by, write_rows
from ..fit.trainable import load_frozen
from .features import kept

SHARES = {
    "train": {
        "skills": 0.45, "written": 0.24, "metatool": 0.09, "seal-tools": 0.05, "hwu64": 0.08, "sgd": 0.04,
        "functions": 0.05,
    },
    "dev": {"skills": 0.6, "clinc150": 0.25, "banking77": 0.15},
}  # fmt: skip
WORLDS = (20, 30, 60, 120)
"""Adapters among which the cards of a row are the nearest."""
SIBLINGS = 0.5
"""Share of worlds whose intents are all of the request's own source: nearer to each other."""
CARDS = {2: 0.15, 3: 0.35, 4: 0.3, 5: 0.2}
BARE, SHOWN = 0.45, 0.3
"""Chance that described intents of a row show no examples; that they show nothing but examples."""
LONGEST = 80
"""Words of a request."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.router.rows", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--public", type=Path, default=os.environ.get("LORA_AGENT_DATA"), help="LORA_AGENT_DATA")
    parser.add_argument("--features", type=Path, default=Path("runs/build/router"), help="where features are kept")
    parser.add_argument("--out", type=Path, default=Path("runs/data/route"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=6000, help="rows to train on, about")
    parser.add_argument("--dev", type=int, default=400)
    options = parser.parse_args()
    if options.public is None:
        parser.error("no folder of public sets: pass --public FOLDER or set LORA_AGENT_DATA")
    base = load_frozen(None)
    head = find_head(base.source_sha256)
    if head is None or head.matcher is None:
        parser.error("there is no matcher for this base yet: python -m training.router")
    clean = Decontaminator.from_data(options.public)
    command = f"python -m training.router.rows --seed {options.seed}"
    report: dict[str, Any] = {"command": command, "rows": {}, "decontamination_hits": {}}
    sizes: dict[Split, int] = {"train": options.train, "dev": options.dev}
    for split in SPLITS:
        found = intents(options.public, split)
        texts = [*(intent.card for intent in found), *(u for intent in found for u in intent.utterances)]
        places = _places(head, kept(base, texts, options.features / f"intents_{split}.pt"))
        rows = build(found, places, split, sizes[split], Random(f"{options.seed}/route/{split}"))
        kept_rows, dropped = clean.split(rows)
        write_rows(options.out / f"{split}.jsonl.gz", kept_rows)
        report["decontamination_hits"] |= count_by(dropped)
        cards = Counter(len(row.input["documents"]) for row in kept_rows)
        report["rows"][split] = {
            "total": len(kept_rows),
            "cards": dict(sorted(cards.items())),
            "source": count_by(kept_rows),
        }
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    write_card("route", options.out, options.public, report)
    print(json.dumps(report, indent=1))
    return 0


def _places(head: Head, features: Tensor) -> Tensor:
    """(n, k) unit vectors, where the matcher puts features (n, d)."""
    return functional.normalize(head.embed(features.float()), dim=-1)


def build(found: Sequence[Intent], places: Tensor, split: Split, total: int, rng: Random) -> list[Row]:
    """`places` (n, k): of the cards of all intents, then of all utterances."""
    drawer = _Drawer(found, places, split, rng)
    rows: list[Row] = []
    for source, share in SHARES[split].items():
        own = [i for i, intent in enumerate(found) if intent.source == source]
        rows += [drawer.row(i, j, own) for i, j in _asked(found, own, rng)[: round(total * share)]]
    rng.shuffle(rows)
    return rows


def _asked(found: Sequence[Intent], own: Sequence[int], rng: Random) -> list[tuple[int, int]]:
    """(intent, utterance), every intent once before any comes twice: breadth teaches more than many requests of one."""
    lines = []
    for i in own:
        short = [j for j, text in enumerate(found[i].utterances) if len(text.split()) <= LONGEST]
        rng.shuffle(short)
        lines += [(turn, rng.random(), i, j) for turn, j in enumerate(short)]
    return [(i, j) for _, _, i, j in sorted(lines)]


class _Drawer:
    def __init__(self, found: Sequence[Intent], places: Tensor, split: Split, rng: Random) -> None:
        self._found, self._split, self._rng = found, split, rng
        self._cards, utterances = places[: len(found)], places[len(found) :]
        self._utterances = utterances.split([len(intent.utterances) for intent in found])
        self._means = functional.normalize(torch.stack([group.mean(0) for group in self._utterances]), dim=-1)

    def row(self, right: int, asked: int, own: Sequence[int]) -> Row:
        rng, found = self._rng, self._found
        request = self._utterances[right][asked]
        pool = own if rng.random() < SIBLINGS else range(len(found))
        sample = rng.sample(pool, min(len(pool), rng.choice(WORLDS)))
        world = [i for i in sample if found[i].name != found[right].name]
        style = rng.random()
        by = self._means if BARE <= style < BARE + SHOWN else self._cards
        order = (by[world] @ request).argsort(descending=True).tolist()
        count = rng.choices(tuple(CARDS), tuple(CARDS.values()))[0]
        chosen = [right, *(world[k] for k in order[: count - 1])]
        rng.shuffle(chosen)
        cards = []
        for i in chosen:
            described = bool(found[i].description) and not BARE <= style < BARE + SHOWN
            examples = [] if described and style < BARE else self._examples(request, i, asked if i == right else None)
            cards.append(card_document(found[i].name, found[i].description if described else "", examples))
        return Row(
            {"messages": [{"role": "user", "content": found[right].utterances[asked]}], "documents": cards},
            {"adapter": found[right].name},
            found[right].source,
            f"{found[right].source}/{found[right].name}",
            self._split,
        )

    def _examples(self, request: Tensor, intent: int, without: int | None) -> list[str]:
        """The requests of an intent that are nearest to the one that is asked, which is not one of them."""
        near = (self._utterances[intent] @ request).argsort(descending=True).tolist()
        return [self._found[intent].utterances[k] for k in near if k != without][: self._rng.choice((1, 2))]


if __name__ == "__main__":
    sys.exit(main())
