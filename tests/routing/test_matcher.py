"""The matcher: trained by contrast, kept in the head's file, used wherever cards are compared."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lora_agent.routing.head import Head, find_head, write_head
from lora_agent.routing.matcher import (
    Discriminant,
    Matched,
    MatchedCards,
    Matcher,
    Odds,
    Placed,
    example_odds,
    held_out,
    joined,
)
from lora_agent.routing.ngrams import NgramMeans, ngrams
from lora_agent.routing.prototypes import Card, Prototypes
from training.data.router.intents import SKILLS, Intent, skills
from training.router import matcher
from training.router.matcher import Outside, Seen

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
    dev, other = world(20, 1, "dev"), torch.cat([s.utterances[:4] for s in world(10, 2, "other")])
    outside = Outside([""] * len(other), other)
    weight, bias = matcher.fit(world(120, 0, "train"))
    made, report = matcher.calibrated(weight, bias, world(120, 0, "train"), dev, outside)
    plain = matcher.plain(dev, outside)
    assert report["dev"]["n"] == 120
    assert report["dev"]["accuracy"] > 0.7 > 0.5 > plain["dev"]["accuracy"]
    assert made.cards.scale > 1
    assert report["dev"]["kept"] > 0.85
    assert report["dev"]["outside_auroc"] > 0.7
    again, _ = matcher.fit(world(120, 0, "train"))
    assert torch.equal(weight, again)


def settled(weight: Tensor, background: Tensor, scatter: Tensor) -> Matcher:
    odds = Odds(20.0, 0.4), Odds(15.0, 0.2)
    return Matcher(weight, torch.zeros(len(weight)), *odds, 0.05, 0.9, background, scatter)


def wordless(vectors: Tensor) -> Placed:
    return Placed.of(vectors, [""] * len(vectors))


def crowd(adapters: int, shots: int, seed: int = 0) -> tuple[list[Placed], Placed, Tensor]:
    """Examples of each adapter (shots + 1, of 16 directions), requests and their adapters: the first half of the
    directions tells adapters apart, the second says who wrote."""
    rng = torch.Generator().manual_seed(seed)
    meanings = torch.randn(adapters, 8, generator=rng)

    def texts(meaning: Tensor, n: int) -> Tensor:
        hand = 3 * torch.randn(n, 8, generator=rng)
        return unit(torch.cat([meaning + 0.4 * torch.randn(n, 8, generator=rng), hand], 1))

    groups = [wordless(texts(meaning, shots + 1)) for meaning in meanings]
    asked = wordless(torch.cat([texts(meaning, 6) for meaning in meanings]))
    return groups, asked, torch.arange(adapters).repeat_interleave(6)


def unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


def test_what_differs_among_the_examples_of_one_adapter_tells_nothing() -> None:
    groups, asked, right = crowd(20, 8)
    made = settled(
        torch.eye(16), unit(torch.randn(5, 16, generator=torch.Generator().manual_seed(1))), 0.01 * torch.eye(16)
    )
    means = unit(torch.stack([group.vectors.mean(0) for group in groups]))
    near = ((asked.vectors @ means.T).argmax(1) == right).float().mean()
    apart = (Discriminant(groups, made).similar(asked).argmax(1) == right).float().mean()
    assert apart > near + 0.1


def test_odds_come_from_held_out_examples_where_there_are_many() -> None:
    groups, asked, _ = crowd(20, 8)
    made = settled(torch.eye(16), unit(torch.ones(1, 16)), torch.eye(16))
    _, own = held_out(groups, made)
    assert len(own) == 20 * 8  # never the card
    found = example_odds(groups, made)
    assert found != made.examples
    odds = MatchedCards(joined(g[[0]] for g in groups), [g[range(1, 9)] for g in groups], made).log_odds(asked)
    assert float((odds.amax(1) > 0).float().mean()) > 0.85
    assert example_odds([group[[0]] for group in groups], made) == made.examples
    few = example_odds([group[range(3)] for group in groups[:2]], made)
    assert abs(few.offset - made.examples.offset) < abs(found.offset - made.examples.offset)


def test_adapters_with_and_without_examples_are_compared() -> None:
    groups, asked, _ = crowd(3, 2)
    made = settled(torch.eye(16), unit(torch.ones(1, 16)), torch.eye(16))
    places = {f"{name}: {name}": group.vectors[0] for name, group in zip("abc", groups, strict=True)}
    places |= {"x": groups[0].vectors[1], "y": groups[0].vectors[2], "z": groups[1].vectors[1]}
    cards = [Card("a", "a", ("x", "y")), Card("b", "b", ("z",)), Card("c", "c")]
    known = Matched(places.__getitem__, cards, made)
    for place in asked.vectors:
        odds = known.log_odds(3 * place, "")
        assert odds["c"] == pytest.approx(20.0 * (float(place @ groups[2].vectors[0]) - 0.4), abs=1e-3)
    assert known.log_odds(places["x"], "")["a"] > known.log_odds(places["c: c"], "")["a"]
    assert Matched(places.__getitem__, [], made).log_odds(asked.vectors[0], "") == {}


def test_between_adapters_that_lie_alike_the_letters_decide() -> None:
    made = settled(torch.eye(16), unit(torch.ones(1, 16)), torch.eye(16))
    places: dict[str, Tensor] = defaultdict(lambda: torch.eye(16)[0])
    bare = [Card("invoices", "Pays invoices."), Card("parcels", "Tracks parcels.")]
    shown = [Card("a", "", ("pay this bill", "settle the bills")), Card("b", "", ("where is my parcel",))]
    for cards in (bare, shown):
        known = Matched(places.__getitem__, cards, made)
        first, second = (known.log_odds(torch.eye(16)[0], text) for text in ("pay the invoice bill", "a lost parcel"))
        names = [card.name for card in cards]
        assert max(first, key=lambda n: first[n]) == names[0]
        assert max(second, key=lambda n: second[n]) == names[1]


def test_ngram_means_are_cosines_of_tf_idf() -> None:
    """Equal texts are one, texts without a common n-gram are nought."""
    means = NgramMeans([[ngrams("abc")], [ngrams("xyz"), ngrams("xyz xyz")]])
    found = means.similar([ngrams("ABC"), ngrams("xyz"), ngrams("qqq"), ngrams("")])
    assert found[0].tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert found[1].tolist() == pytest.approx([0.0, 1.0], abs=1e-3)
    assert found[2:].abs().max() == 0
    both = NgramMeans([[ngrams("abc"), ngrams("xyz")], [ngrams("xyz")]]).similar([ngrams("abc")])[0]
    assert 0.6 < float(both[0]) < 0.9
    assert float(both[1]) == 0


def head(made: Matcher | None) -> Head:
    return Head(
        ("base",), torch.zeros(6), torch.ones(6), torch.zeros(1, 6), torch.zeros(1), 1.0, 0.5, 10.0, 0.3, {}, made
    )


def test_it_is_kept_with_the_head(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 6, generator=rng).bfloat16().float()
    made = settled(weight, torch.eye(4)[:2], torch.randn(4, 4, generator=rng))
    write_head(head(made), "ab" * 32, tmp_path)
    again = find_head("ab" * 32, tmp_path)
    assert again is not None
    assert again.matcher is not None
    for name in ("weight", "bias", "background", "scatter"):
        assert torch.equal(getattr(again.matcher, name), getattr(made, name)), name
    for name in ("cards", "examples", "level", "heat"):
        assert getattr(again.matcher, name) == getattr(made, name), name
    assert again.card_threshold == 0.0
    features = torch.randn(6, generator=rng)
    assert torch.equal(again.embed(features), features @ made.weight.T)


def test_a_head_without_one_compares_the_features_themselves(tmp_path: Path) -> None:
    write_head(head(None), "cd" * 32, tmp_path)
    again = find_head("cd" * 32, tmp_path)
    assert again is not None
    assert again.card_threshold == 0.5
    assert torch.equal(again.embed(torch.ones(6)), torch.ones(6))
    known = again.known(lambda _: torch.ones(6), [Card("a", "A")])
    assert known.log_odds(torch.ones(6), "")["a"] == pytest.approx(10.0 * (1 - 0.3))


def test_the_nearest_prototype_of_each_adapter_counts() -> None:
    rng = torch.Generator().manual_seed(0)
    places = {text: torch.randn(8, generator=rng) for text in ("a: A", "b: B", "x", "y")}
    prototypes = Prototypes(places.__getitem__, [Card("a", "A", ("x", "y")), Card("b", "B")])
    asked = torch.randn(8, generator=rng)

    def cosine(v: Tensor) -> float:
        return float(torch.cosine_similarity(v, asked, 0))

    mean = places["x"] / places["x"].norm() + places["y"] / places["y"].norm()
    similar = prototypes.log_odds(asked, "")
    assert similar["a"] == pytest.approx(max(cosine(places["a: A"]), cosine(mean)), abs=1e-6)
    assert similar["b"] == pytest.approx(cosine(places["b: B"]), abs=1e-6)
    assert Prototypes(places.__getitem__, []).log_odds(asked, "") == {}


def test_skills_of_training_and_development_are_apart() -> None:
    import random

    train, dev = ([*skills(SKILLS, split, random.Random(0))] for split in ("train", "dev"))
    assert len(dev) == 30
    assert not {i.name for i in train} & {i.name for i in dev}
    assert not {t for i in train for t in i.utterances} & {t for i in dev for t in i.utterances}
    assert all(len(i.utterances) >= 5 and i.description for i in [*train, *dev])
