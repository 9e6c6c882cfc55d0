"""What a request says of a call's first choice moves it, and nothing after it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from lora_agent.engine.local.decode import DecodeOptions, RowDecode
from lora_agent.engine.narrowing import ANY, Wish, leaning
from lora_agent.registry import AdapterPackage
from lora_agent.structured import Vocabulary, calls_schema, compile_schema
from lora_agent.structured.candidates import NO_CALL
from lora_agent.structured.leaning import DOUBT, Leaning
from lora_agent.types import Tool

from .conftest import load_tiny

NONE = '{"calls":[]'
MAIL = Tool(name="read_mail", description="Read the newest mail.")


def written(vocabulary: Vocabulary, lean: Leaning | None, logits: torch.Tensor, tool: Tool = MAIL) -> str:
    grammar = compile_schema(calls_schema([tool]), vocabulary)
    row = RowDecode(grammar.start(), (vocabulary.stop_token_id,), DecodeOptions(64, lean=lean))
    row.opening()
    while row.running():
        row.step(logits)
    return vocabulary.decode(row.tokens)


def test_a_lean_decides_what_is_nearly_even(base_dir: Path) -> None:
    base = load_tiny(base_dir)
    vocabulary = base.vocabulary
    logits = torch.zeros(len(base.tokenizer))
    for token in range(len(logits)):
        if b"{" in vocabulary.tokens.decode_bytes([token]):
            logits[token] = 1.0  # a call is likelier by one nat
    assert "read_mail" in written(vocabulary, None, logits)
    assert "read_mail" in written(vocabulary, Leaning(NONE, 0.5), logits)
    assert written(vocabulary, Leaning(NONE, 1.5), logits).startswith('{"calls":[]}')
    assert written(vocabulary, Leaning(NONE, -3.0), logits).count("read_mail") >= 1


@pytest.mark.parametrize("nats", [DOUBT / 2, DOUBT * 2])
def test_a_doubtful_argument_must_be_likelier_by_what_is_against_it(base_dir: Path, nats: float) -> None:
    base = load_tiny(base_dir)
    vocabulary = base.vocabulary
    parameters = {"type": "object", "properties": {"unread": {"type": "boolean"}}}
    tool = Tool(name="read_mail", description="", parameters=parameters)
    logits = torch.zeros(len(base.tokenizer))
    for token in range(len(logits)):
        if b'"' in vocabulary.tokens.decode_bytes([token]):
            logits[token] = nats
    leaning_ = Leaning(parameters={"read_mail": ("unread",)}, doubtful={"read_mail": {"unread"}})
    assert '"unread"' in written(vocabulary, None, logits, tool)
    assert ('"unread"' in written(vocabulary, leaning_, logits, tool)) == (nats > DOUBT)


@pytest.mark.parametrize(("text", "near"), [("Is there new mail?", True), ("Is it raining?", False)])
def test_it_follows_the_words_that_request_and_tools_share(text: str, near: bool) -> None:
    package = cast("AdapterPackage", SimpleNamespace(spec=SimpleNamespace(output="tool_calls")))
    inputs = {"messages": [{"role": "user", "content": text}]}
    assert leaning(package, inputs, [MAIL], ANY, {}) == Leaning(NONE, NO_CALL[near], {"read_mail": ()}, {})
    assert leaning(package, inputs, [], ANY, {}) is None
    assert leaning(package, inputs, [MAIL], Wish(part=True), {}) is None
    doubtful = {"read_mail": {"unread"}}
    assert leaning(package, inputs, [MAIL], Wish(part=True), doubtful) == Leaning("", 0.0, {"read_mail": ()}, doubtful)
