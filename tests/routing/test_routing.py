"""The router on the tiny base: legality, probabilities, abstention, prototypes, the decoded choice."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lora_agent.engine.local.base import load_base
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import ConfigError, UnknownAdapterError
from lora_agent.registry import Registry
from lora_agent.routing import Card, CardRouter, HiddenStateRouter, read_cards
from lora_agent.routing.head import Head, find_head, write_head
from lora_agent.routing.router import featurise

CARDS = [
    Card("weather", "Weather of a city.", ("What is the weather in Oslo?",)),
    Card("joke", "Jokes.", ("Tell me a joke, please.",)),
]


@pytest.fixture(scope="module")
def engine(base_dir: Path) -> LocalEngine:
    base = load_base(base_dir, quantization="none", device="cpu", dtype=torch.float32)
    return LocalEngine(base, Registry.discover([], search=False))


@pytest.fixture(scope="module")
def head(engine: LocalEngine) -> Head:
    """Trained here on four sentences: enough for a tiny base to tell them apart."""
    texts = {
        "weather": "What is the weather in Oslo?",
        "base": "Hello!",
        "abstain": "zzz",
        "joke": "Tell me a joke, please.",
    }
    rows = torch.stack([engine.session(text).features for text in texts.values()])
    mean, scale = rows.mean(0), rows.std(0).clamp(min=1e-3)
    weight = (rows - mean) / scale
    weight = weight / weight.norm(dim=1, keepdim=True) ** 2 * 8
    return Head(tuple(texts), mean, scale, weight, torch.zeros(4), 1.0, 0.5, 10.0, 0.3, {})


def router(engine: LocalEngine, head: Head, cards: list[Card], *, decode: bool = False) -> HiddenStateRouter:
    return HiddenStateRouter(head, lambda: cards, lambda text: featurise(engine, head, text), decode=decode)


def test_it_chooses_among_what_is_legal(engine: LocalEngine, head: Head) -> None:
    session = engine.session("What is the weather in Oslo?")
    free = router(engine, head, CARDS).route(session)
    assert (free.adapter, free.abstained, free.method) == ("weather", False, "head")
    assert math.isclose(sum(free.probabilities.values()), 1, abs_tol=1e-9)
    assert "weather" not in router(engine, head, CARDS).route(session, ["joke"]).probabilities
    assert router(engine, head, CARDS).route(session, []).adapter == "base"
    with pytest.raises(UnknownAdapterError, match="wether"):
        router(engine, head, CARDS).route(session, ["wether"])


def test_it_abstains(engine: LocalEngine, head: Head) -> None:
    noise = router(engine, head, CARDS).route(engine.session("zzz"))
    assert noise.abstained
    assert noise.adapter == "base"


def test_an_adapter_that_the_head_does_not_know_is_found_by_its_card(engine: LocalEngine, head: Head) -> None:
    cards = [*CARDS, Card("rewrite", "Rewrites.", ("And how much is the second one?",))]
    route = router(engine, head, cards).route(engine.session("And how much is the second one?"))
    assert route.adapter == "rewrite"
    assert route.method == "prototype"


def test_routing_costs_no_reading(engine: LocalEngine, head: Head) -> None:
    session = engine.session("Tell me a joke, please.")
    session.prefill()
    before = session.cached_tokens
    router(engine, head, CARDS).route(session)
    assert session.cached_tokens == before
    assert session.prefill().read == 0


def test_the_decoded_choice_is_a_distribution_and_leaves_the_cache(engine: LocalEngine, head: Head) -> None:
    session = engine.session("What is the weather in Oslo?")
    session.prefill()
    before = session.cached_tokens
    chosen = session.choose("Which one?", ["weather", "joke", "base"])
    assert list(chosen) == ["weather", "joke", "base"]
    assert math.isclose(sum(chosen.values()), 1, abs_tol=1e-6)
    assert session.cached_tokens == before
    unsure = Head(**{**vars(head), "threshold": 0.9999})
    route = router(engine, unsure, CARDS, decode=True).route(session)
    assert route.method == "decode"
    assert math.isclose(sum(route.probabilities.values()), 1, abs_tol=1e-6)


def test_cards_alone(engine: LocalEngine) -> None:
    cards = read_cards([{"name": c.name, "description": c.description, "examples": list(c.examples)} for c in CARDS])
    route = CardRouter(engine, cards).route([{"role": "user", "content": "Tell me a joke, please."}])
    assert max(("weather", "joke"), key=lambda n: route.probabilities[n]) == "joke"
    for bad in ("x", [], [{"name": "a"}], [{"name": "a", "description": "b"}] * 2):
        with pytest.raises(ConfigError):
            read_cards(bad)


def test_a_head_is_stored_by_the_digest_of_its_base(head: Head, tmp_path: Path) -> None:
    write_head(head, "ab" * 32, tmp_path)
    again = find_head("ab" * 32, tmp_path)
    assert again is not None
    assert again.classes == head.classes
    assert torch.equal(again.weight, head.weight)
    assert find_head("cd" * 32, tmp_path) is None
