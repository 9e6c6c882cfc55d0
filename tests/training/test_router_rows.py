"""Rows of the adapter that looks again: the right card is among those shown, and nothing gives it away."""

from __future__ import annotations

from random import Random

import torch
from torch.nn import functional

from training.data.router.intents import Intent
from training.router.rows import CARDS, SHARES, WORLDS, build

PLACES = 12


def test_a_row_shows_its_own_card_and_the_nearest_others() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        Intent(
            source,
            f"{source}_{i}",
            f"Does {i}." if source != "hwu64" else "",
            tuple(f"{source} {i} asks {j}" for j in range(5)),
        )
        for source in SHARES["train"]
        for i in range(8)
    ]
    cards = functional.normalize(torch.randn(len(found), PLACES, generator=generator), dim=-1)
    utterances = cards.repeat_interleave(5, 0) + 0.3 * torch.randn(5 * len(found), PLACES, generator=generator)
    places = torch.cat([cards, functional.normalize(utterances, dim=-1)])
    rows = build(found, places, "train", 80, Random(0))
    assert abs(len(rows) - 80) < len(SHARES["train"])
    styles = set()
    for row in rows:
        shown = {document["id"]: document["text"] for document in row.input["documents"]}
        asked = row.input["messages"][0]["content"]
        assert len(shown) == len(row.input["documents"])
        assert row.output["adapter"] in shown
        assert len(shown) in CARDS
        assert not any(asked in text for text in shown.values())
        assert row.group == f"{row.source}/{row.output['adapter']}"
        styles |= {("Does" in text, '"' in text) for text in shown.values()}
    assert styles == {(True, False), (False, True), (True, True)}
    assert min(WORLDS) > max(CARDS)
    again = build(found, places, "train", 80, Random(0))
    assert rows == again


def _requests(source: str, number: int) -> tuple[str, ...]:
    return tuple(f"{source} {number} asks {turn}" for turn in range(5))
