"""The tool_call data: the generator's tables and rows, the readers on small files made here, the build."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import re
import tarfile
from hashlib import blake2b
from itertools import groupby, islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest

from lora_agent.errors import ConfigError
from lora_agent.types import Tool, compact_json
from training.data.__main__ import main
from training.data.rows import Row, read_rows, write_rows
from training.data.tool_call.build import build
from training.data.tool_call.generator.compose import Composer
from training.data.tool_call.generator.phrasing import Noise, ask
from training.data.tool_call.generator.spec import Domain, load_domains, parse_table
from training.data.tool_call.generator.unrelated import CHAT, unrelated
from training.data.tool_call.generator.values import parse_kind
from training.data.tool_call.parts import part_rows
from training.data.tool_call.quotes import parts_of, quote
from training.data.tool_call.schema import TargetChecker, camel, make_call, make_row, make_tool, snake
from training.data.tool_call.sources import home_assistant, hwu64, seal_tools, sgd, snips, written
from training.data.tool_call.sources.intents import parse_intents


@pytest.fixture(scope="module")
def domains() -> list[Domain]:
    return load_domains()


@pytest.fixture(scope="module")
def rows(domains: list[Domain]) -> list[Row]:
    train = [domain for domain in domains if not domain.dev]
    groups = islice(Composer(train, Random(3), "train").groups(), 250)
    return [row for group in groups for row in group]


# The tables


def test_tables_are_wide(domains: list[Domain]) -> None:
    functions = [function for domain in domains for function in domain.functions]
    assert len(domains) >= 40
    assert len(functions) >= 250
    assert len({function.key for function in functions}) == len(functions)
    assert 3 <= sum(domain.dev for domain in domains) <= len(domains) // 4


def test_descriptions_are_short(domains: list[Domain]) -> None:
    for function in (function for domain in domains for function in domain.functions):
        assert all(len(text.split()) <= 25 for text in function.descriptions), function.key
        assert all(len(p.description.split()) <= 10 for p in function.parameters), function.key


def test_every_kind_samples_values_of_its_schema(domains: list[Domain]) -> None:
    rng = Random(0)
    for parameter in (p for d in domains for f in d.functions for p in f.parameters):
        for _ in range(3):
            surface, value = parameter.kind.sample(rng)
            jsonschema.validate(value, parameter.kind.schema)
            assert surface


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x* city", "cannot read"),
        ("x* :town: City", "unknown kind"),
        ("x* :city big: City", "unknown kind"),
        ("x* :int 3: Number", "cannot be read"),
        ("x* :city: City\n- go to {y}\n- a {x}\n- b {x}", "unknown or repeated slot"),
        ("x* :city: City\n- go[ to {x}]\n- a {x}\n- b {x}", "may leave out"),
        ("x* :city: City\n- what is {x}\n- a {x}\n- b {x}", "is no order"),
        ("x* :city: City\n- go to {x}", "three templates"),
    ],
)
def test_a_broken_table_names_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_table(f"== d\n\nf | Does f\n{line}\n", "t.txt")


def test_surfaces_and_values_agree() -> None:
    rng = Random(1)
    for _ in range(50):
        surface, value = parse_kind("time24").sample(rng)
        hour = int(re.findall(r"\d+", surface)[0]) % 12 + (12 if "pm" in surface else 0)
        assert surface == value or int(value[:2]) == hour
        surface, value = parse_kind("rate 1 9").sample(rng)
        shown = float(re.findall(r"[\d.]+", surface)[0])
        assert shown == pytest.approx(value * 100 if "%" in surface or "percent" in surface else value)


# The generator's rows


def test_every_target_validates_and_messages_are_right(rows: list[Row]) -> None:
    checker = TargetChecker()
    for row in rows:
        assert checker.fault(row) is None, row
        assert [m["role"] for m in row.input["messages"]] == ["user"]
        assert not re.search(r"[{}\[\]]|\(.*\|", row.input["messages"][0]["content"]), row
        for tool in row.input["tools"]:
            Tool.model_validate(tool)


def test_free_strings_of_a_call_stand_in_the_request(rows: list[Row]) -> None:
    for row in rows:
        text = row.input["messages"][0]["content"]
        schemas = {t["function"]["name"]: t["function"]["parameters"]["properties"] for t in row.input["tools"]}
        for call in row.output["calls"]:
            for name, value in call["arguments"].items():
                schema = schemas[call["name"]][name]
                coded = "enum" in schema or "HH:MM" in str(schema) or "YYYY" in str(schema)
                if isinstance(value, str) and not coded:
                    assert value in text, (value, text)


def test_kinds_have_their_shares(rows: list[Row]) -> None:
    share = {
        kind: sum(row.source == f"generator/{kind}" for row in rows) / len(rows)
        for kind in ("single", "multiple", "parallel", "parallel-multiple", "none")
    }
    low = {"single": 0.08, "multiple": 0.25, "parallel": 0.13, "parallel-multiple": 0.27, "none": 0.09}
    assert all(share[kind] > least for kind, least in low.items()), share
    for row in rows:
        calls = row.output["calls"]
        if row.source == "generator/none":
            assert calls == []
        elif "parallel" in row.source:
            assert len({compact_json(c) for c in calls}) == len(calls) >= 2
        else:
            assert len(calls) == 1


def test_each_of_several_calls_quotes_its_part(rows: list[Row]) -> None:
    several = [row for row in rows if len(row.output["calls"]) > 1]
    for row in several:
        text, at = row.input["messages"][0]["content"], 0
        quotes = [call["for"] for call in row.output["calls"]]
        for words in quotes:
            at = text.index(words, at) + len(words)
    assert not any("for" in call for row in rows if len(row.output["calls"]) == 1 for call in row.output["calls"])


def test_lists_that_belong_together_are_paired(rows: list[Row]) -> None:
    paired = [row for row in rows if "respectively" in row.input["messages"][0]["content"]]
    assert len(paired) >= 5
    for row in paired:
        arguments = [call["arguments"] for call in row.output["calls"]]
        assert any(sum(a[k] != b[k] for k in a) > 1 for a, b in pairwise(arguments) if a.keys() == b.keys()), row


def test_a_part_by_another_hand_is_the_sentence_with_the_values() -> None:
    calls = [{"name": "getAirline", "arguments": {"code": "BA"}}, {"name": "cost", "arguments": {"product": "phone"}}]
    text = "I need help. Look up the airline BA. Then, what does a phone cost?"
    parts = parts_of(text, calls)
    assert parts == ["Look up the airline BA.", "what does a phone cost?"]
    assert [c["for"] for c in quote(calls, text, parts)] == ["Look up the airline BA", "what does a phone cost"]
    assert parts_of("Look up the airline BA and tell me what a phone costs", calls) == [
        "Look up the airline BA",
        "tell me what a phone costs",
    ]
    assert parts_of(text, calls[::-1]) is None
    assert quote(calls, text, parts[::-1]) == calls


def test_rows_of_a_group_share_their_tool_list(rows: list[Row]) -> None:
    lists: dict[str, set[str]] = {}
    for row in rows:
        lists.setdefault(row.group, set()).add(compact_json(row.input["tools"]))
    assert all(len(found) == 1 for found in lists.values())


def test_equal_seeds_give_equal_rows(domains: list[Domain]) -> None:
    first, second = (list(islice(Composer(domains, Random(9), "dev").groups(), 20)) for _ in range(2))
    assert first == second


def test_functions_with_a_common_tag_never_meet(domains: list[Domain], rows: list[Row]) -> None:
    tags = {name: f.tags for d in domains for f in d.functions for stem in f.names for name in (snake(stem),)}
    for row in rows:
        seen: set[str] = set()
        for tool in row.input["tools"]:
            own = tags[snake(tool["function"]["name"].rsplit(".")[-1])]
            assert not own & seen, row.input["tools"]
            seen |= own


def test_one_slot_may_name_several_values(domains: list[Domain]) -> None:
    weather = next(f for d in domains for f in d.functions if f.names[0] == "get_weather")
    wish = ask(weather, Random(4), Noise(), repeats=3)
    assert wish is not None
    cities = [arguments["city"] for arguments in wish.arguments]
    assert len(set(cities)) == 3
    assert f"{cities[0]}, {cities[1]} and {cities[2]}" in wish.text


def test_unrelated_messages_are_plain_text() -> None:
    texts = {unrelated(Random(seed)) for seed in range(300)}
    assert len(texts) > 100
    assert not any("|" in text for text in texts)
    assert all(len(line) > 3 for line in CHAT)


# Tools and targets


def test_arguments_follow_the_order_of_the_properties() -> None:
    inner = {"type": "object", "properties": {"y": {"type": "integer"}, "z": {"type": "integer"}}}
    tool = make_tool("f", "", {"b": {"type": "string"}, "a": inner}, ["a"])
    call = make_call(tool, {"a": {"z": 1, "y": 2}, "b": "x"})
    assert compact_json(call) == '{"name":"f","arguments":{"b":"x","a":{"y":2,"z":1}}}'


@pytest.mark.parametrize(
    ("name", "arguments", "fault"),
    [
        ("g", {}, "not offered"),
        ("f", {"c": 1}, "does not have"),
        ("f", {"b": 1, "a": "x"}, "out of order"),
        ("f", {"a": 1}, "do not validate"),
        ("f", {"b": 1}, "do not validate"),
    ],
)
def test_a_wrong_target_is_found(name: str, arguments: dict[str, Any], fault: str) -> None:
    tool = make_tool("f", "", {"a": {"type": "string"}, "b": {"type": "integer"}}, ["a"])
    row = make_row("hi", [tool], [{"name": name, "arguments": arguments}], "s", "g")
    assert fault in str(TargetChecker().fault(row))


def test_names_change_style() -> None:
    assert (snake("getHTTPLog2"), camel("get_weather")) == ("get_http_log_2", "getWeather")


# The readers, on files with text of our own


ROOMS = ("den", "loft", "cellar", "porch", "barn", "shed", "studio", "lobby")


def _pack(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = lzma.compress(content.encode()) if path.suffix == ".xz" else gzip.compress(content.encode(), mtime=0)
    path.write_bytes(packed)


def _lines(records: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(record) for record in records)


def _seal(number: int, query: str, **parameters: Any) -> dict[str, Any]:
    spec = {"city": {"type": "str", "description": "City"}, "days": {"type": "int", "description": "Days"}}
    api = {"api_name": "forecast", "api_description": "Forecast", "parameters": spec, "required": ["city"]}
    call = {"api": "forecast", "parameters": parameters, "responses": []}
    return {
        "id": f"r{number}",
        "query": query,
        "calling": [call],
        "api_list": [{**api, "field": "Weather/Daily"}],
    }


def _intent(text: str, intent: str, **entities: str) -> dict[str, Any]:
    found = [
        {"start": text.index(value), "end": text.index(value) + len(value), "value": value, "entity": entity}
        for entity, value in entities.items()
    ]
    return {"text": text, "intent": intent, "entities": found}


def _rating(word: str) -> dict[str, Any]:
    slots = [{"text": f"Tale {word}", "entity": "object_name"}, {"text": word, "entity": "rating_value"}]
    return {"intent": "RateBook", "data": [{"text": "Give "}, slots[0], {"text": " "}, slots[1]]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a few rows of each set."""
    root = tmp_path_factory.mktemp("data")
    good = [
        _seal(i, f"I need a forecast for {c}, {i} days", city=c.upper(), days=str(i))
        for i, c in enumerate(("Ulm", "Bonn"), 2)
    ]
    bad = [
        _seal(7, "A forecast for some town", city="Kiel"),
        _seal(8, "A forecast for a city", city="city"),
        _seal(9, "A forecast for API_call_0", city="API_call_0"),
        _seal(10, "A forecast for Gera", city="Gera", days="three"),
    ]
    for name in ("dev", "test_in_domain"):
        _pack(root / f"tool-seal-tools/{name}.jsonl.gz", _lines(good + bad))
    hwu = [
        _intent(f"make the {room} lights green", "iot_hue_lightchange", color_type="green", house_place=room)
        for room in ROOMS
    ]
    hwu += [
        _intent(f"play the drum song number {room}", "play_music", song_name=f"drum song number {room}")
        for room in ROOMS
    ]
    hwu += [_intent(f"well done my {room} friend", "general_praise") for room in ROOMS]
    hwu += [_intent("make the lights red tomorrow", "iot_hue_lightchange", color_type="red")]
    _pack(root / "tool-hwu64/hwu64.jsonl.gz", _lines(hwu))
    rate = [_rating(word) for word in ("one", "two", "three", "four", "5", "six", "lots")]
    _pack(root / "tool-snips/train.jsonl.gz", _lines(rate))
    _pack(root / "tool-snips/validate.jsonl.gz", _lines(rate))
    _write_sgd(root / "tool-sgd")
    _write_home_assistant(root / "tool-home-assistant/home_assistant_en.tar.xz")
    queries = "\n".join(f"Which zebra number {i} wears the longest scarf?,Zoo" for i in range(60))
    _pack(root / "tool-metatool/all_clean_data.csv.gz", f"Query,Tool\n{queries}\n")
    clinc = {"oos_train": [["do penguins like opera", "oos"]], "oos_val": [["why is glue sticky", "oos"]]}
    _pack(root / "router-clinc150/train_val.json.gz", json.dumps(clinc))
    hashed = blake2b(b"make the den lights green", digest_size=8).hexdigest()
    _pack(root / "decontamination/ngrams.txt.gz", hashed)
    return root


