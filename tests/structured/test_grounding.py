"""What may be written as an argument: numbers and phrases of the conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_agent.engine.contract import output_grammar
from lora_agent.structured import Vocabulary, calls_schema, compile_schema, grounded, store, validate
from lora_agent.structured import compile as compiling
from lora_agent.structured.numerals import lists_in, numbers_in
from lora_agent.structured.phrases import MOST, phrases_in
from lora_agent.types import Tool, compact_json


def parameters(text: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """The properties that a tool with these is left with after a request."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    (tool,) = grounded([Tool(name="t", description="", parameters=schema)], [text])
    return tool.parameters["properties"]


def allowed(node: dict[str, Any], text: str) -> list[Any]:
    """The values of a narrowed node."""
    return phrases_in([text]) if "$ref" in node else node["enum"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("12 and 3.5", {12, 3.5}),
        ("$1,200 for 2 people", {1200, 2}),
        ("1,39,8", {1, 39, 8}),
        ("a loss of -4.5 degrees", {-4.5, 4.5, 1}),
        ("two hundred and fifty three", {253}),
        ("twenty-five or forty", {25, 40}),
        ("2.5 million, 3k, a dozen", {2_500_000, 3_000, 12}),
        ("5 % and 7.25 percent", {5, 0.05, 7.25, 0.0725}),
        ("3/4 of it", {0.75, 3, 4}),
        ("2 hours", {2, 120}),
        ("the third of May", {3}),
        ("twice", {2}),
        ("from e2 to c5", {2, 5}),
        ("1e-3", {0.001}),
        ("two and a half kilos", {2.5, 2500}),
        ("6 minutes and a half", {6.5, 390}),
        ("an hour and ten", {70}),
        ("three quarters of an hour", {0.75, 45}),
        ("half the users", {0.5, 50}),
        ("fourteen euros fifty", {14.5}),
        ("two metres ten", {2.1, 210}),
        ("a hundred and twenty-five, 95th, thirty-first", {125, 95, 31}),
        ("16 kHz at 30 mA", {16_000, 0.03}),
        ("ports 3 to 5", {3, 4, 5}),
        ("9 November", {9, 11}),
        ("from 550 BC", {-550}),
        ("33.9° S", {-33.9}),
        ("minus eighteen", {-18}),
        ("x² − 5x + 6", {1, -5, 6}),
        ("compounded quarterly", {4}),
        ("nineteen eighty-four", {1984}),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, numbers: set[float]) -> None:
    assert numbers <= numbers_in(text)


@given(st.lists(st.one_of(st.integers(0, 10**9), st.floats(0, 10**6).map(lambda v: round(v, 3))), max_size=5))
def test_every_written_number_is_found(values: list[float]) -> None:
    assert set(map(float, values)) <= numbers_in(" and then ".join(f"{value:.10g}" for value in values))


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert all(value == value for value in numbers_in(text))
    assert all(phrases_in([text]))


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("[[1,2],[3,4]]", [[1, 2], [3, 4], [1, 2, 3, 4], [1, 3]]),
        ("corners (0, 0), (6, 0) and (1, 5)", [[0, 6, 1], [0, 0, 5]]),
        ("100 x 40 x 45", [[100, 40, 45]]),
        ("-500, 200 and 250 once", [[-500, 200, 250]]),
        ("[100,200]", [[100, 200]]),
    ],
)
def test_numbers_that_stand_together_are_lists(text: str, lists: list[list[float]]) -> None:
    found = lists_in(text)
    assert all(values in found for values in lists)


def test_a_number_is_in_the_unit_that_its_parameter_speaks_of() -> None:
    number = {"type": "number"}
    in_ml, free = {**number, "description": "Volume in mL"}, {**number, "description": "How much"}
    found = parameters("Half a litre of milk", ("volume", "grams", "amount"), volume=in_ml, grams=number, amount=free)
    assert 500 in found["volume"]["enum"]
    assert found["amount"]["enum"] == [0.5]  # who names no unit gets it as it was said


def test_a_share_is_a_percentage_where_one_is_wanted() -> None:
    percent = {"type": "number", "description": "Rate in percent"}
    share = {"type": "number", "description": "Rate as a decimal, e.g. 0.05"}
    plain = {"type": "number", "description": "The rate"}
    found = parameters("at 4.5 %", ("percent", "share", "plain"), percent=percent, share=share, plain=plain)
    assert found["percent"]["enum"] == [4.5]
    assert 0.045 in found["share"]["enum"]
    assert found["plain"]["enum"] == [0.045, 4.5]


def test_tiny_and_huge_numbers_can_be_written(vocabulary: Vocabulary) -> None:
    schema = {
        "type": "object",
        "properties": {"q": {"type": "number"}, "m": {"type": "number"}},
        "required": ["q", "m"],
    }
    (narrow,) = grounded([Tool(name="t", description="", parameters=schema)], ["1.6e-19 C and 5.97e24 kg"])
    grammar = compile_schema(calls_schema([narrow]), vocabulary)
    assert grammar.tokens_of(
        '{"calls":[{"name":"t","arguments":{"q":0.00000000000000000016,"m":5.97e24}}]}'.replace(
            "5.97e24", "597" + "0" * 22
        )
    )


