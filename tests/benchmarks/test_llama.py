"""llama.cpp with converted adapters against our engine: it must do the same work for its times to mean anything."""

from __future__ import annotations

import importlib.util
from contextlib import closing

import pytest

from benchmarks.engine import cases
from benchmarks.engine.llama import LlamaCpp
from benchmarks.engine.ours import Ours
from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed: make bench-peers"
)
def test_it_makes_the_calls_that_our_engine_makes() -> None:
    """Nearly: Q4_1 there, NF4 here, so a near tie may fall otherwise (seen: 7 of 8 alike)."""
    engine = Engine.load()
    assert isinstance(engine, LocalEngine)
    ours = Ours(engine)
    calls = [cases.tool_call(engine, cases.request(city)) for city in cases.CITIES]
    with closing(LlamaCpp(engine, 2)) as peer:
        theirs = [peer.call(call) for call in calls]
        assert peer.first_token(calls[0], calls[1]) > 0
    assert sum(ours.call(call) == text for call, text in zip(calls, theirs, strict=True)) >= 6
