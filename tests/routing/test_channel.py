"""The second look: asked for only where the first is not sure, and only about the likeliest adapters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lora_agent.engine.local.base import load_base
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.registry import Registry
from lora_agent.routing import Card, CardRouter
from lora_agent.routing.channel import ANYTHING, LIKELIEST, WITHIN, Heard, gains, is_sure
from lora_agent.routing.head import find_head, write_head
from lora_agent.routing.matcher import Matched, MatchedCards, Matcher, Odds, Placed
from lora_agent.routing.untrained import untrained_head
from training.router import second_look

CARDS = [Card(f"c{i}", f"Number {i}.") for i in range(7)]


def matcher(width: int = 8) -> Matcher:
    odds = Odds(10.0, 0.2)
    made = Matcher(torch.eye(width), torch.zeros(width), odds, odds, 0.05, 1.0, torch.eye(width)[:1], torch.eye(width))
    return replace(made, heard_cards=Heard(1.0, 1.0, 0.5), heard_examples=Heard(0.5, 1.0, 0.0))


class Told:
    """Counts what it is asked; finds what was said likelier under the cards in `liked`."""

    def __init__(self, *liked: str) -> None:
        self.liked, self.asked = liked, [""][:0]

    def __call__(self, told: Sequence[str], text: str) -> list[float]:
        self.asked += told
        return [-10.0 + 4 * any(name in one for name in self.liked) for one in told]


def test_only_who_is_not_sure_looks_again() -> None:
    places = {card.text: torch.eye(8)[i] for i, card in enumerate(CARDS)}
    told = Told("Number 1.")
    known = Matched(places.__getitem__, CARDS, matcher(), told)
    clear = known.log_odds(torch.eye(8)[0], "clear")
    assert told.asked == []
    assert max(clear, key=lambda n: clear[n]) == "c0"
    between = torch.eye(8)[0] + 0.95 * torch.eye(8)[1] + 0.5 * torch.eye(8)[2:6].sum(0)
    first = Matched(places.__getitem__, CARDS, matcher()).log_odds(between, "unclear")
    again = known.log_odds(between, "unclear")
    assert (max(first, key=lambda n: first[n]), max(again, key=lambda n: again[n])) == ("c0", "c1")
    assert told.asked[0] == ANYTHING.told
    assert len(told.asked) == 1 + LIKELIEST
    assert "C6: Number 6." not in told.asked
    assert again["c0"] == pytest.approx(first["c0"] - 0.5, abs=1e-5)
    assert again["c1"] == pytest.approx(first["c1"] + 4 - 0.5, abs=1e-5)
    assert again["c6"] == pytest.approx(first["c6"] - 0.5, abs=1e-5)


def test_cards_and_examples_count_by_their_own_factors() -> None:
    made = matcher()
    placed = Placed.of(torch.eye(8)[:2], ["a", "b"])
    cards = MatchedCards(placed, [placed[[]], placed[[1]]], made)
    before, told = torch.tensor([1.0, 2.0]), Told("Number 1.")  # gains of 0 and 4
    again = cards.look_again(before, CARDS[:2], "x", told, made)
    assert again.tolist() == pytest.approx([1 + 0 - 0.5, 0.5 * 2 + 4])
    silent = replace(made, heard_examples=None)
    assert cards.look_again(before, CARDS[:2], "x", told, silent).tolist() == pytest.approx([0.5, 2.0])


def test_who_was_not_looked_at_gains_no_more_than_the_least() -> None:
    before = torch.tensor([0.5, 0.4, 0.3, 0.2, 0.1, 0.0, -math.inf])
    found = gains(before, CARDS, "x", Told("Number 0.", "Number 6."))
    assert found.tolist() == pytest.approx([4, 0, 0, 0, 0, 0, 0])
    assert gains(before[:1], CARDS[:1], "x", Told("Number 0.")).tolist() == pytest.approx([4])
    many, told = [Card(f"m{i}", "Like the others.") for i in range(LIKELIEST + 3)], Told()
    gains(torch.zeros(len(many)), many, "x", told)
    assert len(told.asked) == 1 + LIKELIEST
    told = Told()
    gains(torch.tensor([WITHIN + 0.1, 0.2, 0.0, -1.0]), CARDS[:4], "x", told)
    assert told.asked == [ANYTHING.told, CARDS[0].told, CARDS[1].told]  # those that are not far behind
    assert is_sure(torch.tensor([4.0, -1.0]))
    assert not is_sure(torch.tensor([4.0, 3.0]))
    assert is_sure(torch.tensor([-4.0, -5.0]))  # that it is for none of them


def test_factors_are_found_from_requests() -> None:
    """Where only the gains tell which adapter is right, they get the weight; the share that is to be kept is kept."""
    rng = torch.Generator().manual_seed(0)
    right = torch.randint(0, 6, (400,), generator=rng)
    before = torch.randn(400, 6, generator=rng)
    gained = 2 * torch.nn.functional.one_hot(right, 6) + torch.randn(400, 6, generator=rng)
    found = second_look.fit([(before, gained, right)], 0.95)
    assert abs(found.scale) < 0.3
    assert found.weight > 1
    assert float((found.log_odds(before, gained).amax(1) > 0).float().mean()) == pytest.approx(0.95, abs=0.01)


def test_it_is_kept_with_the_head_and_asks_the_base(base_dir: Path, tmp_path: Path) -> None:
    engine = LocalEngine(
        load_base(base_dir, quantization="none", device="cpu", dtype=torch.float32), Registry.discover([], search=False)
    )
    head = untrained_head(engine)
    width = len(head.mean)
    made = matcher(width)
    write_head(replace(head, matcher=made), "ab" * 32, tmp_path)
    again = find_head("ab" * 32, tmp_path)
    assert again is not None
    assert again.matcher is not None
    assert (again.matcher.heard_cards, again.matcher.heard_examples) == (made.heard_cards, made.heard_examples)
    write_head(replace(head, matcher=replace(made, heard_cards=None, heard_examples=None)), "cd" * 32, tmp_path)
    silent = find_head("cd" * 32, tmp_path)
    assert silent is not None
    assert silent.matcher is not None
    assert not silent.matcher.looks_again

    cards = [Card("weather", "Weather of a city."), Card("joke", "Jokes."), Card("mail", "Reads mail.")]
    found = []
    for one in (again, silent):
        engine.router.head = one  # type: ignore[attr-defined]
        found.append(CardRouter(engine, cards).route("What is the weather in Oslo?").probabilities)
        if one is again:
            plain = CardRouter(engine, cards, look_again=False).route("What is the weather in Oslo?").probabilities
    assert found[0] != found[1]
    assert plain == found[1]
    for probabilities in found:
        assert math.isclose(sum(probabilities.values()), 1, abs_tol=1e-9)