def _write_sgd(folder: Path) -> None:
    def slot(name: str, *values: str) -> dict[str, Any]:
        return {
            "name": name,
            "description": name,
            "is_categorical": bool(values),
            "possible_values": list(values),
        }

    def service(name: str, place: str) -> dict[str, Any]:
        intent = {
            "name": "BookSeat",
            "description": f"Book a seat in a {place}",
            "required_slots": ["place", "seats"],
            "optional_slots": {"window": "dontcare", "class": "basic"},
        }
        slots = [
            slot("place"),
            slot("seats", "1", "2"),
            slot("window", "True", "False"),
            slot("class", "basic", "extra"),
        ]
        return {
            "service_name": name,
            "description": place,
            "slots": slots,
            "intents": [{**intent, "name": f"Book{place}"}],
        }

    def call(name: str, method: str, text: str, **parameters: str) -> dict[str, Any]:
        history = [{"role": "user", "text": text}]
        return {"service": name, "call": {"method": method, "parameters": parameters}, "history": history}

    train, dev = (
        [service("Ships_1", "Ship"), service("Tents_1", "Tent")],
        [service("Ships_1", "Ship"), service("Caves_1", "Cave")],
    )
    for split, schema in (("train", train), ("dev", [*dev, service("Domes_2", "Dome")])):
        _pack(folder / f"schema_{split}.json.gz", json.dumps(schema))
        calls = []
        for record in schema:
            name, method = record["service_name"], record["intents"][0]["name"]
            for town in ("Ulm", "Bonn", "Kiel", "Gera", "Hof"):
                calls.append(
                    call(
                        name,
                        method,
                        f"Two seats to {town} at a window",
                        place=town,
                        seats="2",
                        window="True",
                        **{"class": "basic"},
                    )
                )
            calls.append(call(name, method, "A seat please", place="Mars", seats="1"))
        _pack(folder / f"calls_{split}.jsonl.xz", _lines(calls))


