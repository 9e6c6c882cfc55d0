"""`/v1/chat/completions` as the OpenAI client sees it: answers, streams, tools, strict JSON, refusals."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel, Field

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.server.written import calls_so_far

TALK: Any = [{"role": "user", "content": "What is the weather in Oslo?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"enum": ["Oslo", "Lagos"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


class Ticket(BaseModel):
    product: str = Field(max_length=12)
    priority: int = Field(ge=0, le=3)


def test_the_base_answers_and_counts_its_tokens(client: openai.OpenAI) -> None:
    asked: Any = {"model": "base", "messages": TALK, "max_completion_tokens": 8}
    answer = client.chat.completions.create(**asked)
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 8
    assert answer.choices[0].finish_reason in ("length", "stop")
    again = client.chat.completions.create(**asked)
    assert again.choices[0].message.content == answer.choices[0].message.content
    assert again.usage is not None
    assert again.usage.prompt_tokens == answer.usage.prompt_tokens
    assert again.usage.prompt_tokens_details is not None
    assert again.usage.prompt_tokens_details.cached_tokens


def test_a_stream_adds_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    asked: Any = {"model": "base", "messages": TALK, "max_completion_tokens": 24}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 4
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_adapter_answers_in_its_own_json(client: openai.OpenAI, engine: LocalEngine) -> None:
    package = engine.adapters["alora"]
    direct = engine.call("alora", {"messages": TALK})
    for model in ("alora", f"alora@{package.digest[:12]}"):
        answer = client.chat.completions.create(model=model, messages=TALK)
        assert json.loads(answer.choices[0].message.content or "") == direct.output
        assert answer.model == f"alora@{package.digest[:12]}"
    chunks = client.chat.completions.create(model="alora", messages=TALK, stream=True)
    assert json.loads("".join(c.choices[0].delta.content or "" for c in chunks)) == direct.output


def test_the_router_chooses_for_auto(client: openai.OpenAI) -> None:
    answer: Any = client.chat.completions.create(model="auto", messages=TALK, max_completion_tokens=48)
    route = answer.lora_agent["route"]
    assert set(route["probabilities"]) >= {"alora", "lora", "base"}
    assert abs(sum(route["probabilities"].values()) - 1) < 1e-3
    chosen = "base" if route["abstained"] else route["adapter"]
    assert answer.model.split("@")[0] == chosen


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_calls_follow_the_tools_parameters(client: openai.OpenAI, choice: Any) -> None:
    asked: Any = {
        "model": "base", "messages": TALK, "tools": [WEATHER], "tool_choice": choice, "parallel_tool_calls": False,
    }  # fmt: skip
    answer = client.chat.completions.create(**asked)
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or ()
    arguments = json.loads(call.function.arguments)  # type: ignore[union-attr]
    assert arguments["city"] in ("Oslo", "Lagos")
    assert 1 <= arguments["days"] <= 9

    names, texts, ids, deltas = [], "", set(), 0
    for chunk in client.chat.completions.create(**asked, stream=True):
        for delta in chunk.choices[0].delta.tool_calls or ():
            assert delta.index == 0
            assert delta.function is not None
            deltas += 1
            ids |= {delta.id} - {None}
            names += [delta.function.name] if delta.function.name else []
            texts += delta.function.arguments or ""
    assert (names, json.loads(texts), len(ids)) == (["get_weather"], arguments, 1)
    assert deltas > 2


def test_a_conversation_goes_on_with_what_the_client_sends_back(client: openai.OpenAI) -> None:
    """The answer's own message, as it came, and the tool's result: `auto` writes the result out."""
    asked = client.chat.completions.create(model="base", messages=TALK, tools=[WEATHER], tool_choice="required")
    message = asked.choices[0].message
    calls = message.tool_calls or []
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 4}'} for call in calls]
    answer = client.chat.completions.create(model="auto", messages=[*TALK, message, *results], tools=[WEATHER])
    assert "celsius: 4" in (answer.choices[0].message.content or "")


def test_strict_json_is_parsed_by_the_client(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="base", messages=TALK, response_format=Ticket)
    assert isinstance(answer.choices[0].message.parsed, Ticket)
    whole = client.chat.completions.create(model="base", messages=TALK, response_format={"type": "json_object"})
    assert isinstance(json.loads(whole.choices[0].message.content or ""), dict)


def test_choices_and_patterns(client: openai.OpenAI) -> None:
    for wanted, allowed in (({"choice": ["warm", "cold"]}, ("warm", "cold")), ({"regex": "7[0-1]"}, ("70", "71"))):
        answer = client.chat.completions.create(
            model="base", messages=TALK, extra_body={"structured_outputs": wanted}
        )  # fmt: skip
        assert answer.choices[0].message.content in allowed


def test_sampling_seeds_n_stop_and_log_probabilities(client: openai.OpenAI) -> None:
    asked: Any = {"model": "base", "messages": TALK, "max_completion_tokens": 12, "temperature": 1.5, "n": 3}
    first, second = (client.chat.completions.create(**asked, seed=7) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert len(set(texts)) > 1
    greedy = client.chat.completions.create(
        model="base", messages=TALK, max_completion_tokens=12, logprobs=True, top_logprobs=2
    )  # fmt: skip
    assert greedy.choices[0].logprobs is not None
    entries = greedy.choices[0].logprobs.content or []
    text = greedy.choices[0].message.content or ""
    assert b"".join(bytes(entry.bytes or []) for entry in entries).decode(errors="ignore").startswith(text)
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 2 for entry in entries)
    word = text[3:6]
    stopped = client.chat.completions.create(model="base", messages=TALK, max_completion_tokens=12, stop=word)
    assert stopped.choices[0].message.content == text[: text.index(word)]
    assert stopped.choices[0].finish_reason == "stop"


def test_the_agent_runs_the_operators_tools_only(client: openai.OpenAI, http: httpx.Client) -> None:
    with pytest.raises(openai.BadRequestError, match="operator registered"):
        client.chat.completions.create(model="agent", messages=TALK, tools=[WEATHER])
    card = http.get("/v1/models/agent").json()
    assert [tool["function"]["name"] for tool in card["lora_agent"]["tools"]] == ["get_time"]


BAD: list[tuple[dict[str, Any], int, str | None]] = [
    ({"model": "nope"}, 404, "model_not_found"),
    ({"model": "alora@ffffffffffff"}, 404, "model_not_found"),
    ({"messages": []}, 400, "invalid_value"),
    ({"messages": None}, 400, "invalid_value"),
    ({"frequency_penalty": 0.5}, 400, "invalid_value"),
    ({"logit_bias": {"1": 5}}, 400, "invalid_value"),
    ({"store": True}, 400, "invalid_value"),
    ({"beams": 4}, 400, "unknown_parameter"),
    ({"temperature": 9}, 400, "invalid_value"),
    ({"max_completion_tokens": 10**6}, 400, "limit_exceeded"),
    ({"n": 100}, 400, "limit_exceeded"),
    ({"top_logprobs": 3}, 400, "invalid_value"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/"}}]}]}, 400,
     None),
    ({"messages": [{"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{oops"}}]}]}, 400, None),
    ({"tools": [WEATHER, WEATHER]}, 400, "invalid_tool"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "strng"}}}]}, 400, None),
    ({"tool_choice": "required"}, 400, None),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "strng"}}}}, 400,
     "invalid_json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "http://x/y"}}}}, 400,
     "invalid_json_schema"),
    ({"model": "alora", "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {
        "type": "object"}}}, "stop": "x"}, 400, None),
    ({"model": "alora", "inputs": {"colour": "red"}}, 400, "invalid_value"),
    ({"documents": [{"id": "a", "text": "x"}]}, 400, "invalid_value"),
    ({"messages": [{"role": "user", "content": "word " * 3000}]}, 400, "context_length_exceeded"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "status", "code"), BAD)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_say_what_and_why(
    http: httpx.Client, change: dict[str, Any], status: int, code: str | None, stream: bool
) -> None:
    answer = http.post("/v1/chat/completions", json={"model": "base", "messages": TALK, "stream": stream, **change})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) > 10
    assert error["type"] == "invalid_request_error"
    if code is not None:
        assert error["code"] == code


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"calls":[', ()),
        ('{"calls":[]}', ()),
        ('{"calls":[{"name":"get_w', ()),
        ('{"calls":[{"name":"f","arguments":{"a":"}', (("f", '{"a":"}'),)),
        ('{"calls":[{"name":"f","arguments":{"a":"\\"}"}},{"name":"g","argu', (("f", '{"a":"\\"}"}'),)),
        ('{"calls":[{"name":"f","arguments":{}},{"name":"g","arguments":{"b":[1', (("f", "{}"), ("g", '{"b":[1'))),
        ('{"calls":[{"name":"f","arguments":{}}]}', (("f", "{}"),)),
        ('{"calls":[{"for":"a \\"b', ()),
        ('{"calls":[{"for":"a \\"b","name":"f","arguments":{"a":1', (("f", '{"a":1'),)),
        ('{"calls":[{"for":"a","name":"f","arguments":{}},{"for":"b","name":"g"', (("f", "{}"),)),
        ('{"calls":[{"for":"a","name":"f","arguments":{}},{"name":"g","arguments":{', (("f", "{}"), ("g", "{"))),
    ],
)
def test_calls_are_read_while_they_are_written(text: str, found: tuple[tuple[str, str], ...]) -> None:
    assert calls_so_far(text) == found
