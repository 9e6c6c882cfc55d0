"""Arguments that somebody said: tools whose parameters take only numbers and phrases that occur in the conversation.

A small model writes a number that looks like one ("402000" as 40200, a year that nobody named) or half a name
("Retrilet"), and its grammar lets it. What a request says is a short list, so the grammar of its call names it
(decision 055). What the schema itself names counts as said. Of what may be left out, only what the request speaks of
may be written, and a choice that it names must be (decision 060). Knows texts and schemas, no models.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import jsonschema

from lora_agent.errors import SchemaError
from lora_agent.structured.candidates import spaced
from lora_agent.structured.check import read_schema
from lora_agent.structured.evidence import words
from lora_agent.structured.normalise import normalise
from lora_agent.structured.numerals import numbers_in
from lora_agent.structured.phrases import phrases_in
from lora_agent.structured.repeats import Use
from lora_agent.structured.said import Said
from lora_agent.structured.units import units_in
from lora_agent.types import JsonSchema, Tool

MOST_CHARACTERS = 600_000
"""Of phrases in the schemas of all tools together; beyond, texts are left free."""
PHRASES = "what_was_said"
"""Name of the definition that a tool's texts share."""
_FREE = frozenset("enum const $ref anyOf oneOf allOf not if format pattern".split())
"""Keywords beside which a node is left as it is."""
_SPELLED = re.compile(
    r"format|y{2,4}.?m{1,2}|m{1,2}.?[dy]{1,4}|d{1,2}.?m{1,2}|h{1,2}.?m{1,2}|iso\b|utc\b|codes?\b|abbreviat|currency"
    r"|\bletters?\b|\bcapitals\b|(?:upper|lower)[ -]?case|time ?zone|ticker",
    re.IGNORECASE,
)
"""In the description of a text that is to be spelled in some way of its own: it is left free."""
_EXAMPLES = re.compile(r"(?:e\.g|such as|for example|either|one of)\b(.*)", re.IGNORECASE | re.DOTALL)
"""What follows may be written as well as what was said."""
_OF_FLAGS = words("whether true false set flag enable include with")
_PERCENT = re.compile(r"\bpercent(?:age|s)?\b", re.IGNORECASE)
_SHARE = re.compile(r"fraction|decimal|share|ratio|0?\.\d", re.IGNORECASE)
"""Of a number that is a percentage, and not put as a share of one: 5 % is 5 there, and 0.05 elsewhere perhaps."""
_SHORT = 2
"""Characters of a word that are too few to be sure that it was said as a choice ("f") or of a quantity ("m")."""
_CODE = 4
"""Characters of a code in capitals, at most."""


def grounded(
    tools: Sequence[Tool],
    texts: Sequence[str],
    request: str | None = None,
    without: Collection[Use] = (),
    *,
    doubtful: dict[str, set[str]] | None = None,
) -> list[Tool]:
    """The tools, with each number an enum of the numbers said, and each text one of the phrases. A number that must be
    given is left free if none would do; one that need not be is left out, and so are numbers beyond those said,
    choices of which none was named, and flags whose words nobody used. Where numbers are said with words of one of the
    parameters ("5 km"), it takes one of these. `request`: the last turn, if it wants one thing: a choice that it names
    must be given. `without`: arguments that are not to be written. Without texts the tools are as they were.
    `doubtful`: parameters that would be left out because nobody seems to speak of them stay, and are noted here, by
    tool."""
    if not texts:
        return list(tools)
    said = Said(tuple(texts), request)
    room = MOST_CHARACTERS // max(1, len(tools))
    narrowings = [_Narrowing(tool, said, without, sum(map(len, said.phrases)) <= room, doubtful) for tool in tools]
    return [narrowing.tool() for narrowing in narrowings]


def takes_numbers_together(tool: Tool) -> bool:
    """Whether one of its parameters is an array of numbers."""
    try:
        properties = normalise(tool.parameters).schema.get("properties")
    except SchemaError:
        return False
    nodes = properties.values() if isinstance(properties, dict) else ()
    return any(
        isinstance(node, dict) and node.get("type") == "array" and _is_number(node.get("items")) for node in nodes
    )