def _write_home_assistant(path: Path) -> None:
    intents = {
        f"Hass{name}": {
            "description": name,
            "slots": {"area": {"description": "Area"}, "position": {"required": True}},
        }
        for name in ("SetPosition", "MediaNext", "TimerStatus", "VacuumStart", "ListAddItem")
    }
    tests = [
        {
            "sentences": [f"{name} attic to 40"],
            "intent": {"name": name, "slots": {"area": "Attic", "position": 40}},
        }
        for name in intents
    ]
    tests += [
        {
            "sentences": ["open it to 40"],
            "intent": {"name": "HassSetPosition", "slots": {"area": "Attic", "position": 40}},
        }
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name, content in (
            ("intents.yaml", intents),
            ("tests/en/all.yaml", {"language": "en", "tests": tests}),
        ):
            text = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))


def _all(groups: Any) -> list[Row]:
    return [row for group in groups for row in group]


def test_seal_tools_keeps_only_values_that_the_request_holds(data: Path) -> None:
    found = [row for row in _all(seal_tools.groups(data, Random(0), "train")) if row.output["calls"]]
    arguments = sorted(compact_json(row.output["calls"][0]["arguments"]) for row in found)
    assert arguments == ['{"city":"Bonn","days":3}', '{"city":"Ulm","days":2}']  # typed, spelled as asked


