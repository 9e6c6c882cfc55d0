"""The router's rows: labels, tool lists in blocks, hard cases, and a small build from the public sets."""

from __future__ import annotations

import json
import os
import random
from itertools import islice
from pathlib import Path

import pytest

from lora_agent.types import Message, Tool, compact_json
from training.data.router import generator
from training.data.router.build import BLOCK, blocks, build
from training.data.router.contract import ADAPTERS, Example, one_turn
from training.data.router.document_phrases import threads
from training.data.router.toolsets import tools_of, toolsets
from training.data.router.unclear import unclear_texts
from training.data.rows import Row, read_rows
from training.data.selection import Drops, draw, thin


def examples(split: str) -> list[Example]:
    rng = random.Random(5)
    side = "dev" if split == "dev" else "train"
    return [
        *generator.actions(rng, side, 60),
        *generator.document_questions(rng, side, 60),
        *generator.talk(rng, side, 60),
        *generator.conversations(rng, side, 30),
        *generator.checks(rng, side, 40),
    ]


def check_row(row: Row) -> None:
    keys = ["messages", "tools", "documents_available"] if "tools" in row.input else ["messages", "documents_available"]
    assert list(row.input) == keys
    assert list(row.output) == ["adapter"]
    messages = [Message.model_validate(message) for message in row.input["messages"]]
    assert messages[-1].role == "user"
    assert all(message.content.strip() for message in messages)
    for tool in row.input.get("tools", []):
        assert Tool.model_validate(tool).parameters["type"] == "object"


@pytest.mark.parametrize("split", ["train", "dev"])
def test_examples_have_known_labels_and_no_open_slots(split: str) -> None:
    made = examples(split)
    assert {example.adapter for example in made} == set(ADAPTERS)
    for example in made:
        assert "{" not in example.last
        assert example.split == split
        check_row(example.row([], True))


def test_follow_ups_go_where_their_conversation_belongs() -> None:
    made = [e for e in examples("train") if e.source.startswith("generator/") and len(e.turns) > 1]
    by_source = {e.source: e.adapter for e in made}
    assert by_source["generator/follow_up"] == "query_rewrite"
    assert by_source["generator/new_topic"] == "retrieval"
    assert by_source["generator/tool_follow_up"] == "tool_call"
    assert by_source["generator/reaction"] == "base"
    train, dev = ({question for question, *_ in threads(side)} for side in (False, True))
    assert not train & dev


def test_an_earlier_exchange_changes_neither_label_nor_last_turn() -> None:
    example = one_turn("Turn off the lights.", "tool_call", "s", domain="home")
    for seed in range(10):
        longer = generator.with_history(example, random.Random(seed))
        assert (longer.last, longer.adapter, longer.domain) == (example.last, "tool_call", "home")
        assert [role for role, _ in longer.turns] == ["user", "assistant", "user"]


def test_monologues_get_answers_between_turns() -> None:
    turns = (("user", "Who is Ada?"), ("user", "When was she born?"), ("user", "And where?"))
    example = Example(turns, "query_rewrite", "s", "g")
    seen = {tuple(role for role, _ in generator.answered(example, random.Random(n)).turns) for n in range(30)}
    assert seen == {("user", "user", "user"), ("user", "assistant", "user", "assistant", "user")}
    answered = Example((("user", "a"), ("assistant", "b"), ("user", "c")), "base", "s", "g")
    assert generator.answered(answered, random.Random(0)) is answered


def test_tool_lists_are_valid_short_and_many() -> None:
    for dev in (False, True):
        lists = toolsets(random.Random(0), dev)
        assert len(lists) == 30
        for domains, tools in lists:
            assert 1 <= len(tools) <= 4
            names = [Tool.model_validate(tool).name for tool in tools]
            assert len(set(names)) == len(names)
            offered = {tool["function"]["name"] for domain in domains for tool in tools_of(domain)}
            assert set(names) <= offered
        assert len({compact_json(tools) for _, tools in lists}) >= 18
    light = tools_of("home")[0]["function"]["parameters"]
    assert light["properties"]["state"] == {"type": "string", "enum": ["on", "off"]}
    assert light["required"] == ["room", "state"]


def test_blocks_share_one_tool_list_and_lose_no_row() -> None:
    made = [e for e in examples("train") if len(e.turns) == 1]
    placed = blocks([(e.row([], False), e.domain) for e in made], False, random.Random(2))
    assert sorted(r.input["messages"][-1]["content"] for r in placed) == sorted(e.last for e in made)
    pieces = iter(placed)
    while block := list(islice(pieces, BLOCK)):
        assert len({compact_json(row.input.get("tools", [])) for row in block}) == 1
    share = sum("tools" in row.input for row in placed) / len(placed)
    assert 0.4 < share < 0.8


def test_unclear_texts_are_distinct_and_only_for_calibration() -> None:
    texts = unclear_texts(random.Random(0), 200)
    assert len(set(texts)) == 200
    assert {e.adapter for e in generator.unclear(random.Random(0), 5)} == {"abstain"}


def test_draw_takes_shares_and_says_what_fell_short() -> None:
    rows = [Row({"t": n}, {}, f"a/{n % 2}", str(n)) for n in range(100)] + [Row({"t": -1}, {}, "b", "b")]
    drops = Drops()
    chosen, short = draw(rows, {"a": 0.5, "a/1": 0.25, "b": 0.25}, 20, random.Random(0), drops)
    sources = [row.source for row in chosen]
    assert (sources.count("a/0"), sources.count("a/1"), sources.count("b")) == (10, 5, 1)
    assert short == {"b": 4}
    assert drops.report()["not drawn"] == {"a/0": 40, "a/1": 45}
    few = thin(rows, {"a/1": 1.0}, 2, random.Random(0), drops)
    assert len(few) == 28
    assert {row.source for row in few} == {"a/1"}


@pytest.mark.skipif("LORA_AGENT_DATA" not in os.environ, reason="needs the public sets (LORA_AGENT_DATA)")
def test_a_small_build_holds_every_adapter_and_separates_the_splits(tmp_path: Path) -> None:
    report = build(Path(os.environ["LORA_AGENT_DATA"]), tmp_path, 0, train=400, dev=200)
    parts = {name: read_rows(tmp_path / f"{name}.jsonl.gz") for name in ("train", "dev", "abstain")}
    for rows in parts.values():
        for row in rows:
            check_row(row)
    for name in ("train", "dev"):
        assert {row.output["adapter"] for row in parts[name]} == set(ADAPTERS)
    assert {row.output["adapter"] for row in parts["abstain"]} == {"abstain"}
    assert not {row.group for row in parts["train"]} & {row.group for row in parts["dev"]}
    history = report["splits"]["train"]["with_history"] / len(parts["train"])
    assert 0.12 < history < 0.35
    assert json.loads((tmp_path / "report.json").read_text()) == report
