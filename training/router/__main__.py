"""`python -m training.router --data runs/data/router`: features → head, matcher → lora_agent/routing/heads.

With --matcher-only the head that is there stays, and only the map in which cards are compared is learnt anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize as unit

from lora_agent.cli.heap import start_over_in_huge_pages
from lora_agent.registry import write_loose
from lora_agent.routing import Card
from lora_agent.routing.head import ABSTAIN, HEADS, Head, find_head, find_listener, listener_path, write_head
from lora_agent.routing.prototypes import Prototypes

from ..data.router.intents import clinc, intents
from ..data.rows import SPLITS, Row, read_rows
from ..evaluate.calibrate import auroc, ece, platt, softmax, temperature, threshold, wilson
from ..fit.trainable import load_frozen
from ..recipe import read_recipe
from . import listener, matcher
from .features import extract
from .heard import Hearing
from .matcher import Outside, Seen

TARGET_ACCURACY = 0.89
"""Of the decisions that the router does not abstain from; sets the threshold."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.router", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="the router's rows; not needed with --matcher-only")
    parser.add_argument("--matcher-only", action="store_true", help="keep the head that is there")
    parser.add_argument("--listener", action="store_true", help="learn anew what a second look listens with (20 min)")
    parser.add_argument("--out", type=Path, default=Path("runs/build/router"), help="where features are kept")
    parser.add_argument(
        "--public", type=Path, default=os.environ.get("LORA_AGENT_DATA"), help="default: LORA_AGENT_DATA"
    )
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--dev-rows", type=int, default=800)
    options = parser.parse_args()
    if options.public is None:
        parser.error("no folder of public sets for the matcher's intents: pass --public FOLDER or set LORA_AGENT_DATA")
    if options.data is None and not options.matcher_only:
        parser.error("no rows for the head: pass --data FOLDER, or --matcher-only")
    options.out.mkdir(parents=True, exist_ok=True)
    base = load_frozen(None)
    head = find_head(base.source_sha256) if options.matcher_only else _head(base, options)
    if head is None:
        parser.error("there is no head for this base yet: leave out --matcher-only")
    if options.listener:
        _listener(head, base, options)
    head = _with_matcher(head, base, options.public, options.out)
    path = write_head(head, base.source_sha256)
    (options.out / "report.json").write_text(json.dumps(head.report, indent=1))
    print(json.dumps(head.report, indent=1))
    print(f"wrote {path.relative_to(HEADS.parent.parent.parent)}", file=sys.stderr)
    return 0


def _head(base: Any, options: argparse.Namespace) -> Head:
    train = read_rows(options.data / "train.jsonl.gz")[: options.rows]
    dev = read_rows(options.data / "dev.jsonl.gz")[: options.dev_rows]
    unclear = read_rows(options.data / "abstain.jsonl.gz")[:160]  # even ones are trained on, odd ones test
    names = ("train", "dev", "unclear")
    x = {
        n: _features(base, rows, options.out / f"{n}.pt") for n, rows in zip(names, (train, dev, unclear), strict=True)
    }
    cards = [_card(p) for p in sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))]
    card_rows = [Row({"messages": [{"role": "user", "content": t}]}, {}, "card", "") for c in cards for t in _texts(c)]
    card_x = dict(zip([r.input["messages"][0]["content"] for r in card_rows], extract(base, card_rows), strict=True))
    return fit_head(x, [r.output["adapter"] for r in train], [r.output["adapter"] for r in dev], cards, card_x)


