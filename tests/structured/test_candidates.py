"""The first call names a tool that shares a word with the request; where none does, any tool."""

from __future__ import annotations

from lora_agent.structured import Vocabulary, calls_schema, candidates, compile_schema
from lora_agent.types import Tool, compact_json

MAIL = Tool(
    name="read_mail",
    description="Read the mails of a folder, the newest first.",
    parameters={"type": "object", "properties": {"folder": {"enum": ["inbox", "archive"]}}, "required": ["folder"]},
)
EVENTS = Tool(name="listEvents", description="List the events of the calendar.")
STATISTICS = Tool(name="stats.correlation", description="Pearson coefficient of two series.")
TOOLS = (MAIL, EVENTS, STATISTICS)


def names(text: str) -> list[str]:
    return [tool.name for tool in candidates([text], TOOLS)]


def test_words_of_name_description_parameters_and_choices_count() -> None:
    assert names("Show my inbox") == ["read_mail"]
    assert names("any events on Friday?") == ["listEvents"]
    assert names("How strongly are these correlated?") == ["stats.correlation"]
    assert names("What is new in the archive and the calendar?") == ["read_mail", "listEvents"]


def test_without_a_common_word_every_tool_is_a_candidate() -> None:
    assert names("Is it raining?") == [tool.name for tool in TOOLS]
    assert names("") == [tool.name for tool in TOOLS]
    assert candidates(["the of and"], []) == []


def test_only_the_first_call_is_bound(vocabulary: Vocabulary) -> None:
    grammar = compile_schema(calls_schema(TOOLS, first=[MAIL]), vocabulary)
    mail = {"name": "read_mail", "arguments": {"folder": "inbox"}}
    events = {"name": "listEvents", "arguments": {}}

    def taken(*calls: object) -> bool:
        text = compact_json({"calls": list(calls)})
        tokens = vocabulary.encode(text)
        constraint = grammar.start()
        for token in tokens:
            if not constraint.takes(token):
                return False
            constraint.advance(token)
        return constraint.can_stop

    assert taken()
    assert taken(mail)
    assert taken(mail, events)
    assert not taken(events)
    assert not taken(events, mail)
