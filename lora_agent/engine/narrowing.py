"""What a conversation leaves of the things that a grammar would let an adapter write.

For tool calls: the tools that the request is near to, the values that somebody said (decisions 009, 055, 060). For an
output schema with `"x-evidence": {"least", "against", "otherwise"}`: the documents that hold enough of the last user
turn's words, and the value `otherwise` where none holds `least` of them (decision 056); elsewhere `otherwise` is
`against` nats less likely than the model says (decision 074). Knows schemas and texts, no models.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_agent.registry import AdapterPackage
from lora_agent.render import input_messages
from lora_agent.structured import candidates, grounded, split_request
from lora_agent.structured.calls import MAX_CALLS
from lora_agent.structured.candidates import NO_CALL, common
from lora_agent.structured.evidence import NEAR, coverage
from lora_agent.structured.leaning import Leaning
from lora_agent.structured.repeats import Use
from lora_agent.types import JsonSchema, Tool, compact_json

EVIDENCE = "x-evidence"
_LEANS = re.compile(
    r"\b(?:there|it|its|that|this|they|them|their|these|those|he|him|his|she|her|hers|same|both|each|one|again|too|else"
    r"|other|another|respectively|instead|here|then)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Wish:
    """What is asked of one decode of tool calls."""

    least: int = 0
    most: int = MAX_CALLS
    """Calls."""
    part: bool = False
    """The request is one part of a longer one: it wants something, whether or not a tool has its words."""
    about: str | None = None
    """The part of the last turn that is asked for; how it is put is the package's (`PromptSpec.parts`)."""
    without: frozenset[Use] = frozenset()
    """Arguments that may not be written again."""


ANY = Wish()


def calling(
    tools: Sequence[Tool], inputs: Mapping[str, Any], wish: Wish, doubtful: dict[str, set[str]] | None = None
) -> tuple[list[Tool], list[Tool]]:
    """The tools as far as the conversation speaks of their parameters, and those of them that a first call may name.
    `doubtful`: parameters that nobody seems to have spoken of stay and are noted here, by tool; without it they are
    left out."""
    asked = _asked(inputs, wish)
    near = {tool.name for tool in candidates(asked, tools)}
    one = bool(asked) and (wish.part or not split_request(asked[-1], tools))
    left = grounded(tools, _said(inputs, wish), asked[-1] if one else None, wish.without, doubtful=doubtful)
    return left, [tool for tool in left if tool.name in near]


def leaning(
    package: AdapterPackage,
    inputs: Mapping[str, Any],
    tools: Sequence[Tool],
    wish: Wish,
    doubtful: Mapping[str, Collection[str]],
) -> Leaning | None:
    """What is likelier than the model says: that no tool is called where none shares a word with the request, and that
    what is `doubtful` (see `calling`) is left out; less likely: that documents with the words answer nothing.
    """
    if package.spec.output != "tool_calls":
        return _against_no_answer(package.output_schema.get(EVIDENCE) or {})
    if not tools:
        return None
    parameters = {tool.name: tuple(tool.parameters.get("properties") or ()) for tool in tools}
    if wish.part:
        return Leaning(parameters=parameters, doubtful=doubtful) if doubtful else None
    return Leaning('{"calls":[]', NO_CALL[common(_asked(inputs, wish), tools)], parameters, doubtful)


def _against_no_answer(rule: Mapping[str, Any]) -> Leaning | None:
    if not rule.get("against"):
        return None
    name, value = next(iter(rule["otherwise"].items()))
    return Leaning(compact_json({name: value})[:-1], -rule["against"])


def plain(schema: JsonSchema) -> JsonSchema:
    """The schema without its rule about evidence."""
    return {key: value for key, value in schema.items() if key != EVIDENCE}


def answering(schema: JsonSchema, inputs: Mapping[str, Any]) -> tuple[JsonSchema, Mapping[str, Any]]:
    """Schema and input of an answer from documents: only those that may hold it, or the value for none."""
    rule = schema.get(EVIDENCE)
    if rule is None or not inputs.get("documents"):
        return plain(schema), inputs
    documents = _holding(inputs, rule["least"])
    return (plain(schema), {**inputs, "documents": documents}) if documents else ({"const": rule["otherwise"]}, inputs)


def _holding(inputs: Mapping[str, Any], least: float) -> list[Any]:
    """The documents that may answer the last user turn; [] if none does. A turn that follows others often leaves its
    words to them: then all user turns are the question, and the nearest documents stay, however far."""
    turns, documents = _asked(inputs), list(inputs["documents"])
    covered = coverage(" ".join(turns), [f"{d.get('title') or ''} {d['text']}" for d in documents])
    if len(turns) == 1 and max(covered) < least:
        return []
    return [d for d, share in zip(documents, covered, strict=True) if share >= NEAR * max(covered)]


def _asked(inputs: Mapping[str, Any], wish: Wish = ANY) -> list[str]:
    """What the user has said so far; of the last turn what is asked for."""
    messages = input_messages(inputs) if inputs.get("messages") else ()
    said = [message.content for message in messages if message.role == "user"]
    return said if wish.about is None else [*said[:-1], wish.about]


def _said(inputs: Mapping[str, Any], wish: Wish) -> list[str]:
    """What anybody said that a value may be made of. A part that leans on the rest ("there", "the same for ...") has
    values from it."""
    if not inputs.get("messages"):
        return []
    said = [message.content for message in input_messages(inputs)]
    return said if wish.about is None or _LEANS.search(wish.about) else [*said[:-1], wish.about]
