"""The matcher: trained by contrast, kept in the head's file, used wherever cards are compared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lora_agent.routing.head import Head, Matcher, find_head, write_head
from lora_agent.routing.prototypes import Card, Prototypes
from training.data.router.intents import SKILLS, Intent, skills
from training.router import matcher
from training.router.matcher import Seen

WIDTH, NOISE = 12, 60


def world(count: int, seed: int, source: str) -> list[Seen]:
    """Intents whose requests share a few directions with their card, among many that differ more and say nothing."""
    rng = torch.Generator().manual_seed(seed)

    def texts(meaning: Tensor, n: int) -> Tensor:
        noise = 6 * torch.randn(n, NOISE, generator=rng)
        return torch.cat([meaning + 0.3 * torch.randn(n, WIDTH, generator=rng), noise], 1)

    made = []
    for index in range(count):
        meaning = torch.randn(WIDTH, generator=rng)
        utterances = tuple(f"{source} {index} {n}" for n in range(12))
        intent = Intent(source, f"intent_{index}", "What it is for.", utterances)
        made.append(Seen(intent, texts(meaning, 1)[0], texts(meaning, 12)))
    return made


def test_adapters_that_it_never_saw_are_found_where_plain_features_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STEPS": 300, "INTENTS": 40, "WIDTH": 16, "RATE": 1e-2, "DROPOUT": 0.1}.items():
        monkeypatch.setattr(matcher, name, value)
    dev, outside = world(20, 1, "dev"), torch.cat([s.utterances[:4] for s in world(10, 2, "other")])
    weight, bias = matcher.fit(world(120, 0, "train"))
    made, report = matcher.calibrated(weight, bias, dev, outside)
    _, plain = matcher.calibrated(weight, bias, dev, outside, embed=lambda x: x)
    assert report["dev"]["n"] == 120
    assert report["dev"]["accuracy"] > 0.7 > 0.5 > plain["dev"]["accuracy"]
    assert made.scale > 1
    assert report["dev"]["kept"] > 0.85
    assert report["dev"]["outside_auroc"] > 0.7
    again, _ = matcher.fit(world(120, 0, "train"))
    assert torch.equal(weight, again)


def head(made: Matcher | None) -> Head:
    return Head(
        ("base",), torch.zeros(6), torch.ones(6), torch.zeros(1, 6), torch.zeros(1), 1.0, 0.5, 10.0, 0.3, {}, made
    )


def test_it_is_kept_with_the_head(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    made = Matcher(torch.randn(4, 6, generator=rng).bfloat16().float(), torch.zeros(4), 20.0, 0.4, 0.7)
    write_head(head(made), "ab" * 32, tmp_path)
    again = find_head("ab" * 32, tmp_path)
    assert again is not None
    assert again.matcher is not None
    assert torch.equal(again.matcher.weight, made.weight)
    assert again.card_odds == (20.0, (0.4, 0.7), 0.0)
    features = torch.randn(6, generator=rng)
    assert torch.equal(again.embed(features), features @ made.weight.T)


def test_a_head_without_one_compares_the_features_themselves(tmp_path: Path) -> None:
    write_head(head(None), "cd" * 32, tmp_path)
    again = find_head("cd" * 32, tmp_path)
    assert again is not None
    assert again.card_odds == (10.0, (0.3, 0.3), 0.5)
    assert torch.equal(again.embed(torch.ones(6)), torch.ones(6))


def test_the_nearest_prototype_of_each_adapter_counts() -> None:
    rng = torch.Generator().manual_seed(0)
    places = {text: torch.randn(8, generator=rng) for text in ("a: A", "b: B", "x", "y")}
    prototypes = Prototypes(places.__getitem__, [Card("a", "A", ("x", "y")), Card("b", "B")])
    asked = torch.randn(8, generator=rng)

    def cosine(v: Tensor) -> float:
        return float(torch.cosine_similarity(v, asked, 0))

    mean = places["x"] / places["x"].norm() + places["y"] / places["y"].norm()
    similar = prototypes.similarities(asked)
    assert similar["a"] == pytest.approx(max(cosine(places["a: A"]), cosine(mean)), abs=1e-6)
    assert similar["b"] == pytest.approx(cosine(places["b: B"]), abs=1e-6)
    over = prototypes.similarities(asked, (0.5, 0.1))
    assert over["a"] == pytest.approx(max(cosine(places["a: A"]) - 0.5, cosine(mean) - 0.1), abs=1e-6)
    assert Prototypes(places.__getitem__, []).similarities(asked) == {}


def test_skills_of_training_and_development_are_apart() -> None:
    import random

    train, dev = ([*skills(SKILLS, split, random.Random(0))] for split in ("train", "dev"))
    assert len(dev) == 30
    assert not {i.name for i in train} & {i.name for i in dev}
    assert not {t for i in train for t in i.utterances} & {t for i in dev for t in i.utterances}
    assert all(len(i.utterances) == 5 and i.description for i in [*train, *dev])