def test_a_nested_object_without_required_members_can_be_called(vocabulary: Vocabulary) -> None:
    inner = {"type": "object", "properties": {"city": {"type": "string"}}, "required": []}
    schema = {"type": "object", "properties": {"planet": {"type": "string"}, "from": inner}, "required": ["planet"]}
    tools = grounded([Tool(name="t", description="", parameters=schema)], ["Where is Venus seen from Oslo?"])
    assert compile_schema(calls_schema(tools), vocabulary)


def test_what_nobody_seems_to_speak_of_may_stay_and_is_noted() -> None:
    flag = {"type": "boolean", "description": "Send alerts"}
    schema = {"type": "object", "properties": {"topic": {"type": "string"}, "notify": flag}, "required": ["topic"]}
    doubtful: dict[str, set[str]] = {}
    (tool,) = grounded([Tool(name="t", description="", parameters=schema)], ["Follow coral reefs"], doubtful=doubtful)
    assert tool.parameters["properties"]["notify"] == flag
    assert doubtful == {"t": {"notify"}}


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Fly me to New York, please.", "New York"),
        ('Play "Let it be" by the Beatles!', "Let it be"),
        ("What is (9 + 6) * (8 - 3)?", "(9 + 6) * (8 - 3)"),
        ("the derivative of ln(x)?", "ln(x)"),
        ("Maria's birthday", "Maria"),
        ("acupuncture for horses", "horse"),
        ("events in Washington D.C.?", "Washington D.C."),
        ("Say 'How are you?' in French.", "How are you?"),
        ("rock/pop", "pop"),
        ("two fog machines", "fog machine"),
        ("a room in la paz", "La Paz"),
        ("Towels to 204 please.", "towels"),
        ("Write to Ana: " + "word " * 30 + "end.", "word " * 30 + "end"),
    ],
)
def test_phrases_are_quoted_as_people_would(text: str, phrase: str) -> None:
    assert phrase in phrases_in([text])


def test_a_long_conversation_gives_its_last_turns() -> None:
    texts = [" ".join(f"old{i}" for i in range(2000)), "the last turn"]
    found = phrases_in(texts)
    assert len(found) == MOST
    assert "the last turn" in found


def test_a_number_is_one_of_those_said_or_named_by_the_schema() -> None:
    number, age = {"type": "number"}, {"type": "integer", "minimum": 18}
    size = {"type": "integer", "description": "Pages, 10 unless said", "default": 20}
    found = parameters("2.5 kg for Tom, who is 30, 7 times", ("w", "age"), w=number, age=age, size=size)
    assert 2.5 in found["w"]["enum"]
    assert found["age"] == {"enum": [30]}  # 2.5 is no integer, and of grams the parameter says nothing
    assert {10, 20, 30} <= set(found["size"]["enum"])


def test_what_nobody_said_is_left_out_or_free() -> None:
    number = {"type": "integer"}
    many = {"type": "array", "items": number}
    found = parameters("Show the specs of it", ("doors",), year=number, doors=number, list=many)
    assert found == {"doors": number}


def test_texts_with_a_spelling_of_their_own_are_free() -> None:
    day = {"type": "string", "description": "Day (YYYY-MM-DD)"}
    mail, unit = {"type": "string", "format": "email"}, {"type": "string", "enum": ["c", "f"]}
    found = parameters("tomorrow", ("unit",), day=day, mail=mail, unit=unit)
    assert found == {"day": day, "mail": mail, "unit": unit}


def test_nested_values_are_reached() -> None:
    place = {"type": "object", "properties": {"city": {"type": "string"}, "floor": {"type": "integer"}}}
    found = parameters("in Oslo", place=place, tags={"type": "array", "items": {"type": "string"}})
    assert "Oslo" in allowed(found["place"]["properties"]["city"], "in Oslo")
    assert "floor" not in found["place"]["properties"]
    assert "in Oslo" in allowed(found["tags"]["items"], "in Oslo")


def test_what_the_grammar_lets_through_fits_the_tool(vocabulary: Vocabulary) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    tool = Tool(name="forecast", description="", parameters=schema)
    (narrow,) = grounded([tool], ["Five days in New York"])
    grammar = compile_schema(calls_schema([narrow]), vocabulary)
    right = {"calls": [{"name": "forecast", "arguments": {"city": "New York", "days": 5}}]}
    assert grammar.tokens_of(compact_json(right))
    assert not validate(right, calls_schema([tool])).errors
    for wrong in ({"city": "New Yorker"}, {"city": "New York", "days": 7}):
        value = {"calls": [{"name": "forecast", "arguments": wrong}]}
        assert validate(value, grammar.schema).errors


def test_schemas_as_people_write_them_are_narrowed_too() -> None:
    schema = {"type": "dict", "properties": {"base": {"type": "float"}, "unit": {"type": "str"}}, "required": ["base"]}
    (tool,) = grounded([Tool(name="area", description="", parameters=schema)], ["A base of 10.5 cm"])
    assert 10.5 in tool.parameters["properties"]["base"]["enum"]
    assert "cm" in allowed(tool.parameters["properties"]["unit"], "A base of 10.5 cm")


