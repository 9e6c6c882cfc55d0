"""Requests that no offered tool serves, from MetaTool and CLINC150 (out of scope).

MetaTool queries name the plugin that would serve them; the tools offered here are functions of our own
generator from areas that the query does not touch. CLINC's out-of-scope questions get the same kind of list.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

from ...rows import Row, Split
from ..generator.offers import Style, make_offer
from ..generator.phrasing import Noise, ask, speak
from ..generator.spec import Function, load_domains
from ..schema import make_row, tool_name
from .files import json_file, open_packed

LONGEST = 200
_WORD = re.compile(r"[a-z]{4,}")
_COMMON = set(
    "what that this with from have your about which there does when where some find show list make name "
    "number most many much best good give tell know need want like will would could should please help "
    "looking".split()
)


def groups(data_dir: Path, rng: Random, split: Split) -> Iterator[list[Row]]:
    """Groups of three: two requests that nothing serves and one that a tool of the list does."""
    metatool = _metatool(data_dir)
    outside = [text for name in ("oos_train", "oos_val") for text in _clinc(data_dir, name)]
    rng.shuffle(metatool)
    rng.shuffle(outside)
    functions = [f for d in load_domains() if d.dev == (split == "dev") for f in d.functions if "any" not in f.tags]
    number = 0
    while metatool:
        number += 1
        group = f"irrelevant/{split}/{number:04}"
        texts = [("metatool", metatool.pop())]
        if outside:
            texts.append(("clinc150", outside.pop()))
        elif metatool:
            texts.append(("metatool", metatool.pop()))
        words = {word for _, text in texts for word in _words(text)}
        pool = [f for f in rng.sample(functions, 40) if not words & _function_words(f)]
        style = Style.draw(rng)
        offers = [make_offer(function, style, rng) for function in pool[: rng.choice((1, 2, 3))]]
        tools = [offer.tool for offer in offers]
        if not offers or len({tool_name(tool) for tool in tools}) < len(tools):
            continue
        rows = [make_row(text, tools, [], f"{source}/none", group, split) for source, text in texts]
        noise = Noise.draw(rng)
        wish = ask(offers[0].function, rng, noise)
        if wish is not None:
            call = offers[0].call(wish.arguments[0])
            kind = "single" if len(tools) == 1 else "multiple"
            rows.append(make_row(speak(wish, (), rng, noise), tools, [call], f"generator/{kind}", group, split))
        rng.shuffle(rows)
        yield rows


def _words(text: str) -> set[str]:
    """Word stems that may show a shared topic."""
    return {word[:5] for word in _WORD.findall(text.lower()) if word not in _COMMON}


def _function_words(function: Function) -> set[str]:
    """All that the function is about: names, descriptions, parameters, requests."""
    parts = [*function.names, *function.descriptions, *function.templates, function.domain]
    parts += [name for parameter in function.parameters for name in (*parameter.names, parameter.description)]
    return _words(" ".join(parts).replace("_", " "))


def _metatool(data_dir: Path) -> list[str]:
    with open_packed(data_dir / "tool-metatool" / "all_clean_data.csv.gz") as lines:
        texts = [record["Query"].strip() for record in csv.DictReader(lines)]
    return [text for text in texts if 12 <= len(text) <= LONGEST]


def _clinc(data_dir: Path, name: str) -> list[str]:
    return [text for text, _ in json_file(data_dir / "router-clinc150" / "train_val.json.gz")[name]]