class _Narrowing:
    def __init__(
        self,
        tool: Tool,
        said: Said,
        without: Collection[Use],
        texts: bool,
        doubtful: dict[str, set[str]] | None = None,
    ) -> None:
        self._tool = tool
        self._said = said
        self._doubtful = doubtful
        self._texts = texts
        """Whether texts are narrowed."""
        self._without = {use.parameter: use.value for use in without if use.tool == tool.name}
        self._common = words(f"{spaced(tool.name)} {tool.description}")
        """The tool's own words, which say nothing of one of its parameters."""
        self._shared = False

    def tool(self) -> Tool:
        try:
            parameters = normalise(self._tool.parameters).schema
            read_schema(parameters)
        except SchemaError:
            return self._tool  # `calls_schema` says which tool it is and what is wrong with it
        narrow = self._object(parameters, self._without)
        if self._shared:
            narrow["$defs"] = {**(narrow.get("$defs") or {}), PHRASES: {"enum": self._said.phrases}}
        return self._tool.model_copy(update={"parameters": narrow})

    def _object(self, node: JsonSchema, without: dict[str, Any]) -> JsonSchema:
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return dict(node)
        required = node.get("required")
        needed = list(required) if isinstance(required, list) else []
        spare = self._said.mentions - sum(_is_number(properties.get(name)) for name in needed)
        numbers = self._quantities({name: child for name, child in properties.items() if _is_number(child)})
        kept = {}
        for name, child in properties.items():
            found = self._value(child, name, numbers.get(name))
            if name not in needed and isinstance(child, dict):
                if name in without:
                    found = None
                elif _is_choice(child):
                    heard, must = self._choice(child)
                    needed += [name] if must else []
                    found = heard if heard is not None else self._doubt(name, found)
                elif (_is_number(child) and spare <= 0) or self._is_unasked_flag(name, child):
                    found = self._doubt(name, found)
                elif self._is_asked_flag(name, child):
                    needed.append(name)
            elif name in without and found is not None:
                found = self._excluding(found, without[name])
            if found is not None or name in needed:
                kept[name] = child if found is None else found
        return {**node, "properties": kept, **({"required": needed} if needed else {})}

    def _doubt(self, name: str, node: Any) -> Any:
        """What is left of a parameter that nobody seems to speak of."""
        if self._doubtful is None or node is None:
            return None
        self._doubtful.setdefault(self._tool.name, set()).add(name)
        return node

    def _value(self, node: Any, name: str = "", numbers: set[float] | None = None) -> Any:
        """A schema of what may be written for the parameter `name`; None where nothing that was said would do.
        `numbers`: those that are said with words of this parameter."""
        if not isinstance(node, dict) or _FREE & node.keys():
            return node
        match node.get("type"):
            case "integer" | "number":
                what = _spoken(name, node)
                allowed = _valid(node, numbers or ()) or self._numbers(node, frozenset(units_in(what)))
                if _PERCENT.search(what) and not _SHARE.search(what):
                    allowed = [value for value in allowed if value in self._said.figures] or allowed
                return {"enum": allowed} if allowed else None
            case "string":
                return self._text(node)
            case "array" if _is_number(node.get("items")) and self._said.lists:
                lists = _valid(node, [[_figure(value) for value in found] for found in self._said.lists])
                return {"enum": lists} if lists else None
            case "array" if isinstance(node.get("items"), dict):
                items = self._value(node["items"])
                return None if items is None else {**node, "items": items}
            case "object":
                return self._object(node, {})
        return node

    def _numbers(self, node: JsonSchema, units: frozenset[str]) -> list[Any]:
        own = {float(value) for value in _named(node) if isinstance(value, int | float) and not isinstance(value, bool)}
        return _valid(node, self._said.numbers_for(units) | own | numbers_in(str(node.get("description", ""))))

    def _quantities(self, nodes: dict[str, JsonSchema]) -> dict[str, set[float]]:
        """For each of an object's numbers those that are said with words which only this parameter has."""
        if self._said.request is None or self._said.lists or self._said.mentions < 2:
            return {}  # what is said several times is of several calls
        own = {name: words(_spoken(name, node)) for name, node in nodes.items()}
        count = Counter(word for held in own.values() for word in held if len(word) >= _SHORT)
        found: dict[str, set[float]] = {}
        for name, held in own.items():
            telling = {word for word in held if count[word] == 1}
            units = units_in(_spoken(name, nodes[name]))
            near = [mention for mention, around in self._said.quantities if around & telling]
            found[name] = {value for mention in near for value in mention.values(units)}
        return found

    def _text(self, node: JsonSchema) -> Any:
        description = str(node.get("description", ""))
        if not self._texts or _SPELLED.search(description):
            return node
        named = [value for value in _named(node) if isinstance(value, str)]
        named += phrases_in(match.group(1) for match in _EXAMPLES.finditer(description))
        if not named and not {"minLength", "maxLength"} & node.keys():
            self._shared = self._shared or bool(self._said.phrases)
            return {"$ref": f"#/$defs/{PHRASES}"} if self._said.phrases else node
        least, most = node.get("minLength", 0), node.get("maxLength", 10_000)
        phrases = [text for text in dict.fromkeys([*self._said.phrases, *named]) if least <= len(text) <= most]
        return {"enum": phrases} if phrases else node

    def _choice(self, node: JsonSchema) -> tuple[Any, bool]:
        """What is left of an optional choice, and whether it must be made."""
        heard = [value for value in node["enum"] if _is_said(value, self._said.words)]
        asked = any(_is_said(value, self._said.requested) for value in heard)
        return ({**node, "enum": heard} if heard else None), asked

    def _is_unasked_flag(self, name: str, node: JsonSchema) -> bool:
        """Whether it is a flag with words of its own of which the conversation has none."""
        own = words(f"{spaced(name)} {node.get('description', '')}") - self._common - _OF_FLAGS
        return node.get("type") == "boolean" and bool(own) and not own & self._said.words

    def _is_asked_flag(self, name: str, node: JsonSchema) -> bool:
        """Whether it is a flag whose own name the request says ("with a garage": `garage`)."""
        own = words(spaced(name)) - self._common - _OF_FLAGS
        return node.get("type") == "boolean" and bool(own) and own <= self._said.requested

    def _excluding(self, node: Any, value: Any) -> Any:
        """The node without that value, if it has others."""
        allowed = self._said.phrases if "$ref" in node else node.get("enum", ())
        others = [other for other in allowed if other != value]
        return {"enum": others} if others else node


