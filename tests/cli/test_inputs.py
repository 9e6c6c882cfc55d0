from __future__ import annotations

import io
from pathlib import Path

import pytest

from lora_agent.cli.inputs import as_messages, as_tools, read_json_argument, read_text
from lora_agent.errors import AdapterInputError, ConfigError, MessagesError, ToolError


def test_json_argument_from_text_file_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": "ä"}', encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("[1]"))
    assert read_json_argument('{"a": 1}', AdapterInputError) == {"a": 1}
    assert read_json_argument(f"@{path}", AdapterInputError) == {"a": "ä"}
    assert read_json_argument("-", AdapterInputError) == [1]


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 100_000, "1" * 10_000])
def test_json_argument_that_is_none(text: str) -> None:
    with pytest.raises(AdapterInputError, match="JSON"):
        read_json_argument(text, AdapterInputError)


def test_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_text(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_text(tmp_path)


def test_messages_take_both_shapes() -> None:
    message = {"role": "user", "content": "hi"}
    assert as_messages([message]) == as_messages({"messages": [message]})


@pytest.mark.parametrize("value", [[], {}, "hi", None, [1], [{"role": "user", "text": "hi"}], [{"content": "hi"}]])
def test_malformed_messages(value: object) -> None:
    with pytest.raises(MessagesError):
        as_messages(value)


def test_tools_take_both_shapes() -> None:
    inner = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert as_tools([inner]) == as_tools([{"type": "function", "function": inner}])
    for wrong in ({}, [{}], ["f"]):
        with pytest.raises(ToolError):
            as_tools(wrong)
