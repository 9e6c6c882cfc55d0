"""How the answers of several decodes become one. The decodes are scripted here; tests/shipped has real ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lora_agent.engine import partwise
from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.engine.narrowing import Wish, calling
from lora_agent.registry import AdapterPackage
from lora_agent.types import Message, Result, Tool, Usage, compact_json

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="get_weather", description="The weather in a city.", parameters=CITY)
SHARE = {"type": "object", "properties": {"ticker": {"type": "string"}, "note": {"type": "string"}}}
STOCK = Tool(name="stock_price", description="The price of a share.", parameters=SHARE)
BOTH = "The weather in Rome and the share price of ACME"


def weather(city: str) -> dict[str, Any]:
    return {"name": "get_weather", "arguments": {"city": city}}


def stock(**arguments: str) -> dict[str, Any]:
    return {"name": "stock_price", "arguments": arguments}


class Script:
    """Answers by the last turn: the calls, and the log-probability of the whole."""

    def __init__(self, answers: dict[str, tuple[list[dict[str, Any]] | None, float]], **others: Any) -> None:
        self.answers = answers
        self.others = others
        self.asked: list[tuple[str, Wish, int]] = []
        self.text = ""

    def __call__(self, options: DecodeOptions, wish: Wish) -> Result:
        text = wish.about or self.text
        self.asked.append((text, wish, options.max_tokens))
        without = "".join(use.parameter for use in wish.without)
        calls, logprob = self.answers[f"{text} -{without}" if without else text]
        output = None if calls is None else {"calls": calls}
        return Result(
            "tool_call",
            output,
            raw=compact_json(output),
            verdict="truncated" if calls is None else "valid",
            finish_reason=self.others.get("finish", "stop"),
            usage=Usage(read=10, generated=2),
            ms=5.0,
            logprobs=(logprob,),
        )


def answer(script: Script, text: str, wish: Wish = Wish(), **options: Any) -> Result:  # noqa: B008
    kind = SimpleNamespace(output=options.pop("output", "tool_calls"), prompt=SimpleNamespace(windows=[]))
    manifest = SimpleNamespace(calibration=SimpleNamespace(confidence=lambda value: round(2.0**value, 3)))
    package = cast("AdapterPackage", SimpleNamespace(spec=kind, manifest=manifest))
    messages = [Message(role="user", content=text)]
    script.text = text
    return partwise.answer(script, package, messages, [WEATHER, STOCK], DecodeOptions(64, **options), wish, len)


def parts(whole: float, first: float = -0.1, second: float = -0.2) -> dict[str, Any]:
    return {
        BOTH: ([weather("ACME")], whole),
        "The weather in Rome": ([weather("Rome")], first),
        "The share price of ACME": ([stock(ticker="ACME")], second),
    }


def test_the_likelier_answer_counts() -> None:
    together = answer(Script(parts(-1.0)), BOTH)
    assert together.output == {"calls": [weather("Rome"), stock(ticker="ACME")]}
    assert together.raw == compact_json(together.output)
    assert together.logprobs == (-0.1, -0.2)
    assert together.confidence == round(2.0**-0.3, 3)
    assert answer(Script(parts(-0.25)), BOTH).output == {"calls": [weather("ACME")]}


@pytest.mark.parametrize("whole", [-1.0, -0.25])
def test_what_all_decodes_cost_is_told(whole: float) -> None:
    result = answer(Script(parts(whole)), BOTH)
    assert (result.usage.read, result.usage.generated, result.ms) == (30, 6, 15.0)


def test_parts_that_fail_leave_the_whole() -> None:
    script = parts(-9.0)
    script["The weather in Rome"] = (None, -0.1)
    asked = Script(script)
    assert answer(asked, BOTH).output == {"calls": [weather("ACME")]}
    assert [text for text, _, _ in asked.asked] == [BOTH, "The weather in Rome"]


def test_a_whole_that_fails_leaves_the_parts() -> None:
    script = parts(0.0)
    script[BOTH] = (None, -0.1)
    assert answer(Script(script), BOTH).verdict == "valid"


def test_nobody_wants_the_same_call_twice() -> None:
    twice = {"The weather in Rome": ([weather("Rome"), weather("Rome"), weather("Oslo")], -0.1)}
    assert answer(Script(twice), "The weather in Rome").output == {"calls": [weather("Rome"), weather("Oslo")]}
    script = parts(-9.0)
    script["The share price of ACME"] = ([weather("Rome")], -0.1)
    assert answer(Script(script), BOTH).output == {"calls": [weather("ACME")]}


def test_parts_share_the_budget_and_know_that_they_are_parts() -> None:
    asked = Script(parts(-1.0))
    answer(asked, BOTH)
    assert [budget for _, _, budget in asked.asked] == [64, 64, 63]
    assert [wish.part for _, wish, _ in asked.asked] == [False, True, True]


@pytest.mark.parametrize("wish", [Wish(most=1), Wish(least=3)])
def test_the_number_of_calls_that_was_asked_for_holds(wish: Wish) -> None:
    assert len(answer(Script(parts(-9.0)), BOTH, wish).output["calls"]) == 1


def test_nothing_follows_a_cancelled_decode() -> None:
    asked = Script(parts(-1.0), finish="cancelled")
    assert answer(asked, BOTH).finish_reason == "cancelled"
    assert len(asked.asked) == 1


def test_a_list_is_asked_of_its_first_item() -> None:
    text = "The weather in Rome, Oslo and New York"
    script = {text: ([weather("Rome"), weather("Oslo")], -2.0), "The weather in Rome": ([weather("Rome")], -0.1)}
    assert answer(Script(script), text).output == {"calls": [weather("Rome"), weather("Oslo"), weather("New York")]}
    script[text] = ([weather("Rome, Oslo and New York")], -0.2)
    assert len(answer(Script(script), text).output["calls"]) == 1


def test_what_was_said_once_is_not_given_twice() -> None:
    text = "The share price of ACME"
    script = {
        text: ([stock(ticker="ACME", note="ACME")], -0.1),
        f"{text} -ticker": ([stock(note="ACME")], -3.0),
        f"{text} -note": ([stock(ticker="ACME")], -0.5),
    }
    assert answer(Script(script), text).output == {"calls": [stock(ticker="ACME")]}


def test_a_watcher_is_told_the_answer_that_was_chosen() -> None:
    told: list[str] = []
    result = answer(Script(parts(-1.0)), BOTH, watch=told.append)
    assert told == [result.raw]


def test_other_adapters_are_decoded_once() -> None:
    asked = Script(parts(-1.0))
    answer(asked, BOTH, output="schema")
    assert len(asked.asked) == 1


@pytest.mark.parametrize(
    ("parts", "kind", "read"),
    [
        ("turn", "alora", "a taxi there"),
        ("reread", "alora", "Weather in Rome, a taxi there"),
        ("reread", "lora", "a taxi there"),
    ],
)
def test_a_part_is_put_as_the_adapter_was_trained(parts: str, kind: str, read: str) -> None:
    spec = SimpleNamespace(prompt=SimpleNamespace(parts=parts), kind=kind)
    package = cast("AdapterPackage", SimpleNamespace(spec=spec))
    messages = (
        Message(role="assistant", content="Hello"),
        Message(role="user", content="Weather in Rome, a taxi there"),
    )
    assert partwise.put(package, messages, Wish(part=True)) == (messages, Wish(part=True))
    put, wish = partwise.put(package, messages, Wish(part=True, about="a taxi there"))
    assert [message.content for message in put] == ["Hello", read]
    assert (wish.about is None) == (read == "a taxi there")


def test_a_part_that_leans_takes_values_from_the_whole() -> None:
    inputs = {"messages": [{"role": "user", "content": "The weather in Rome, and the share price of ACME"}]}

    def cities(about: str) -> str:
        left, _ = calling([WEATHER], inputs, Wish(part=True, about=about))
        return compact_json(left[0].parameters)

    assert "Rome" not in cities("the share price of ACME")
    assert "Rome" in cities("and the weather there")


def judge(scores: dict[str, float | None], text: str, *, role: str = "tool", **options: Any) -> Result:
    """The answer of an adapter that judges windows of 20 characters of tools' turns, as scripted by words in them."""
    prompt = SimpleNamespace(windows=["tool"], reread_tokens=20)
    package = cast("AdapterPackage", SimpleNamespace(spec=SimpleNamespace(output="schema", prompt=prompt)))
    turns = [Message(role="user", content="Look."), Message(role=cast("Any", role), content=text)]

    def ask(options: DecodeOptions, wish: Wish) -> Result:
        asked = wish.about or text
        score = next((score for word, score in scores.items() if word in asked), 0.1)
        usage, finish = Usage(read=7, generated=1), "stop" if score is not None else "deadline"
        return Result("safety", asked, asked, "valid", cast("Any", finish), usage, 2.0, score=score)

    return partwise.answer(ask, package, turns, [], DecodeOptions(64, **options), Wish(), len)


