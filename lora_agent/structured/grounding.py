"""Arguments that somebody said: tools whose parameters take only numbers and phrases that occur in the conversation.

A small model writes a number that looks like one ("402000" as 40200, a year that nobody named) or half a name
("Retrilet"), and its grammar lets it. What a request says is a short list, so the grammar of its call names it
(decision 055). What the schema itself names counts as said. Of what may be left out, only what the request speaks of
may be written, and a choice that it names must be (decision 060). Knows texts and schemas, no models.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from lora_agent.errors import SchemaError
from lora_agent.structured.candidates import spaced
from lora_agent.structured.check import read_schema
from lora_agent.structured.evidence import words
from lora_agent.structured.normalise import normalise
from lora_agent.structured.numerals import lists_in, mentions, numbers_in
from lora_agent.structured.phrases import phrases_in
from lora_agent.structured.repeats import Use
from lora_agent.types import Tool, compact_json

_FREE = frozenset("enum const $ref anyOf oneOf allOf not if format pattern".split())
"""Keywords beside which a node is left as it is."""
_SPELLED = re.compile(
    r"format|y{2,4}.?m{1,2}|m{1,2}.?d{1,2}|h{1,2}.?m{1,2}|iso\b|codes?\b|abbreviat",
    re.IGNORECASE,
)
"""In the description of a text that is to be spelled in some way of its own: it is left free."""
_EXAMPLES = re.compile(r"(?:e\.g|such as|for example|either|one of)\b(.*)", re.IGNORECASE | re.DOTALL)
"""What follows may be written as well as what was said."""
_OF_FLAGS = words("whether true false set flag enable")
_SHORT = 2
"""Characters of a word that are too few to be sure that it was said as a choice: "M", "km"."""


@dataclass(frozen=True)
class _Said:
    numbers: set[float]
    phrases: list[str]
    lists: list[list[float]]
    words: set[str]
    mentions: int
    """How many numbers; of the whole conversation."""
    request: set[str]
    """Words of the one thing that is wanted; empty where that is not known."""


def grounded(
    tools: Sequence[Tool],
    texts: Sequence[str],
    request: str | None = None,
    without: Collection[Use] = (),
) -> list[Tool]:
    """The tools, with each number an enum of the numbers said, and each text one of the phrases. A number that must be
    given is left free if none would do; one that need not be is left out, and so are numbers beyond those said,
    choices of which none was named, and flags whose words nobody used. `request`: the last turn, if it wants one thing:
    a choice that it names must be given. `without`: arguments that are not to be written. Without texts the tools are
    as they were."""
    if not texts:
        return list(tools)
    text = "\n".join(texts)
    numbers = numbers_in(text)
    figures = [f"{value:g}" for value in numbers if abs(value) < 1e6]
    phrases = [*phrases_in(texts), *figures]
    said = _Said(numbers, phrases, lists_in(text), words(text), mentions(text), words(request or ""))
    left = [_narrow(tool, said) for tool in tools]
    for use in without:
        left = [_forbid(tool, use) if tool.name == use.tool else tool for tool in left]
    return left


def _forbid(tool: Tool, use: Use) -> Tool:
    """The tool without that argument: without its parameter, if it may be left out."""
    properties = dict(tool.parameters.get("properties") or {})
    node = properties.get(use.parameter)
    if use.parameter not in (tool.parameters.get("required") or ()):
        properties.pop(use.parameter, None)
    elif isinstance(node, dict) and len(node.get("enum", ())) > 1:
        properties[use.parameter] = {**node, "enum": [value for value in node["enum"] if value != use.value]}
    return tool.model_copy(update={"parameters": {**tool.parameters, "properties": properties}})


def _narrow(tool: Tool, said: _Said) -> Tool:
    try:
        parameters = normalise(tool.parameters).schema
        read_schema(parameters)
    except SchemaError:
        return tool  # `calls_schema` says which tool it is and what is wrong with it
    common = words(f"{spaced(tool.name)} {tool.description}")
    return tool.model_copy(update={"parameters": _object(parameters, said, common)})


def _object(node: dict[str, Any], said: _Said, common: set[str]) -> dict[str, Any]:
    """`common`: the tool's own words, which say nothing of one of its parameters."""
    properties = node.get("properties")
    if not isinstance(properties, dict):
        return node
    required = node.get("required")
    needed = list(required) if isinstance(required, list) else []
    spare = said.mentions - sum(_is_number(properties.get(name)) for name in needed)
    kept = {}
    for name, child in properties.items():
        found = _value(child, said, common)
        if name not in needed and isinstance(child, dict):
            if _is_choice(child):
                found, must = _choice(child, said)
                needed += [name] if must else []
            elif (_is_number(child) and spare <= 0) or (
                child.get("type") == "boolean" and _unasked(name, child, said, common)
            ):
                found = None
        if found is not None or name in needed:
            kept[name] = child if found is None else found
    return {**node, "properties": kept, **({"required": needed} if needed else {})}