def test_a_faulty_schema_is_left_to_the_error_that_names_it() -> None:
    tool = Tool(
        name="t", description="", parameters={"type": "object", "properties": {"n": {"type": "number", "minimum": "0"}}}
    )
    assert grounded([tool], ["5"]) == [tool]


def test_without_a_conversation_nothing_is_narrowed() -> None:
    tool = Tool(name="t", description="", parameters={"type": "object", "properties": {"n": {"type": "number"}}})
    assert grounded([tool], []) == [tool]


def test_what_users_say_is_not_left_on_disk(
    vocabulary: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_folder", lambda: tmp_path)
    monkeypatch.setattr(compiling, "STORED_FROM_S", 0.0)
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    tool = Tool(name="note", description="Take a note.", parameters=schema)
    inputs = {"messages": [{"role": "user", "content": "Note that the safe is behind Mona Lisa"}]}
    output_grammar("tool_calls", {}, inputs, [tool], vocabulary, 128)
    assert not list(tmp_path.iterdir())
    output_grammar("tool_calls", {}, inputs, [tool], vocabulary, 128, narrow=False)
    assert [path for path in tmp_path.iterdir() if "Mona" not in path.read_text()]


def asked(text: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """The parameters that a tool is left with after a request for one thing."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    (tool,) = grounded([Tool(name="t", description="", parameters=schema)], [text], text)
    return tool.parameters


UNIT = {"enum": ["celsius", "fahrenheit"]}
GARAGE = {"type": "boolean", "description": "Only those with one"}


def test_a_choice_that_the_request_names_is_made_and_another_is_not() -> None:
    named = asked("Oslo in Fahrenheit", unit=UNIT)
    assert named["properties"]["unit"]["enum"] == ["fahrenheit"]
    assert named["required"] == ["unit"]
    assert "unit" not in asked("Oslo", unit=UNIT)["properties"]
    assert asked("Oslo", ("unit",), unit=UNIT)["properties"]["unit"] == UNIT


def test_of_letters_and_codes_it_cannot_be_seen_which_was_said() -> None:
    for codes in ({"enum": ["c", "f"]}, {"enum": ["EUR", "USD"]}):
        left = asked("10 dollars, in Fahrenheit, size M", code=codes)
        assert left["properties"] == {"code": codes}
        assert not left.get("required")


def test_a_flag_needs_its_words() -> None:
    assert asked("a house with a garage", garage=GARAGE)["required"] == ["garage"]
    assert "garage" not in asked("a house", garage=GARAGE)["properties"]


def test_no_more_numbers_than_were_said() -> None:
    number = {"type": "integer"}
    assert set(asked("for 5 people", ("people",), people=number, nights=number)["properties"]) == {"people"}
    assert set(asked("5 people, 2 nights", ("people",), people=number, nights=number)["properties"]) == {
        "people",
        "nights",
    }


def test_a_number_goes_where_its_words_are() -> None:
    number = {"type": "number"}
    found = asked("a stock of 5 km and 300 liters", ("km", "liters"), km=number, liters=number)["properties"]
    assert found == {"km": {"enum": [5]}, "liters": {"enum": [300]}}


def test_arrays_of_numbers_are_the_lists_that_were_said() -> None:
    array = {"type": "array", "items": {"type": "number"}}
    found = asked("the correlation of 1, 2 and 3 with (4, 5 and 7.5)", ("x",), x=array)["properties"]["x"]["enum"]
    assert [1, 2, 3] in found
    assert [4, 5, 7.5] in found
    assert [1, 2] not in found


def test_examples_in_a_description_may_be_written_too() -> None:
    node = {"type": "string", "description": "Kind of image, e.g. visible or infrared"}
    found = asked("an ultraviolet image", kind=node)["properties"]["kind"]["enum"]
    assert {"ultraviolet", "infrared"} <= set(found)


def test_a_long_conversation_over_many_tools_still_compiles(vocabulary: Vocabulary) -> None:
    properties = {f"p{n}": {"type": "string"} for n in range(8)}
    tools = [
        Tool(name=f"t{n}", description="", parameters={"type": "object", "properties": properties}) for n in range(12)
    ]
    text = " ".join(f"word{n}" for n in range(2_000))
    inputs = {"messages": [{"role": "user", "content": text}]}
    assert output_grammar("tool_calls", {}, inputs, tools, vocabulary, 64)


def test_five_percent_is_five_where_percents_are_asked_for() -> None:
    share, percent = {"type": "number"}, {"type": "number", "description": "The rate in percent"}
    found = asked("at 4.5 %", ("share", "rate"), share=share, rate=percent)["properties"]
    assert found == {"share": {"enum": [0.045, 4.5]}, "rate": {"enum": [4.5]}}
    percentile = {"type": "integer"}
    assert (
        90 in asked("the 90th percentile", ("percentile",), percentile=percentile)["properties"]["percentile"]["enum"]
    )
