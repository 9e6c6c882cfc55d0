"""The renderer: what the base and the adapters read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lora_agent.errors import AdapterInputError, ToolError
from lora_agent.render import ChatRenderer, input_messages, read_documents, read_messages, read_tools, suffix
from lora_agent.render.tools import tool_text
from lora_agent.types import Tool

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather\n of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "unit": {"enum": ["c", "f"], "default": "c"},
                "days": {"type": "array", "items": {"type": "integer"}},
                "where": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
            },
            "required": ["city"],
        },
    },
}


@dataclass(frozen=True)
class Shape:
    invocation: str = "<|im_start|>ticket\n"
    reread: str = "last_user"
    reread_tokens: int = 8
    evidence_tokens: int = 0
    fields: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def renderer(base_dir: Path) -> ChatRenderer:
    return ChatRenderer(AutoTokenizer.from_pretrained(base_dir))


def text(renderer: ChatRenderer, ids: list[int]) -> str:
    return str(renderer.tokenizer.decode(ids))


def test_a_tool_is_compact_text() -> None:
    assert tool_text(Tool.model_validate(WEATHER)) == (
        "get_weather: Current weather of a city.\n"
        "  city string: Name of the city\n"
        '  unit? "c"|"f" = "c"\n'
        "  days? integer[]\n"
        "  where? {lat number}"
    )


def test_tools_join_the_system_turn(renderer: ChatRenderer) -> None:
    messages = read_messages([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}])
    shown = text(renderer, renderer.context(messages, read_tools([WEATHER])))
    assert shown.index("Be kind.") < shown.index("get_weather") < shown.index("hi")
    assert shown.count("<|im_start|>system") == 1


def test_the_rendering_of_a_conversation_is_a_prefix_of_its_continuation(renderer: ChatRenderer) -> None:
    first = read_messages([{"role": "user", "content": "hi"}])
    more = read_messages(
        [
            {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"x": 1}}], "content": None},
            {"role": "tool", "content": "3"},
        ]
    )
    short, long = renderer.context(first), renderer.context([*first, *more])
    assert long[: len(short)] == short
    assert '{"calls":[{"name":"f","arguments":{"x":1}}]}' in text(renderer, long)


def test_openai_tool_calls_are_read() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    (message,) = read_messages([{"role": "assistant", "content": None, "tool_calls": [call]}])
    assert message.tool_calls[0].arguments == {"x": 1}


def test_the_suffix_holds_invocation_fields_and_the_turn_again(renderer: ChatRenderer) -> None:
    messages = read_messages([{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}])
    ids = suffix(renderer, Shape(fields=("target",)), messages, {"target": "user"})
    assert text(renderer, ids) == "<|im_start|>ticket\nuser\none<|im_end|>\n<|im_start|>assistant\n"
    last = suffix(renderer, Shape(reread="last"), messages, {})
    assert "two" in text(renderer, last)
    assert text(renderer, suffix(renderer, Shape(reread="none"), messages, {})).startswith(
        "<|im_start|>ticket\n<|im_end|>"
    )


def test_a_part_is_read_again_in_place_of_its_turn(renderer: ChatRenderer) -> None:
    messages = read_messages([{"role": "user", "content": "the weather in Rome and a taxi there"}])
    ids = suffix(renderer, Shape(), messages, {}, "a taxi there")
    assert text(renderer, ids) == "<|im_start|>ticket\na taxi there<|im_end|>\n<|im_start|>assistant\n"
    assert "taxi" not in text(renderer, suffix(renderer, Shape(reread="none"), messages, {}, "a taxi there"))


def test_a_long_turn_is_cut_in_the_middle(renderer: ChatRenderer) -> None:
    messages = read_messages([{"role": "user", "content": "alpha " + "x " * 200 + "omega"}])
    long = len(suffix(renderer, Shape(reread_tokens=1000), messages, {}))
    ids = suffix(renderer, Shape(), messages, {})
    assert len(ids) < long - 100
    assert "alpha" in text(renderer, ids)
    assert "omega" in text(renderer, ids)


def test_what_may_answer_is_read_again_below_the_question(renderer: ChatRenderer) -> None:
    messages = read_messages([{"role": "user", "content": "red beets"}])
    documents = [{"id": "a", "text": "Apples are red. Pears are not."}, {"id": "b", "text": "Beets grow here."}]
    shown = text(renderer, suffix(renderer, Shape(evidence_tokens=30), messages, {"documents": documents}))
    assert shown == (
        "<|im_start|>ticket\nred beets\n[a] Apples are red.\n[b] Beets grow here.<|im_end|>\n<|im_start|>assistant\n"
    )
    plain = suffix(renderer, Shape(), messages, {"documents": documents})
    assert plain == suffix(renderer, Shape(evidence_tokens=30), messages, {})
    long = {"documents": [{"id": "a", "text": "beets " * 500}]}
    assert len(suffix(renderer, Shape(evidence_tokens=30), messages, long)) <= len(plain) + 60


def test_documents_and_free_inputs(renderer: ChatRenderer) -> None:
    documents = read_documents([{"id": "a", "title": "T", "text": "x <|im_end|> y"}, {"id": "b", "text": "z"}])
    shown = text(renderer, renderer.documents(documents))
    assert shown == "<|im_start|>documents\n[a] T: x < |im_end|> y\n[b] z<|im_end|>\n"
    assert input_messages({"order": 3})[0].content == '{"order":3}'
    with pytest.raises(AdapterInputError, match="share an id"):
        read_documents([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}])
    with pytest.raises(ToolError, match=r"tools\[0\]"):
        read_tools([{"type": "function", "function": {"description": "no name"}}])


def test_digests_follow_what_matters(base_dir: Path, renderer: ChatRenderer) -> None:
    other: Any = AutoTokenizer.from_pretrained(base_dir)
    same = ChatRenderer(other)
    assert (same.tokenizer_sha256, same.template_sha256) == (renderer.tokenizer_sha256, renderer.template_sha256)
    other.chat_template += " "
    assert ChatRenderer(other).template_sha256 != renderer.template_sha256
    other.add_tokens(["<new>"])
    assert ChatRenderer(other).tokenizer_sha256 != renderer.tokenizer_sha256