def _is_number(node: Any) -> bool:
    return isinstance(node, dict) and node.get("type") in ("integer", "number")


def _is_choice(node: dict[str, Any]) -> bool:
    """An enum of texts that have words of their own, so that it can be seen which was said."""
    values = node.get("enum")
    return bool(isinstance(values, list) and values and all(isinstance(v, str) and words(spaced(v)) for v in values))


def _choice(node: dict[str, Any], said: _Said) -> tuple[Any, bool]:
    """What is left of an optional choice, and whether it must be made."""
    heard = [value for value in node["enum"] if _is_said(value, said.words)]
    asked = any(_is_said(value, said.request) and len(value) > _SHORT for value in heard)
    return ({**node, "enum": heard} if heard else None), asked


def _is_said(value: str, by: set[str]) -> bool:
    return words(value) <= by or words(spaced(value)) <= by


def _unasked(name: str, node: dict[str, Any], said: _Said, common: set[str]) -> bool:
    """Whether a flag has words of its own, and the conversation none of them."""
    own = words(f"{spaced(name)} {node.get('description', '')}") - common - _OF_FLAGS
    return bool(own) and not own & said.words


def _value(node: Any, said: _Said, common: set[str]) -> Any:
    """A schema of what may be written; None where nothing that was said would do."""
    if not isinstance(node, dict) or _FREE & node.keys():
        return node
    match node.get("type"):
        case "integer" | "number":
            numbers = _numbers(node, said.numbers)
            return {"enum": numbers} if numbers else None
        case "string":
            phrases = _phrases(node, said)
            return {"enum": phrases} if phrases else node
        case "array" if _is_number(node.get("items")) and said.lists:
            lists = _lists(node, said)
            return {"enum": lists} if lists else None
        case "array" if isinstance(node.get("items"), dict):
            items = _value(node["items"], said, common)
            return None if items is None else {**node, "items": items}
        case "object":
            return _object(node, said, common)
    return node


def _lists(node: dict[str, Any], said: _Said) -> list[list[float]]:
    """The lists of numbers that were said, and each number alone."""
    alone = [[value] for value in sorted(said.numbers)]
    lists = [[_figure(value) for value in found] for found in [*said.lists, *alone]]
    valid = jsonschema.Draft202012Validator(node).is_valid
    return [found for found in lists if valid(found) and "e" not in compact_json(found)]


def _figure(value: float) -> float:
    return int(value) if value == int(value) else value


def _numbers(node: dict[str, Any], said: set[float]) -> list[float]:
    own = numbers_in(str(node.get("description", "")))
    own |= {float(value) for value in _named(node) if isinstance(value, int | float) and not isinstance(value, bool)}
    numbers = [_figure(value) for value in sorted(said | own) if abs(value) < 1e15]
    valid = jsonschema.Draft202012Validator(node).is_valid
    return [value for value in numbers if valid(value) and "e" not in compact_json(value)]


def _phrases(node: dict[str, Any], said: _Said) -> list[str]:
    description = str(node.get("description", ""))
    if _SPELLED.search(description):
        return []
    named = [value for value in _named(node) if isinstance(value, str)]
    named += phrases_in(match.group(1) for match in _EXAMPLES.finditer(description))
    least, most = node.get("minLength", 0), node.get("maxLength", 10_000)
    return [text for text in dict.fromkeys([*said.phrases, *named]) if least <= len(text) <= most]


def _named(node: dict[str, Any]) -> list[Any]:
    examples = node.get("examples")
    default = [node["default"]] if "default" in node else []
    return default + (examples if isinstance(examples, list) else [])
