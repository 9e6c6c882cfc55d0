"""Whatever is sampled under the mask is valid: random walks over many schemas with a real tokenizer."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_agent.structured import Constraint, Grammar, Vocabulary, compile_schema
from tests.structured.schemas import WALKED

MAX_TOKENS = 6000


def walk(grammar: Grammar, seed: int, *, use_forced: bool, hurry: bool = False) -> str:
    """Sample uniformly under the mask; every choice is checked against the other views of the constraint."""
    chance = random.Random(seed)
    constraint = grammar.start()
    stop = grammar.vocabulary.stop_token_id
    while not constraint.stopped:
        assert len(constraint.tokens) < MAX_TOKENS, "the grammar has no end"
        forced = constraint.forced()
        allowed = constraint.allowed()
        assert len(allowed) == constraint.allowed_count() > 0
        if forced:
            assert allowed == forced[:1]
            if use_forced:
                for token in forced:
                    constraint.advance(token)
                continue
        token = stop if stop in allowed and chance.random() < 0.3 else chance.choice(allowed)
        constraint.advance(token)
    return grammar.vocabulary.decode(list(constraint.tokens[:-1]))


@pytest.mark.parametrize("name", WALKED)
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_a_random_walk_ends_in_valid_text(name: str, vocabulary: Vocabulary, seed: int) -> None:
    grammar = compile_schema(WALKED[name], vocabulary, budget_tokens=64)
    assert grammar.tier == "strict"
    assert not grammar.checked
    for use_forced in (False, True):
        text = walk(grammar, seed, use_forced=use_forced)
        verdict = grammar.validate(text)
        assert verdict.valid, (text, verdict.errors)


def greedy(constraint: Constraint, logits: torch.Tensor, use_forced: bool) -> list[int]:
    """Greedy decoding with logits that depend on the position only."""
    while not constraint.stopped:
        forced = constraint.forced() if use_forced else []
        if forced:
            for token in forced:
                constraint.advance(token)
            continue
        row = logits[len(constraint.tokens) % len(logits)].clone()
        constraint.advance(int(constraint.apply(row).argmax()))
    return list(constraint.tokens)


@pytest.mark.parametrize("name", ["scalars", "optional", "tagged", "formats", "allOf"])
def test_forced_tokens_do_not_change_what_greedy_decoding_writes(name: str, vocabulary: Vocabulary) -> None:
    grammar = compile_schema(WALKED[name], vocabulary, budget_tokens=64)
    logits = torch.randn(97, vocabulary.size, generator=torch.Generator().manual_seed(7))
    assert greedy(grammar.start(), logits, True) == greedy(grammar.start(), logits, False)
