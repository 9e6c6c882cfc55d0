"""Takes out of a schema the keywords that the grammar cannot enforce, and says which: they are checked after.

The grammar of the lowered schema accepts more than the schema; the final validation always uses the original
schema, so a value that breaks a lowered keyword is reported as invalid, never returned as valid. Knows what
llguidance 1.7 to 1.9 refuses (measured on JSONSchemaBench); knows nothing of tokens.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import jsonschema

from lora_agent.structured.document import Document
from lora_agent.structured.faults import IDLE, Note
from lora_agent.structured.patterns import excludes_escaped, without_lookaround
from lora_agent.structured.walk import ANNOTATIONS, Place, pointer_of, replace_children

CHECKED_AFTER: dict[str, str] = {
    "$dynamicRef": "what a dynamic reference points to is not known to the grammar",
    "$recursiveRef": "what a dynamic reference points to is not known to the grammar",
    "not": "a value that must not occur cannot be masked",
    "if": "conditions are not part of the grammar",
    "then": "conditions are not part of the grammar",
    "else": "conditions are not part of the grammar",
    "uniqueItems": "the grammar does not compare items",
    "contains": "the grammar does not count matching items",
    "minContains": "the grammar does not count matching items",
    "maxContains": "the grammar does not count matching items",
    "dependentRequired": "keys that depend on other keys are not part of the grammar",
    "dependentSchemas": "keys that depend on other keys are not part of the grammar",
    "propertyNames": "rules for the names of keys are not part of the grammar",
    "unevaluatedProperties": "what other branches evaluated is not known to the grammar",
    "unevaluatedItems": "what other branches evaluated is not known to the grammar",
}
MAX_COUNTED = 400
"""llguidance gives up on a pattern with length limits of a thousand, in the middle of a decode."""
MAX_STEPS = 1_000
_TRUE_IS_NOTHING = frozenset("propertyNames unevaluatedProperties unevaluatedItems".split())
FORMATS = frozenset("date-time time date duration email hostname ipv4 ipv6 uuid uri".split())
"""String formats that llguidance turns into a grammar."""


def lower(document: Document, *, later_formats: bool = False) -> tuple[Document, list[Note]]:
    """`later_formats`: enforce the formats that the schema's own draft does not check ("uuid" in draft 7). A generated
    value should have them, though a value without is valid."""
    formats = FORMATS if later_formats or document.formats is None else FORMATS & document.formats
    notes: list[Note] = []
    parts: dict[str | None, Any] = {}
    for name, place, node in document.parts():
        parts[name] = _lower(node, place, notes, formats)
    return document.copy_with(parts), notes


def _lower(node: Any, place: Place, notes: list[Note], formats: frozenset[str]) -> Any:
    if not isinstance(node, dict):
        return node
    pointer = pointer_of(place)
    out = dict(node)
    for keyword in [name for name in node if name in CHECKED_AFTER]:
        value = out.pop(keyword)
        if keyword == "propertyNames" and _name_the_keys(value, out):
            continue
        if _has_effect(keyword, value, node):
            notes.append(Note(pointer, keyword, CHECKED_AFTER[keyword]))
    if isinstance(node.get("format"), str) and node["format"] not in formats:
        notes.append(Note(pointer, "format", _format_reason(out.pop("format"))))
    _lower_pattern(out, pointer, notes)
    _lower_counts(out, pointer, notes)
    if "multipleOf" in out and not _countable(out["multipleOf"]):
        notes.append(Note(pointer, "multipleOf", f"more than {MAX_STEPS} remainders are not part of the grammar"))
        del out["multipleOf"]
    return replace_children(out, lambda child, relative: _lower(child, place + relative, notes, formats))


def _has_effect(keyword: str, value: Any, node: dict[str, Any]) -> bool:
    if keyword == "if":
        return "then" in node or "else" in node
    if keyword in ("then", "else"):
        return "if" in node
    if keyword in ("minContains", "maxContains"):
        return "contains" in node
    return not (value is False if keyword == "uniqueItems" else value is True and keyword in _TRUE_IS_NOTHING)


def _format_reason(name: str) -> str:
    if name in FORMATS:
        return f"format {name!r} is of a later draft than the schema: an annotation, {IDLE}"
    if name in jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers:
        return f"format {name!r} has no grammar; the value is checked after"
    return f"format {name!r} is not known: an annotation, {IDLE}"


def _lower_pattern(out: dict[str, Any], pointer: str, notes: list[Note]) -> None:
    """A pattern with look-around is let through without it: what remains accepts more."""
    pattern = out.get("pattern")
    if not isinstance(pattern, str):
        return
    if "(?" in pattern and (wider := without_lookaround(pattern)) != pattern:
        notes.append(Note(pointer, "pattern", "look-around is not part of the grammar"))
        out.pop("pattern")
        if wider is not None:
            out["pattern"] = wider
    if "pattern" in out and excludes_escaped(pattern):
        notes.append(Note(pointer, "pattern", "the grammar lets escaped characters pass that a class excludes"))
    for keyword in ("minLength", "maxLength"):
        if out.get(keyword, 0) > MAX_COUNTED:
            del out[keyword]
            notes.append(Note(pointer, keyword, f"beside a pattern more than {MAX_COUNTED} characters are not counted"))


def _countable(step: float) -> bool:
    """llguidance has a state for each remainder, and at most nine decimals."""
    digits = Decimal(repr(step)).normalize().as_tuple()
    exponent = int(digits.exponent)
    whole = int("".join(map(str, digits.digits))) * 10 ** max(exponent, 0)
    return whole <= MAX_STEPS and exponent >= -9


def _lower_counts(out: dict[str, Any], pointer: str, notes: list[Note]) -> None:
    """llguidance counts keys only where none of them is optional."""
    if not set(out.get("properties", ())) - set(out.get("required", ())):
        return
    for keyword in ("minProperties", "maxProperties"):
        count = out.pop(keyword, None)
        if count and not (keyword == "minProperties" and count <= len(out.get("required", ()))):
            notes.append(Note(pointer, keyword, "keys are not counted where some of them are optional"))


def _name_the_keys(names: Any, out: dict[str, Any]) -> bool:
    """Rewrite `propertyNames` of a plain map (pydantic's dict[Literal, T]) as an equal closed object."""
    if not isinstance(names, dict) or out.get("properties") or out.get("patternProperties"):
        return False
    value = out.get("additionalProperties", True)
    rules = {key: rule for key, rule in names.items() if key not in ANNOTATIONS and (key, rule) != ("type", "string")}
    if set(rules) == {"enum"} or set(rules) == {"const"}:
        allowed = rules["enum"] if "enum" in rules else [rules["const"]]
        if not all(isinstance(name, str) for name in allowed) or "minProperties" in out or "maxProperties" in out:
            return False
        out["properties"] = dict.fromkeys(allowed, value)
    elif set(rules) == {"pattern"}:
        out["patternProperties"] = {rules["pattern"]: value}
    else:
        return False
    out["additionalProperties"] = False
    return True
