"""From a schema to a grammar: compact text, recorded changes, named refusals."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from lora_agent.errors import SchemaError
from lora_agent.structured import (
    Grammar,
    Vocabulary,
    compile_choice,
    compile_regex,
    compile_schema,
    explain,
    validate,
)
from lora_agent.structured.faults import SchemaKeywordError
from lora_agent.types import compact_json
from tests.structured.schemas import ALL_OF, LOWERED, REFUSED, TREE, WALKED, WIDENED


def accepts(grammar: Grammar, text: str) -> bool:
    matcher = grammar.matcher.deep_copy()
    tokens = grammar.vocabulary.encode(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, True, None], "b": {"é": 'naïve "quoted" \\ / \n 東京'}},
        [],
        {},
        "text",
        [[{"x": "\u0007"}]],
        -0.25,
    ],
)
def test_compact_json_is_what_the_grammar_writes(value: Any, vocabulary: Vocabulary) -> None:
    grammar = compile_schema({}, vocabulary, budget_tokens=None)
    assert accepts(grammar, compact_json(value))
    spaced = json.dumps(value, indent=1)
    assert spaced == compact_json(value) or not accepts(grammar, spaced)


def test_keys_come_in_schema_order(vocabulary: Vocabulary) -> None:
    schema = {"type": "object", "properties": {"b": {"type": "null"}, "a": {"type": "null"}}}
    grammar = compile_schema(schema, vocabulary)
    assert accepts(grammar, '{"b":null,"a":null}')
    assert not accepts(grammar, '{"a":null,"b":null}')


def test_objects_are_closed_unless_opened(vocabulary: Vocabulary) -> None:
    closed = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert not accepts(compile_schema(closed, vocabulary), '{"a":1,"b":2}')
    opened = {**closed, "additionalProperties": {"type": "integer"}}
    assert accepts(compile_schema(opened, vocabulary), '{"a":1,"b":2}')


def test_parts_of_an_object_are_closed_together(vocabulary: Vocabulary) -> None:
    grammar = compile_schema(ALL_OF, vocabulary)
    assert accepts(grammar, '{"a":1,"b":true}')
    assert not accepts(grammar, '{"a":1,"b":true,"c":2}')
    assert not accepts(grammar, '{"a":1}')


def test_recursion_is_kept_to_a_recorded_depth(vocabulary: Vocabulary) -> None:
    grammar = compile_schema(TREE, vocabulary)
    assert ("", "$ref", 6) in grammar.bounds
    value: dict[str, Any] = {"value": 1}
    for _ in range(4):
        value = {"value": 1, "children": [value]}
    assert accepts(grammar, compact_json(value))
    for _ in range(20):
        value = {"value": 1, "children": [value]}
    assert not accepts(grammar, compact_json(value))
    assert accepts(compile_schema(TREE, vocabulary, budget_tokens=None), compact_json(value))


def test_bounds_are_recorded_and_follow_the_budget(vocabulary: Vocabulary) -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    small = compile_schema(schema, vocabulary, budget_tokens=64)
    assert {("", "maxItems", 2), ("/items", "maxLength", 16)} == set(small.bounds)
    usual = compile_schema(schema, vocabulary)
    assert {("", "maxItems", 16), ("/items", "maxLength", 128)} == set(usual.bounds)
    stated = {"type": "array", "items": {"type": "string", "maxLength": 900}, "maxItems": 90}
    assert compile_schema(stated, vocabulary, budget_tokens=64).bounds == ()


def test_bounds_never_contradict_the_schema(vocabulary: Vocabulary) -> None:
    schema = {"type": "string", "minLength": 400}
    assert accepts(compile_schema(schema, vocabulary, budget_tokens=64), f'"{"a" * 400}"')
    grammar = compile_schema({"type": "string", "pattern": "^a{300}$"}, vocabulary, budget_tokens=64)
    assert accepts(grammar, f'"{"a" * 300}"')
    assert grammar.bounds == ()
    assert grammar.checked


@pytest.mark.parametrize("name", [*LOWERED, *WIDENED])
def test_lowered_keywords_are_recorded_and_checked_after(name: str, vocabulary: Vocabulary) -> None:
    schema, keyword = {**LOWERED, **WIDENED}[name]
    grammar = compile_schema(schema, vocabulary)
    assert grammar.tier == "strict"
    assert keyword in {note.keyword for note in grammar.checked}
    assert keyword in {note.keyword for note in explain(schema).checked}


def test_a_value_that_breaks_a_lowered_keyword_is_invalid(vocabulary: Vocabulary) -> None:
    grammar = compile_schema(LOWERED["uniqueItems"][0], vocabulary)
    assert accepts(grammar, "[1,1]")
    assert not grammar.validate("[1,1]").valid
    assert grammar.validate("[1,2]").valid
    grammar = compile_schema(LOWERED["dependentRequired"][0], vocabulary)
    assert not grammar.validate('{"a":null}').valid


def test_names_of_keys_become_part_of_the_grammar_where_they_can(vocabulary: Vocabulary) -> None:
    schema = {
        "type": "object",
        "propertyNames": {"enum": ["x", "y"]},
        "additionalProperties": {"type": "null"},
    }
    grammar = compile_schema(schema, vocabulary)
    assert not grammar.checked
    assert accepts(grammar, '{"x":null}')
    assert not accepts(grammar, '{"z":null}')


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_place_and_the_keyword(name: str, vocabulary: Vocabulary) -> None:
    schema, pointer, keyword = REFUSED[name]
    with pytest.raises(SchemaKeywordError) as caught:
        compile_schema(schema, vocabulary)
    assert (caught.value.pointer, caught.value.keyword) == (pointer, keyword)
    assert caught.value.hint
    assert repr(pointer or "/") in caught.value.message
    assert [(note.pointer, note.keyword) for note in explain(schema).refused] == [(pointer, keyword)]


def test_lenient_drops_what_cannot_be_enforced_and_says_so(vocabulary: Vocabulary) -> None:
    schema = REFUSED["misspelt"][0]
    grammar = compile_schema(schema, vocabulary, lenient=True)
    assert grammar.tier == "strict"
    assert grammar.checked[0].keyword == "maxLenght"
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "minLength": 5, "maxLength": 2}},
        "required": ["a"],
    }
    grammar = compile_schema(schema, vocabulary, lenient=True)
    assert grammar.tier == "generic"
    assert any(note.keyword == "minLength" for note in grammar.checked)
    assert accepts(grammar, '{"a":"b"}')
    assert not accepts(grammar, "[]")
    assert not grammar.validate('{"a":"b"}').valid


def test_guards_answer_quickly(vocabulary: Vocabulary) -> None:
    started = time.monotonic()
    deep: dict[str, Any] = {"type": "null"}
    for _ in range(5000):
        deep = {"items": deep}
    for schema in (deep, {"enum": ["x" * 3_000_000]}, {"const": {1, 2}}, 7, None):
        with pytest.raises(SchemaError):
            compile_schema(schema, vocabulary)  # type: ignore[arg-type]
    chain = {
        str(i): {"type": "object", "properties": {"n": {"$ref": f"#/$defs/{i + 1}"}}, "required": ["n"]}
        for i in range(300)
    }
    with pytest.raises(SchemaError, match="without an end"):
        compile_schema({"$ref": "#/$defs/0", "$defs": {**chain, "300": {"$ref": "#/$defs/0"}}}, vocabulary)
    assert time.monotonic() - started < 5


def test_references_outside_defs_and_by_name(vocabulary: Vocabulary) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/components/x"}, "b": {"$ref": "#named"}, "c": {"$ref": "item.json"}},
        "required": ["a", "b", "c"],
        "components": {"x": {"type": "integer"}},
        "$defs": {"n": {"$anchor": "named", "type": "null"}, "i": {"$id": "item.json", "type": "boolean"}},
    }
    assert accepts(compile_schema(schema, vocabulary), '{"a":1,"b":null,"c":true}')


def test_old_drafts(vocabulary: Vocabulary) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "array",
        "items": [{"type": "integer", "minimum": 3, "exclusiveMinimum": True}],
        "additionalItems": False,
    }
    grammar = compile_schema(schema, vocabulary)
    assert accepts(grammar, "[4]")
    assert not accepts(grammar, "[3]")
    assert not accepts(grammar, "[4,4]")


def test_the_same_schema_is_compiled_once(vocabulary: Vocabulary) -> None:
    first = compile_schema({"type": "boolean"}, vocabulary)
    assert compile_schema({"type": "boolean"}, vocabulary) is first
    assert compile_schema({"type": "boolean"}, vocabulary, budget_tokens=9) is not first


def test_choice_and_regex(vocabulary: Vocabulary) -> None:
    grammar = compile_choice(["base", "tool_call", 'say "hi" (now)'], vocabulary)
    for text in ("base", "tool_call", 'say "hi" (now)'):
        assert accepts(grammar, text)
        assert grammar.validate(text).valid
    assert not accepts(grammar, "other")
    assert not grammar.validate("other").valid
    assert accepts(compile_regex(r"[a-c]{2}\d", vocabulary), "ab7")
    for bad in ([], [""], ["a", 3]):
        with pytest.raises(SchemaError):
            compile_choice(bad, vocabulary)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="look"):
        compile_regex("(?=a)b", vocabulary)


def test_what_is_let_through_loses_no_value(vocabulary: Vocabulary) -> None:
    cases: dict[str, tuple[list[str], list[str]]] = {
        "look-around": (['"abc"', '"xab"'], ['"abcd"', '"1"']),
        "overlapping keys": (['{"a1":3,"xb":null,"c":[]}', '{"ab":3}'], []),
        "look-around in keys": (['{"a":3}', '{"x":3}'], ['{"a":null}']),
    }
    for name, (inside, outside) in cases.items():
        grammar = compile_schema(WIDENED[name][0], vocabulary, budget_tokens=None)
        assert all(accepts(grammar, text) for text in inside), name
        assert not any(accepts(grammar, text) for text in outside), name
    assert not compile_schema(WIDENED["look-around"][0], vocabulary).validate('"xab"').valid


def test_a_format_of_a_later_draft_is_written_but_not_demanded(vocabulary: Vocabulary) -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string", "format": "uuid"}
    assert not accepts(compile_schema(schema, vocabulary), '"x"')
    exact = compile_schema(schema, vocabulary, budget_tokens=None)
    assert accepts(exact, '"x"')
    assert exact.exact
    assert exact.validate('"x"').valid


def test_free_text_then_json(vocabulary: Vocabulary) -> None:
    grammar = compile_schema({"type": "integer", "maximum": 9, "minimum": 0}, vocabulary, preamble=20)
    assert accepts(grammar, 'Three, "I" think.```json\n3')
    assert accepts(grammar, "```json\n3")
    assert accepts(grammar, "`` ```j{```json\n3")
    assert not accepts(grammar, "3")
    assert not accepts(grammar, "x" * 21 + "```json\n3")
    assert not accepts(grammar, "x```json\n12")
    assert grammar.validate("x```json\n3").value == 3
    assert not grammar.validate("x```json\n-3").valid
    assert grammar.split("x```json\n3") == ("x```json\n", "3")
    assert compile_schema({"type": "boolean"}, vocabulary, preamble=5) is not compile_schema(
        {"type": "boolean"}, vocabulary
    )


@pytest.mark.parametrize(
    "schema",
    [
        *WALKED.values(),
        *(s for s, _ in WIDENED.values()),
        *(s for s, _ in LOWERED.values()),
        *(s for s, _, _ in REFUSED.values()),
        True,
    ],
)
def test_explain_and_compile_agree(schema: Any, vocabulary: Vocabulary) -> None:
    explanation = explain(schema)
    if explanation.refused:
        with pytest.raises(SchemaError):
            compile_schema(schema, vocabulary)
        return
    grammar = compile_schema(schema, vocabulary, budget_tokens=None)
    assert set(explanation.checked) == set(grammar.checked)
    assert grammar.tier == "strict"


def test_explain_names_every_keyword() -> None:
    explanation = explain(
        {
            "type": "object",
            "title": "T",
            "properties": {"a": {"type": "string", "maxLength": 3, "format": "password", "x-note": 1}},
            "colour": "red",
        }
    )
    assert explanation.ok
    assert [(n.pointer, n.keyword) for n in explanation.enforced] == [
        ("", "type"), ("", "properties"), ("/properties/a", "type"), ("/properties/a", "maxLength"),
    ]  # fmt: skip
    assert [(n.pointer, n.keyword) for n in explanation.checked] == [
        ("/properties/a", "format"), ("", "colour"), ("/properties/a", "x-note"),
    ]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values())
def test_validate_does_not_depend_on_the_grammar(case: tuple[Any, str, str]) -> None:
    if case[2] == "pattern":
        assert not validate('{"a":"b"}', case[0]).valid


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("propertys", "properties"),
        ("itmes", "items"),
        ("tpye", "type"),
        ("minimun", "minimum"),
        ("requird", "required"),
    ],
)
def test_slips_of_the_pen_are_named(written: str, meant: str) -> None:
    (note,) = explain({"type": "object", written: {}}).refused
    assert (note.keyword, note.reason) == (written, f"unknown keyword; did you mean '{meant}'?")


@pytest.mark.parametrize("word", ["owner", "property", "multiple", "x-itmes", "unit"])
def test_words_of_ones_own_are_no_slips(word: str) -> None:
    assert explain({"type": "object", word: {}}).ok