def test_hwu64_reads_marked_entities_and_drops_unmarked_days(data: Path) -> None:
    found = _all(hwu64.groups(data, Random(0), "train"))
    changes = [c["arguments"] for row in found for c in row.output["calls"] if "color" in c["arguments"]]
    assert changes
    assert all(c["color"] == "green" and c["room"] in ROOMS for c in changes)
    assert not any("tomorrow" in row.input["messages"][0]["content"] for row in found)
    assert all(TargetChecker().fault(row) is None for row in found)


def test_snips_reads_numbers(data: Path) -> None:
    found = _all(snips.groups(data, Random(0), "train"))
    assert {type(c["arguments"]["rating"]) for row in found for c in row.output["calls"]} == {int}


def test_sgd_types_values_and_holds_services_out(data: Path) -> None:
    found = _all(sgd.groups(data, Random(0), "train"))
    calls = [call for row in found for call in row.output["calls"]]
    assert calls
    assert not any("Mars" in compact_json(call) for call in calls)
    assert {"seats": 2, "window": True}.items() <= calls[0]["arguments"].items()
    assert "class" not in calls[0]["arguments"]  # a default that nobody said
    names = {
        tool["function"]["name"] for row in _all(sgd.groups(data, Random(0), "dev")) for tool in row.input["tools"]
    }
    assert names == {"book_cave", "book_dome"}