def _spoken(name: str, node: JsonSchema) -> str:
    """A parameter's words: "maxDistance_km" is max Distance km."""
    return f"{spaced(name).replace('_', ' ')} {node.get('description', '')}"


def _is_number(node: Any) -> bool:
    return isinstance(node, dict) and node.get("type") in ("integer", "number")


def _is_choice(node: JsonSchema) -> bool:
    """An enum of words, so that it can be seen which was said; of letters ("f") and codes ("EUR") it cannot."""
    values = node.get("enum")
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        return False
    codes = any(value.isupper() and len(value) <= _CODE for value in values)
    return not codes and all(any(len(word) > _SHORT for word in words(spaced(value))) for value in values)


def _is_said(value: str, by: set[str]) -> bool:
    return words(value) <= by or words(spaced(value)) <= by


def _valid(node: JsonSchema, values: Collection[Any]) -> list[Any]:
    """Those of the numbers, or lists of them, that the node allows."""
    ordered = sorted(values) if not isinstance(values, list) else values
    figures = [value if isinstance(value, list) else _figure(value) for value in ordered]
    valid = jsonschema.Draft202012Validator(node).is_valid
    return [value for value in figures if valid(value)]


def _figure(value: float) -> float:
    return int(value) if value == int(value) and abs(value) < 1e15 else value


def _named(node: JsonSchema) -> list[Any]:
    examples = node.get("examples")
    default = [node["default"]] if "default" in node else []
    return default + (examples if isinstance(examples, list) else [])
