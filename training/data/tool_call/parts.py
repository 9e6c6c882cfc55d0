"""Rows for the parts of a request: the engine answers a request for several things part by part (decision 059).

The adapter reads the whole request with the bare base and then one part of it, cut as the engine cuts it; the target
are the calls of that part. Which calls those are is told from the words of their values.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from lora_agent.render import read_tools
from lora_agent.structured import split_request
from lora_agent.types import compact_json

from ..rows import Row
from .schema import Call

_WORD = re.compile(r"\w+")


def part_rows(row: Row) -> list[Row]:
    """A row for each part of a row's last turn; [] if it has no parts or fewer calls than parts."""
    calls = row.output["calls"]
    if len(calls) < 2:
        return []
    texts = split_request(row.input["messages"][-1]["content"], read_tools(row.input["tools"]))
    shares = _shares(texts, calls) if 2 <= len(texts) <= len(calls) else None
    if shares is None:
        return []
    return [replace(row, output={"calls": share}, about=text) for text, share in zip(texts, shares, strict=True)]


def _shares(texts: Sequence[str], calls: Sequence[Call]) -> list[list[Call]] | None:
    """Neighbouring calls for each text, so that most words of their values are in it. None if that is a draw, or if
    another part holds more of a call's words: then the cut went through a wish."""
    said = [set(_WORD.findall(text.lower())) for text in texts]
    held = [[len(_values(call) & words) for words in said] for call in calls]
    found: list[tuple[int, tuple[int, ...]]] = []
    for inner in itertools.combinations(range(1, len(calls)), len(texts) - 1):
        cuts = (0, *inner, len(calls))
        score = sum(held[call][part] for part in range(len(texts)) for call in range(cuts[part], cuts[part + 1]))
        found.append((score, cuts))
    found.sort(reverse=True)
    if len(found) > 1 and found[0][0] == found[1][0]:
        return None
    cuts = found[0][1]
    for part, (start, end) in enumerate(itertools.pairwise(cuts)):
        if any(held[call][part] < max(held[call]) for call in range(start, end)):
            return None
    return [list(calls[cuts[part] : cuts[part + 1]]) for part in range(len(texts))]


def _values(call: Call) -> set[str]:
    """Words of a call's values; of the names too, since a call may have no value."""
    text = compact_json(call).replace("_", " ")
    return set(_WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())) - {"name", "arguments"}