def test_home_assistant_needs_every_slot_in_the_sentence(data: Path) -> None:
    found = [row for row in _all(home_assistant.groups(data, Random(0), "dev")) if row.output["calls"]]
    arguments = {compact_json(row.output["calls"][0]["arguments"]) for row in found}
    assert arguments == {'{"area":"attic","position":40}'}


def test_intent_table() -> None:
    intents = parse_intents("a: do_a | Does a\n  x* item:integer | Item\n  y ! | -")
    assert intents["a"].read("t", [("x", "three")]) is not None
    assert intents["a"].read("t", [("x", "many")]) is None
    assert intents["a"].read("t", [("x", "1"), ("y", "2")]) is None
    assert intents["a"].read("t", []) is None


# Written by hand


TABLE = """== vet_practice
@ book_visit | Books a visit at the practice.
pet* string | Name of the animal
reason* enum checkup,vaccination | What the visit is for
weights_kg number[] | Weights
owner.phone* string | Phone number
reminder boolean =true | Send a reminder

@ find_medicine | Finds a medicine.
name* string | Name of the medicine, e.g. 'Milbemax'

? Tilly (0123) needs her jabs. And do you have Frontline?
= book_visit {"owner": {"phone": "0123"}, "pet": "Tilly", "reason": "vaccination"}
= find_medicine {"name": "Frontline"}
? What is the capital of Peru?
= none
"""


