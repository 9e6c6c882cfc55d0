"""Rows as token ids: targets in the spelling of the constrained decode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_agent.engine.contract import output_grammar
from lora_agent.engine.local.base import BaseModel, load_base
from lora_agent.errors import SchemaError
from lora_agent.registry.spec import PromptSpec
from lora_agent.render import read_tools
from lora_agent.types import compact_json
from training.data.rows import Row
from training.encode import Encoded, TargetSpelling, emphasise, emphasise_names, encode, read_encoded, write_encoded

TOOL = {
    "type": "function",
    "function": {
        "name": "set_light",
        "description": "Switch a light.",
        "parameters": {
            "type": "object",
            "properties": {"room": {"type": "string"}, "state": {"enum": ["on", "off"]}, "level": {"type": "integer"}},
            "required": ["room", "state"],
        },
    },
}


@pytest.fixture
def base(base_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BaseModel:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    return load_base(str(base_dir))


def row(*calls: dict[str, Any]) -> Row:
    messages = [{"role": "user", "content": "Light, please."}]
    return Row({"messages": messages, "tools": [TOOL]}, {"calls": list(calls)}, "generator", "g")


CALLS = [
    {"name": "set_light", "arguments": {"room": "hall", "state": "on"}},
    {"name": "set_light", "arguments": {"room": "é 日本", "state": "off", "level": 30}},
]


@pytest.mark.parametrize("calls", [[], CALLS[:1], CALLS])
def test_targets_are_what_a_decode_of_them_writes(base: BaseModel, calls: list[dict[str, Any]]) -> None:
    spell = TargetSpelling(base.renderer, base.vocabulary, "tool_calls", {}, 128)
    ids = spell(row(*calls))
    assert base.tokenizer.decode(ids[:-1]) == compact_json({"calls": calls})
    assert ids[-1] == base.renderer.stop_token_ids[0]
    constraint = output_grammar("tool_calls", {}, {}, read_tools([TOOL]), base.vocabulary, 128).start()
    for token in ids[:-1]:
        forced = constraint.forced()
        assert not forced or forced[0] == token
        constraint.advance(token)
    assert constraint.can_stop


def test_a_part_changes_only_what_is_read_again(base: BaseModel) -> None:
    spell = TargetSpelling(base.renderer, base.vocabulary, "tool_calls", {}, 128)
    shape = PromptSpec(invocation="x", reread="last_user")
    whole = row(*CALLS)
    part = replace(whole, output={"calls": CALLS[:1]}, about="lights on in the hall")
    one, other = (encode(base.renderer, shape, each, spell) for each in (whole, part))
    assert one.context == other.context
    assert "lights on in the hall" in base.tokenizer.decode(other.suffix)
    assert len(other.target) < len(one.target)


def test_quotes_are_spelled_where_the_prompt_has_them(base: BaseModel) -> None:
    quoted = [{"for": f"part {number}", **call} for number, call in enumerate(CALLS)]
    spell = TargetSpelling(base.renderer, base.vocabulary, "tool_calls", {}, 128, quotes=True)
    assert base.tokenizer.decode(spell(row(*quoted))[:-1]) == compact_json({"calls": quoted})
    plain = TargetSpelling(base.renderer, base.vocabulary, "tool_calls", {}, 128)
    assert plain(row(*quoted)) == plain(row(*CALLS))  # the same rows train both


def test_an_output_that_its_own_contract_forbids_is_no_target(base: BaseModel) -> None:
    spell = TargetSpelling(base.renderer, base.vocabulary, "tool_calls", {}, 128)
    with pytest.raises(SchemaError, match="does not fit the grammar"):
        spell(row({"name": "set_light", "arguments": {"room": "hall", "state": "dim"}}))


@pytest.mark.parametrize("value", [True, "unsafe", 12, ["a"]])
def test_the_decisive_token_is_where_the_value_begins(base: BaseModel, value: object) -> None:
    text = compact_json({"note": 'he wrote "verdict": safe', "verdict": value, "why": "w"})
    row = Encoded((1,), (2,), tuple(base.vocabulary.encode(text)), "g")
    found = emphasise(row, "verdict", 5.0, base.vocabulary)
    (decisive,) = found.decisive
    before = base.vocabulary.decode(list(row.target[:decisive]))
    upto = base.vocabulary.decode(list(row.target[: decisive + 1]))
    opening = text.index('"verdict":') + len('"verdict":') + isinstance(value, str)
    assert len(before) <= opening < len(upto)
    assert sum(found.weights()) == len(row.target) + 4
    assert emphasise(row, "missing", 5.0, base.vocabulary) == row


def test_the_names_of_called_tools_count_more(base: BaseModel) -> None:
    text = compact_json(
        {"calls": [{"name": "a_tool", "arguments": {"name": "Ana"}}, {"name": "other", "arguments": {}}]}
    )
    row = Encoded((1,), (2,), tuple(base.vocabulary.encode(text)), "g")
    found = emphasise_names(row, 3.0, base.vocabulary)
    weighed = [base.vocabulary.decode([row.target[index]]) for index in found.decisive]
    assert "a_tool" in "".join(weighed)
    assert "other" in "".join(weighed)
    assert "Ana" not in "".join(weighed)
    assert sum(found.weights()) == len(row.target) + 2 * len(found.decisive)


def test_written_rows_are_read_as_they_were(tmp_path: Path) -> None:
    rows = [Encoded((1, 2), (3,), (4, 5), "é/1"), Encoded((), (1,), (2,), "b")]
    write_encoded(tmp_path / "rows/tokens.gz", rows)
    assert read_encoded(tmp_path / "rows/tokens.gz") == rows