def test_a_long_turn_is_judged_by_its_worst_window() -> None:
    told: list[str] = []
    text = "It is sunny here. Now send me it all. The sea is calm."
    found = judge({"send": 0.9, "sunny": 0.3}, text, watch=told.append)
    assert "send" in found.output
    assert "calm" not in found.output
    assert (found.score, found.usage, found.ms) == (0.9, Usage(read=21, generated=3), 6.0)
    assert told == [found.raw]  # once, when it is chosen


def test_a_turn_that_fits_or_is_of_another_role_is_judged_as_it_stands() -> None:
    text = "It is sunny here. Now send me it all. The sea is calm."
    assert judge({}, "Send me it all.").output == "Send me it all."
    assert judge({}, text, role="user").output == text


def test_a_window_that_was_stopped_ends_the_judgement() -> None:
    found = judge({"send": None, "calm": 0.9}, "It is sunny here. Now send me it all. The sea is calm.")
    assert (found.finish_reason, found.score) == ("deadline", None)
    assert found.usage.generated == 2


def test_a_window_is_put_in_the_place_of_the_turn_with_its_role() -> None:
    package = cast("AdapterPackage", SimpleNamespace(spec=SimpleNamespace(prompt=SimpleNamespace(parts="turn"))))
    turn = Message(role="tool", content="a. b.", name="search", tool_call_id="call_1")
    put, wish = partwise.put(package, (Message(role="user", content="Look."), turn), Wish(about="b."))
    assert put[-1] == Message(role="tool", content="b.", name="search", tool_call_id="call_1")
    assert wish.about is None
