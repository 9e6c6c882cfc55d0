"""Requests of several threads: computed together, each with the result that it has alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lora_agent.engine.local import slots as local_slots
from lora_agent.engine.local.admission import Admission
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.native.passes import PIECE_TOKENS
from lora_agent.errors import AdapterInputError, CancelledError, ContextTooLongError, DeadlineError
from lora_agent.types import Usage

from .conftest import KINDS

QUESTIONS = ["What is the weather in Oslo?", "Tell me a joke, please. " * 6, "ticket", "high or low priority?"]
CALLS = [(name, {"messages": [{"role": "user", "content": q}]}) for name in KINDS for q in QUESTIONS]


def run_all(engine: LocalEngine, threads: int) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda call: engine.call(*call), CALLS))


def test_each_request_has_the_result_that_it_has_alone(make_engine: Callable[..., LocalEngine]) -> None:
    alone = run_all(make_engine(), 1)
    together = run_all(make_engine(), 8)
    assert [r.output for r in together] == [r.output for r in alone]
    assert all(r.verdict == "valid" for r in together)


def test_more_adapters_at_once_than_slots(make_engine: Callable[..., LocalEngine]) -> None:
    """A running decode keeps its slot; who finds none waits."""
    alone = run_all(make_engine(), 1)
    engine = make_engine(slots=2)
    assert [r.output for r in run_all(engine, 8)] == [r.output for r in alone]
    assert len(engine.bank.resident) == 2


def test_passes_are_shared(make_engine: Callable[..., LocalEngine], kernels: str) -> None:
    if kernels != "native":
        pytest.skip("only the compiled forward pass reads rows of different requests at once")
    one, many = make_engine(), make_engine()
    run_all(one, 1)
    run_all(many, 8)
    assert many.runner.passes.count < 0.5 * one.runner.passes.count  # type: ignore[attr-defined]


def test_a_long_input_is_read_beside_short_ones(make_engine: Callable[..., LocalEngine], kernels: str) -> None:
    """Whoever decodes while a long context is read goes on in the meantime."""
    engine = make_engine()
    long = "weather in Oslo " * 90
    steps: list[int] = []
    reading = threading.Event()

    def short() -> None:
        session = engine.session("Tell me a joke")
        reading.wait(10)
        session.generate(max_tokens=6, watch=lambda text: steps.append(len(text)))

    thread = threading.Thread(target=short)
    thread.start()
    reading.set()
    session = engine.session(long)
    session.prefill()
    thread.join(30)
    assert session.context_tokens > 3 * PIECE_TOKENS
    assert steps
    assert session.run("alora").raw == make_engine().session(long).run("alora").raw


def test_a_failed_pass_is_raised_where_it_belongs_and_the_engine_goes_on(
    make_engine: Callable[..., LocalEngine], kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels != "native":
        pytest.skip("of the compiled forward pass")
    engine = make_engine()
    expected = engine.call(*CALLS[0]).output
    engine.prefixes.clear()
    real = engine.runner.model.forward  # type: ignore[attr-defined]

    def broken(*args: Any, **options: Any) -> Any:
        raise MemoryError("no memory to read 5 tokens at once")

    monkeypatch.setattr(engine.runner.model, "forward", broken)  # type: ignore[attr-defined]
    with pytest.raises(MemoryError, match="5 tokens"):
        engine.call(*CALLS[0])
    monkeypatch.setattr(engine.runner.model, "forward", real)  # type: ignore[attr-defined]
    assert engine.call(*CALLS[0]).output == expected


def test_what_requests_share_is_read_once_though_they_come_together(make_engine: Callable[..., LocalEngine]) -> None:
    engine = make_engine()
    long = "The weather of every city is told by the station. " * 6
    talks = [
        [{"role": "system", "content": long}, {"role": "user", "content": f"Is it warm in {n}?"}] for n in range(6)
    ]
    start = threading.Barrier(len(talks))

    def read(talk: list[dict[str, str]]) -> Usage:
        session = engine.session(talk)
        start.wait()
        return session.prefill()

    with ThreadPoolExecutor(len(talks)) as pool:
        used = list(pool.map(read, talks))
    contexts = [use.read + use.reused for use in used]
    own = max(contexts) - min(use.reused for use in used if use.reused)
    assert sorted(use.reused > 0 for use in used) == [False] + [True] * (len(talks) - 1)
    assert sum(use.read for use in used) <= max(contexts) + own * (len(talks) - 1)
    assert own < max(contexts) / 2


def test_a_batch_reads_a_context_once_though_its_last_turn_was_nearly_seen_before(
    make_engine: Callable[..., LocalEngine], kernels: str
) -> None:
    if kernels != "native":
        pytest.skip("rows of a batch through transformers read their contexts side by side")
    engine = make_engine()
    asked = "What is the weather in Oslo, and when may I return a ticket that I bought in number {}?"
    engine.session(asked.format(1)).prefill()
    talk = {"messages": [{"role": "user", "content": asked.format(2)}]}
    results = engine.call_batch([("alora", talk), ("alora2", talk), ("alora", talk)])
    context = engine.session(asked.format(2)).context_tokens
    assert sorted(result.usage.reused == context for result in results) == [False, True, True]


def test_a_faulty_call_in_a_batch_is_raised_before_anything_is_read(engine: LocalEngine) -> None:
    engine.prefixes.clear()
    with pytest.raises(AdapterInputError):
        engine.call_batch([*CALLS, ("alora", {"messages": []})])
    assert engine.prefixes.tokens == 0


def test_who_waits_goes_on_when_the_reader_fails(make_engine: Callable[..., LocalEngine]) -> None:
    engine = make_engine()
    ids = tuple(range(5, 105))
    inside = threading.Event()

    def fail() -> None:
        with engine.prefixes.reading(None, ids, 99):
            inside.set()
            time.sleep(0.2)
            raise ValueError("the reader fails")

    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(fail)
        inside.wait(10)
        with engine.prefixes.reading(None, ids, 99), pytest.raises(ValueError, match="the reader fails"):
            failing.result(10)


def test_who_uses_a_resident_adapter_does_not_wait_for_one_that_is_being_loaded(
    make_engine: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    (resident, request), *_ = CALLS
    expected = engine.call(resident, request).output
    other = next(name for name in KINDS if name != resident)
    begun, go_on = threading.Event(), threading.Event()
    read = local_slots.read_tensors

    def slow(*args: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return read(*args)

    monkeypatch.setattr(local_slots, "read_tensors", slow)
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(engine.call, other, request) for _ in range(2))
        assert begun.wait(10)
        assert engine.call(resident, request).output == expected
        assert not first.done()
        assert not second.done()
        go_on.set()
        assert first.result(30).output == second.result(30).output


def test_requests_wait_for_memory_in_the_order_in_which_they_came(
    make_engine: Callable[..., LocalEngine], kernels: str
) -> None:
    if kernels != "native":
        pytest.skip("transformers keeps keys and values without a bound")
    alone = run_all(make_engine(), 1)
    engine = make_engine()
    most = max(len(engine.session(call[1]["messages"])._ids) for call in CALLS) + 400
    engine.admission.tokens = most
    at_work: list[int] = []
    enter = engine.admission._enter

    def watched(*args: Any) -> None:
        enter(*args)
        at_work.append(engine.admission.used)

    engine.admission._enter = watched  # type: ignore[method-assign]
    assert [r.output for r in run_all(engine, 8)] == [r.output for r in alone]
    assert max(at_work) <= most
    assert engine.admission.used == engine.admission.waiting == 0


def test_a_batch_that_does_not_fit_is_done_in_parts(make_engine: Callable[..., LocalEngine], kernels: str) -> None:
    if kernels != "native":
        pytest.skip("transformers keeps keys and values without a bound")
    engine = make_engine()
    whole = engine.call_batch(CALLS)
    engine.admission.tokens = 1200
    assert [r.output for r in engine.call_batch(CALLS)] == [r.output for r in whole]
    assert engine.admission.used == 0


def test_a_long_request_is_not_overtaken_for_ever() -> None:
    admission = Admission(100)
    order: list[str] = []
    begun, end = threading.Event(), threading.Event()

    def work(name: str, tokens: int) -> None:
        with admission.admitted(tokens):
            order.append(name)
            begun.set()
            end.wait(10)

    with ThreadPoolExecutor(3) as pool:
        for number, (name, tokens) in enumerate((("first", 60), ("long", 90), ("short", 30))):
            pool.submit(work, name, tokens)
            assert begun.wait(10)
            while admission.waiting < number:
                time.sleep(0.001)
        assert order == ["first"]  # the short one would fit, but the long one came before it
        end.set()
    assert order == ["first", "long", "short"]
    assert admission.used == 0


def test_who_waits_for_memory_heeds_its_deadline_and_its_cancelling() -> None:
    admission = Admission(100)
    with admission.admitted(80):
        with pytest.raises(DeadlineError, match="80 of 100"), admission.admitted(40, deadline=time.monotonic() + 0.1):
            pass
        with pytest.raises(CancelledError), admission.admitted(40, cancel=lambda: True):
            pass
        with admission.admitted(20):
            pass
    with pytest.raises(ContextTooLongError, match="101 tokens"), admission.admitted(101):
        pass
    assert admission.used == admission.waiting == 0


def test_a_cancelled_request_gives_its_memory_back_at_once(
    make_engine: Callable[..., LocalEngine], kernels: str
) -> None:
    if kernels != "native":
        pytest.skip("transformers keeps keys and values without a bound")
    engine = make_engine()
    pieces = engine.session("Tell me a joke").stream()
    next(pieces)
    assert engine.admission.used > 0
    pieces.close()
    assert engine.admission.used == 0
    stopped = engine.session("Tell me a joke").generate(max_tokens=50, cancel=lambda: True)
    assert stopped.finish_reason == "cancelled"
    assert engine.admission.used == 0
