"""Our serving layer against PEFT, cached against uncached, batched against alone: all in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lora_agent.engine.local.engine import LocalEngine

from .conftest import KINDS, load_tiny, peft_model

TALK = [{"role": "user", "content": "What is the weather in Oslo? My product is broken."}]


def suffix_ids(engine: LocalEngine, name: str) -> list[int]:
    return engine.base.renderer.tokens(
        engine.base.renderer.header(name) + "more text<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("name", sorted(KINDS))
def test_logits_equal_peft(engine: LocalEngine, base_dir: Path, name: str) -> None:
    peft = peft_model(base_dir, load_tiny(base_dir), name)
    context = engine.base.renderer.context(engine.session(TALK).messages)
    tail = suffix_ids(engine, name)
    with torch.no_grad():
        expected = peft(input_ids=torch.tensor([context + tail])).logits[0, -1]
    slot = engine.resident(engine.package(name))
    cache = engine.runner.new_cache()
    engine.runner.read(context, cache, slot if engine.package(name).spec.kind == "lora" else 0)
    logits = engine.runner.read(tail, cache, slot)
    assert (logits - expected).abs().max() < 1e-5
    with torch.no_grad(), peft.disable_adapter():
        plain = peft(input_ids=torch.tensor([context + tail])).logits[0, -1]
    assert (logits - plain).abs().max() > 1e-2  # the adapter did act


def test_base_is_untouched_after_an_adapter_ran(engine: LocalEngine, make_engine: Callable[..., LocalEngine]) -> None:
    fresh = make_engine().session(TALK).generate(max_tokens=20)
    session = engine.session(TALK)
    session.prefill()
    before = session.cached_tokens
    for name in KINDS:
        session.run(name)
    assert session.cached_tokens == before == session.context_tokens
    again = session.generate(max_tokens=20)
    assert again.raw == fresh.raw
    assert torch.allclose(torch.tensor(again.logprobs), torch.tensor(fresh.logprobs), atol=1e-5)


def test_each_adapter_gives_the_same_in_any_order(engine: LocalEngine, make_engine: Callable[..., LocalEngine]) -> None:
    alone = {name: make_engine().session(TALK).run(name).raw for name in KINDS}
    session = engine.session(TALK)
    for name in [*KINDS, *reversed(KINDS)]:
        assert session.run(name).raw == alone[name]
    assert len(set(alone.values())) > 1


def test_a_mixed_batch_equals_each_alone(engine: LocalEngine) -> None:
    questions = ["What is the weather in Oslo?", "Tell me a joke, please. " * 6, "ticket", "high or low priority?"]
    calls = [(n, {"messages": [{"role": "user", "content": q}]}) for n in KINDS for q in questions]
    together = engine.call_batch(calls)
    for (name, inputs), result in zip(calls, together, strict=True):
        single = engine.call(name, inputs)
        assert result.output == single.output
        assert result.verdict == single.verdict == "valid"
        assert torch.allclose(torch.tensor(result.logprobs), torch.tensor(single.logprobs), atol=1e-4)


def test_cached_prefixes_change_nothing(make_engine: Callable[..., LocalEngine]) -> None:
    engine = make_engine()
    talk = [*TALK, {"role": "assistant", "content": "It rains."}, {"role": "user", "content": "And in Lagos?"}]
    cold = {name: engine.call(name, {"messages": talk}).logprobs for name in KINDS}
    for name in KINDS:
        warm = engine.call(name, {"messages": talk})
        assert warm.usage.reused > 0
        assert torch.allclose(torch.tensor(warm.logprobs), torch.tensor(cold[name]), atol=1e-5)


def test_extending_a_session_equals_a_new_one(engine: LocalEngine, make_engine: Callable[..., LocalEngine]) -> None:
    session = engine.session(TALK)
    session.prefill()
    more = [{"role": "assistant", "content": "It rains."}, {"role": "user", "content": "And in Lagos?"}]
    session.extend(more)  # type: ignore[arg-type]
    usage = session.prefill()
    fresh = make_engine().session([*TALK, *more])
    assert usage.reused > 0
    assert session.run("alora").raw == fresh.run("alora").raw
    assert torch.allclose(session.features, fresh.features, atol=1e-5)


def test_features_do_not_depend_on_the_prefix_cache(make_engine: Callable[..., LocalEngine]) -> None:
    engine = make_engine()
    talk = [{"role": "system", "content": "Be brief and kind."}, *TALK]
    first = engine.session(talk).features
    engine.session([talk[0], {"role": "user", "content": "Tell me a joke"}]).prefill()
    assert torch.allclose(engine.session(talk).features, first)
    engine.prefixes.clear()
    engine.session([talk[0], {"role": "user", "content": "Tell me a joke"}]).prefill()
    partly = engine.session(talk)
    assert partly.prefill().reused > 0
    assert torch.allclose(partly.features, first, atol=1e-5)


def test_paging_when_the_slots_are_few(make_engine: Callable[..., LocalEngine]) -> None:
    many, two = make_engine(), make_engine(slots=2)
    for _ in range(2):
        for name in KINDS:
            assert two.session(TALK).run(name).raw == many.session(TALK).run(name).raw
    assert len(two.bank.resident) == 2