def _with_matcher(head: Head, base: Any, public: Path, out: Path) -> Head:
    """The head with a matcher of cards and requests, and its report beside that of plain features."""
    seen: dict[str, list[Seen]] = {}
    outside = Outside((), torch.empty(0))
    for split in SPLITS:
        found = intents(public, split)
        away = [text for text, _ in clinc(public, "oos_val")] if split == "dev" else []
        texts = [*(intent.card for intent in found), *(u for intent in found for u in intent.utterances), *away]
        rows = [Row({"messages": [{"role": "user", "content": text}]}, {}, "intent", "") for text in texts]
        x = head.standardise(_features(base, rows, out / f"intents_{split}.pt").float())
        cards, utterances = x[: len(found)], x[len(found) : len(x) - len(away)]
        parts = utterances.split([len(intent.utterances) for intent in found])
        seen[split] = [Seen(*parts_of) for parts_of in zip(found, cards, parts, strict=True)]
        outside = Outside(away, x[len(x) - len(away) :])
    weight, bias = matcher.fit(seen["train"])
    heard = Hearing(out / "heard.json", base.source_sha256, find_listener(base.source_sha256))
    made, report = matcher.calibrated(weight, bias, seen["train"], seen["dev"], outside, heard)
    heard.save()
    without = matcher.plain(seen["dev"], outside)
    cards = {**report, "intents": len(seen["train"]), "without_matcher": without}
    return dataclasses.replace(head, matcher=made, report={**head.report, "cards": cards})


def _listener(head: Head, base: Any, options: argparse.Namespace) -> None:
    """Learnt on the training intents, near ones by the map that the head has."""
    if head.matcher is None:
        raise SystemExit("the head has no matcher yet: run without --listener first")
    found = intents(options.public, "train")
    texts = [[intent.card, *intent.utterances[:6]] for intent in found]
    rows = [Row({"messages": [{"role": "user", "content": t}]}, {}, "intent", "") for group in texts for t in group]
    places = unit(head.embed(_features(base, rows, options.out / "intents_train.pt").float()), dim=-1)
    near = listener.neighbours(unit(torch.stack([p.mean(0) for p in places.split([*map(len, texts)])]), dim=-1))
    state = options.out / "listener.pt"
    written = write_loose(listener_path(base.source_sha256), listener.fit(load_frozen(None), found, near, state))
    state.unlink()  # it is for going on after an interruption; the next one is learnt anew
    print(f"wrote {written.path}", file=sys.stderr)


def _features(base: Any, rows: list[Row], path: Path) -> torch.Tensor:
    """Kept on disk under the base's digest and one of each row, so that only new rows are read: extraction takes an
    hour, the fit minutes. Rows that are not asked for stay there: the listener asks for some, the matcher for all."""
    keys = [hashlib.sha256(json.dumps(row.input).encode()).hexdigest() for row in rows]
    known: dict[str, torch.Tensor] = {}
    saved = torch.load(path, weights_only=True) if path.is_file() else {}
    if saved.get("base") == base.source_sha256:
        known = dict(zip(saved["keys"], saved["features"], strict=True))
    new = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
    if new:
        known |= dict(zip(new, extract(base, list(new.values())), strict=True))
        whole = path.with_suffix(".tmp")
        kept = torch.stack(list(known.values()))
        torch.save({"base": base.source_sha256, "keys": list(known), "features": kept}, whole)
        whole.replace(path)
    return torch.stack([known[key] for key in keys])


def _card(path: Path) -> Card:
    recipe = read_recipe(path)
    return Card(recipe.name, recipe.description, recipe.examples)


def _texts(card: Card) -> list[str]:
    return [card.text, *card.examples]


