"""Intents with utterances: what the matcher between requests and adapters' cards learns from and is tested on.

Train and development are apart by source: CLINC150, BANKING77 and our skills in skills/dev.txt are never trained on. An
utterance that touches a public test set is left out. Knows nothing of features or of routers.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lora_agent.routing import Card

from ..decontaminate import Decontaminator
from ..rows import Split, open_text
from ..tool_call.generator.phrasing import Noise, ask, speak
from ..tool_call.generator.spec import load_domains
from ..tool_call.schema import tool_name
from ..tool_call.sources import written
from ..tool_call.sources.files import json_file, json_lines

SKILLS = Path(__file__).parent / "skills"
MOST = 24
"""Utterances of one training intent; more of the same teach little."""


@dataclass(frozen=True)
class Intent:
    """What one adapter would do. `name` and `description` are its card; some data sets have names only."""

    source: str
    name: str
    description: str
    utterances: tuple[str, ...]

    @property
    def card(self) -> str:
        return Card(self.name, self.description).text


def intents(data: Path, split: Split, seed: int = 0) -> list[Intent]:
    """All intents of a split, in a fixed order."""
    rng, clean = Random(f"{seed}/intents"), Decontaminator.from_data(data)
    readers = (
        (skills, functions, written_tools, metatool, seal_tools, hwu64, sgd)
        if split == "train"
        else (skills, clinc150, banking77)
    )
    found = []
    for read in readers:
        for intent in read(data, split, rng):
            texts = tuple(dict.fromkeys(t for t in intent.utterances if not clean.hits(t)))
            if texts:
                found.append(Intent(intent.source, intent.name, intent.description, texts))
    return found


def skills(_: Path, split: Split, __: Random) -> Iterator[Intent]:
    """Our own: what people train adapters for, and what users want of services (train_services, train_devices)."""
    for path in sorted(SKILLS.glob(f"{split}*.txt")):
        for block in f"\n{path.read_text('utf-8')}".split("\n== ")[1:]:
            head, *lines = block.strip().splitlines()
            name, description = (part.strip() for part in head.split("|"))
            yield Intent("skills", name, description, tuple(lines))


def functions(_: Path, split: Split, rng: Random) -> Iterator[Intent]:
    """The functions of the tool-call generator."""
    for domain in load_domains():
        if domain.dev == (split == "dev"):
            for function in domain.functions:
                wishes = (ask(function, rng, Noise()) for _ in range(7))
                texts = tuple(speak(wish, (), rng, Noise()) for wish in wishes if wish is not None)
                yield Intent("functions", function.names[0], rng.choice(function.descriptions), texts)


def written_tools(_: Path, __: Split, ___: Random) -> Iterator[Intent]:
    """The tools of the written tool lists, by the requests that call nothing else."""
    for table in written.read_tables("train"):
        for one in table:
            queries: dict[str, list[str]] = defaultdict(list)
            for request in one.requests:
                called = {call["name"] for call in request.calls}
                if len(called) == 1:
                    queries[called.pop()].append(request.text)
            for tool in one.tools:
                name = tool_name(tool)
                if len(queries[name]) > 1:
                    description = f"{tool['function']['description']} ({one.name.replace('_', ' ')})"
                    yield Intent("written", _spaced(name), description, tuple(queries[name]))


def metatool(data: Path, _: Split, rng: Random) -> Iterator[Intent]:
    folder = data / "tool-metatool"
    described = {**json_file(folder / "plugin_des.json.gz"), **json_file(folder / "big_tool_des.json.gz")}
    queries: dict[str, list[str]] = defaultdict(list)
    with open_text(folder / "all_clean_data.csv.gz") as lines:
        for item in csv.DictReader(lines):
            queries[item["Tool"]].append(item["Query"])
    for name, texts in sorted(queries.items()):
        if name in described:
            yield Intent("metatool", _spaced(name), described[name], _some(texts, rng))


def seal_tools(data: Path, _: Split, __: Random) -> Iterator[Intent]:
    """Requests of one call, by the function that they need."""
    queries: dict[str, list[str]] = defaultdict(list)
    cards: dict[str, str] = {}
    for record in json_lines(data / "tool-seal-tools" / "dev.jsonl.gz"):
        if len(record["calling"]) == 1:
            queries[record["calling"][0]["api"]].append(record["query"])
        cards |= {api["api_name"]: api["api_description"] for api in record["api_list"]}
    for name, texts in queries.items():
        if name in cards:
            yield Intent("seal-tools", _spaced(name), cards[name], tuple(texts[:MOST]))


def hwu64(data: Path, _: Split, rng: Random) -> Iterator[Intent]:
    queries: dict[str, list[str]] = defaultdict(list)
    for record in json_lines(data / "tool-hwu64" / "hwu64.jsonl.gz"):
        queries[record["intent"]].append(record["text"])
    yield from _named("hwu64", queries, rng)


def sgd(data: Path, _: Split, rng: Random) -> Iterator[Intent]:
    """The user's last turn before a service is called, where it is long enough to tell which."""
    described = {
        (service["service_name"], intent["name"]): f"{intent['description']}. {service['description']}"
        for service in json_file(data / "tool-sgd" / "schema_train.json.gz")
        for intent in service["intents"]
    }
    queries: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in json_lines(data / "tool-sgd" / "calls_train.jsonl.xz"):
        text = record["history"][0]["text"]
        if len(record["history"]) <= 3 and len(text.split()) > 5:
            queries[record["service"], record["call"]["method"]].append(text)
    for key, texts in sorted(queries.items()):
        if key in described:
            yield Intent("sgd", _spaced(key[1]), described[key], _some(texts, rng))


def clinc150(data: Path, _: Split, __: Random) -> Iterator[Intent]:
    """Development: the training part's first ten utterances are the examples, those of the validation part the test."""
    yield from _shots("clinc150", clinc(data, "train"), clinc(data, "val"))


def clinc(data: Path, part: str) -> list[tuple[str, str]]:
    """(utterance, intent) of a part such as "oos_val"."""
    return [(text, name) for text, name in json_file(data / "router-clinc150" / "train_val.json.gz")[part]]


def banking77(data: Path, _: Split, __: Random) -> Iterator[Intent]:
    parts = []
    for part in ("train", "test"):
        with open_text(data / "router-banking77" / f"{part}.csv.gz") as lines:
            parts.append([(item["text"].strip(), item["category"]) for item in csv.DictReader(lines)])
    yield from _shots("banking77", *parts)


SHOTS = 10


def _shots(source: str, examples: Iterable[tuple[str, str]], tests: Iterable[tuple[str, str]]) -> Iterator[Intent]:
    """The first SHOTS utterances of an intent are its examples, six others its test."""
    found: dict[str, list[str]] = defaultdict(list)
    for pairs, most in ((examples, SHOTS), (tests, SHOTS + 6)):
        for text, name in pairs:
            if len(found[name]) < most:
                found[name].append(text)
    for name, texts in sorted(found.items()):
        yield Intent(source, name, "", tuple(texts))


def _named(source: str, queries: dict[str, list[str]], rng: Random) -> Iterator[Intent]:
    for name, texts in sorted(queries.items()):
        yield Intent(source, name, "", _some(texts, rng))


def _some(texts: list[str], rng: Random) -> tuple[str, ...]:
    return tuple(rng.sample(texts, min(MOST, len(texts))))


def _spaced(name: str) -> str:
    """FindRestaurants → find restaurants."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