def test_a_written_table_is_read() -> None:
    (one,) = written.parse_table(TABLE, "t.txt")
    parameters = one.tools[0]["function"]["parameters"]
    assert parameters["required"] == ["pet", "reason", "owner"]
    assert parameters["properties"]["reason"]["enum"] == ["checkup", "vaccination"]
    assert parameters["properties"]["weights_kg"]["items"] == {"type": "number"}
    assert parameters["properties"]["reminder"]["default"] is True
    assert parameters["properties"]["owner"]["required"] == ["phone"]
    assert [len(request.calls) for request in one.requests] == [2, 0]
    assert list(one.requests[0].calls[0]["arguments"]) == ["pet", "reason", "owner"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pet* string", "pet* text", "cannot read the parameter"),
        ("enum checkup,vaccination", "enum", "has choices"),
        ("= none", "", "needs its calls"),
        ("find_medicine {", "find_drug {", "no tool of the list"),
        ('"Frontline"}', '"Frontline"', "delimiter"),
        ('"vaccination"}', '"jabs"}', "do not validate"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        written.parse_table(TABLE.replace(old, new), "t.txt")


def test_written_rows_validate_and_share_tools_in_their_groups() -> None:
    groups = list(written.groups(Path(), Random(1), "train"))
    rows = [row for group in groups for row in group]
    checker = TargetChecker()
    assert [checker.fault(row) for row in rows if checker.fault(row) not in (None, "two tools share a name")] == []
    assert all(len({compact_json(row.input["tools"]) for row in group}) == 1 for group in groups)
    assert len({row.group for row in rows}) == len(groups)
    assert min(sum(len(row.output["calls"]) == count for row in rows) for count in (0, 1, 2)) > 200


# Parts


def test_each_part_has_its_own_calls(tmp_path: Path) -> None:
    (one,) = written.parse_table(TABLE, "t.txt")
    row = make_row(one.requests[0].text, one.tools, one.requests[0].calls, "written/parallel-multiple", "g")
    first, second = part_rows(row)
    assert (first.about, second.about) == ("Tilly (0123) needs her jabs", "Do you have Frontline?")
    assert [call["name"] for part in (first, second) for call in part.output["calls"]] == [
        "book_visit",
        "find_medicine",
    ]
    assert first.input == row.input
    write_rows(tmp_path / "rows.jsonl", [first])
    assert read_rows(tmp_path / "rows.jsonl") == [first]


@pytest.mark.parametrize(
    "text",
    [
        "Tilly (0123) needs her jabs, find Frontline medicine. And is it there?",
        "Book Tilly (0123) and find Frontline. A vaccination, and is the medicine there?",  # three parts, two calls
    ],
)
def test_a_cut_through_a_wish_makes_no_parts(text: str) -> None:
    (one,) = written.parse_table(TABLE, "t.txt")
    row = make_row(text, one.tools, one.requests[0].calls, "written/parallel-multiple", "g")
    assert part_rows(row) == []
    assert part_rows(make_row("Tilly", one.tools, one.requests[0].calls[:1], "written/single", "g")) == []


# The build


def test_build_writes_both_splits_and_accounts_for_every_row(data: Path, tmp_path: Path) -> None:
    report = build(data, tmp_path / "one", 5, train=160, dev=60)
    train, dev = (read_rows(tmp_path / "one" / f"{split}.jsonl.gz") for split in ("train", "dev"))
    assert report == json.loads((tmp_path / "one/report.json").read_text())
    assert 160 <= len(train) < 170
    assert 60 <= len(dev) < 70
    assert sum(report["splits"]["train"]["by_source"].values()) == len(train)
    assert [{row.split for row in rows} for rows in (train, dev)] == [{"train"}, {"dev"}]
    assert not {row.group for row in train} & {row.group for row in dev}
    assert not any("den lights" in compact_json(row.input["messages"]) for row in train)
    own = [
        {t["function"]["name"] for r in rows if r.source.startswith("generator") for t in r.input["tools"]}
        for rows in (train, dev)
    ]
    assert not own[0] & own[1]
    runs = [group for group, _ in groupby(row.group for row in train)]
    assert len(runs) == len(set(runs))  # groups are not torn apart
    build(data, tmp_path / "two", 5, train=160, dev=60)
    assert (tmp_path / "one/train.jsonl.gz").read_bytes() == (tmp_path / "two/train.jsonl.gz").read_bytes()


def test_build_without_data_says_what_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tool_call", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "LORA_AGENT_DATA" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