def fit_head(
    x: dict[str, torch.Tensor], train: list[str], dev: list[str], cards: list[Card], card_x: dict[str, torch.Tensor]
) -> Head:
    """Logistic regression on standardised features, calibrated on all of dev; what is reported of either half of dev is
    by a temperature and a threshold from the other."""
    from sklearn.linear_model import LogisticRegression

    x = {**x, "train": torch.cat([x["train"], x["unclear"][::2]]), "unclear": x["unclear"][1::2]}
    train = [*train, *([ABSTAIN] * (len(x["train"]) - len(train)))]
    classes = sorted(set(train))
    mean, scale = x["train"].mean(0), x["train"].std(0).clamp(min=1e-4)
    z = {n: ((v - mean) / scale).numpy() for n, v in x.items()}
    y = np.array([classes.index(n) for n in dev])
    best: tuple[float, Any] | None = None
    for strength in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2):
        model: Any = LogisticRegression(C=strength, max_iter=400).fit(z["train"], train)
        crossed, _ = _crossed(model.decision_function(z["dev"]), y)
        loss = float(-np.log(crossed[np.arange(len(y)), y] + 1e-12).mean())
        print(f"C={strength}: nll {loss:.4f}, accuracy {(crossed.argmax(1) == y).mean():.4f}", file=sys.stderr)
        if best is None or loss < best[0]:
            best = (loss, model)
    if best is None:
        raise ValueError("no model was fitted")
    model = best[1]
    logits = model.decision_function(z["dev"])
    heat, tau = _calibrated(logits, y)
    crossed, accepted = _crossed(logits, y)
    correct = crossed.argmax(1) == y
    abstain = classes.index(ABSTAIN)
    unclear = softmax(model.decision_function(z["unclear"]) / heat)
    doubt = 1 - np.delete(unclear, abstain, 1).max(1)
    refused = (unclear.argmax(1) == abstain) | (unclear.max(1) < tau)
    slope, offset, known = _prototype_fit(z["dev"], dev, cards, {t: ((v - mean) / scale) for t, v in card_x.items()})
    report = {
        "rows": len(train),
        "test_n": len(y),
        "accuracy": round(float(correct.mean()), 4),
        "accuracy_95": [round(v, 4) for v in wilson(int(correct.sum()), len(y))],
        "per_class_recall": {c: round(float(correct[y == i].mean()), 3) for i, c in enumerate(classes) if c != ABSTAIN},
        "ece": round(ece(crossed.max(1), correct), 4),
        "threshold": round(tau, 3),
        "coverage": round(float(accepted.mean()), 4),
        "accuracy_when_covered": round(float(correct[accepted].mean()), 4),
        "unclear_n": len(unclear),
        "unclear_abstained": round(float(refused.mean()), 4),
        "unclear_auroc": round(auroc(doubt, 1 - np.delete(crossed, abstain, 1).max(1)), 4),
        "prototype_accuracy_4_cards": round(known, 4),
    }
    return Head(
        tuple(classes), mean, scale, torch.tensor(model.coef_).float(), torch.tensor(model.intercept_).float(),
        heat, tau, slope, offset, report,
    )  # fmt: skip


def _calibrated(logits: Any, y: Any) -> tuple[float, float]:
    """(temperature, threshold) of logits (n, classes) with the right classes (n,)."""
    heat = temperature(logits, y)
    probabilities = softmax(logits / heat)
    return heat, threshold(probabilities.max(1), probabilities.argmax(1) == y, TARGET_ACCURACY)


def _crossed(logits: Any, y: Any) -> tuple[Any, Any]:
    """Probabilities (n, classes), and which choices are accepted (n,), each half's by what the other half sets."""
    probabilities, accepted = np.empty_like(logits), np.zeros(len(y), dtype=bool)
    even = np.arange(len(y)) % 2 == 0
    for half in (even, ~even):
        heat, tau = _calibrated(logits[~half], y[~half])
        probabilities[half] = softmax(logits[half] / heat)
        accepted[half] = probabilities[half].max(1) >= tau
    return probabilities, accepted


def _prototype_fit(
    dev: Any, labels: list[str], cards: list[Card], card_x: dict[str, torch.Tensor]
) -> tuple[float, float, float]:
    """Scale and offset that turn cosine similarity into log-odds, and the accuracy of prototypes alone."""
    prototypes = Prototypes(lambda text: card_x[text], cards)
    similar = [prototypes.similarities(torch.tensor(row).float()) for row in dev]
    pairs = [(s[c.name], c.name == label) for s, label in zip(similar, labels, strict=True) for c in cards]
    a, b = platt([p[0] for p in pairs], [p[1] for p in pairs])
    routed = [(max(s, key=lambda n: s[n]), label) for s, label in zip(similar, labels, strict=True) if label != "base"]
    accuracy = sum(first == second for first, second in routed) / len(routed)
    return (a, -b / a, accuracy) if a > 0 else (10.0, 0.3, accuracy)


if __name__ == "__main__":
    start_over_in_huge_pages()
    sys.exit(main())
