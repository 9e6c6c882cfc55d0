"""`/v1/completions` and `/v1/responses` as the OpenAI client sees them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from lora_agent.engine.local.engine import LocalEngine
from tests.server.test_chat import TALK, WEATHER, Ticket

FLAT: Any = {"type": "function", **WEATHER["function"]}
QUESTION: Any = TALK[0]["content"]


def test_a_text_is_continued(client: openai.OpenAI, engine: LocalEngine) -> None:
    direct = engine.complete(QUESTION, max_tokens=10).raw.rstrip("\ufffd")
    asked: Any = {"model": "base", "prompt": QUESTION, "max_tokens": 10}
    whole = client.completions.create(**asked, logprobs=2)
    assert whole.choices[0].text == direct
    assert whole.choices[0].logprobs is not None
    assert len(whole.choices[0].logprobs.tokens or []) == whole.usage.completion_tokens  # type: ignore[union-attr]
    streamed = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(event.choices[0].text for event in streamed[:-1]) == direct
    assert streamed[-1].usage is not None
    several = client.completions.create(model="base", prompt=[QUESTION, "safe"], max_tokens=4, n=2)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    assert several.choices[0].text == several.choices[1].text == direct[: len(several.choices[0].text)]
    with pytest.raises(openai.BadRequestError, match="conversations"):
        client.completions.create(model="alora", prompt=QUESTION)
    with pytest.raises(openai.BadRequestError, match="echo"):
        client.completions.create(model="base", prompt=QUESTION, echo=True)


def test_a_response_is_the_chats_answer(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(model="base", messages=TALK, max_completion_tokens=12)
    asked: Any = {"model": "base", "input": QUESTION, "max_output_tokens": 12}
    whole = client.responses.create(**asked)
    assert whole.output_text == chat.choices[0].message.content
    assert whole.status == ("incomplete" if chat.choices[0].finish_reason == "length" else "completed")
    events = list(client.responses.create(**asked, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 2
    assert "".join(deltas) == whole.output_text
    assert events[0].type == "response.created"
    assert events[-1].type == f"response.{whole.status}"
    assert events[-1].response.output_text == whole.output_text  # type: ignore[union-attr]


def test_calls_and_their_outputs_are_items(client: openai.OpenAI) -> None:
    asked: Any = {"model": "base", "input": QUESTION, "tools": [FLAT], "tool_choice": "required"}
    whole = client.responses.create(**asked, parallel_tool_calls=False)
    (call,) = whole.output
    assert call.type == "function_call"
    assert json.loads(call.arguments)["city"] in ("Oslo", "Lagos")
    events = list(client.responses.create(**asked, parallel_tool_calls=False, stream=True))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == call.arguments
    back: Any = [
        {"role": "user", "content": QUESTION},
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": '{"celsius":4}'},
    ]
    assert "celsius: 4" in client.responses.create(model="auto", input=back, tools=[FLAT]).output_text


def test_a_response_holds_a_parsed_value(client: openai.OpenAI) -> None:
    found = client.responses.parse(model="base", input=QUESTION, instructions="Be brief.", text_format=Ticket)
    assert isinstance(found.output_parsed, Ticket)


@pytest.mark.parametrize(
    "change",
    [
        {"store": True},
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"input": []},
        {"input": [{"type": "reasoning", "id": "r", "summary": []}]},
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x/"}]}]},
        {"tools": [{"type": "web_search"}]},
    ],
)
def test_what_is_not_offered_is_refused(client: openai.OpenAI, change: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**{"model": "base", "input": QUESTION, **change})
    assert refused.value.type == "invalid_request_error"
    assert len(refused.value.message) > 20
