"""Is this a schema that can be honoured at all? Valid by its draft, of sane size, and with finite values.

The first step before any grammar: errors name the JSON pointer of the keyword. Knows the jsonschema drafts,
nothing of tokens. A schema without `$schema` is read as draft 2020-12, or as draft 7 or 4 where only these
accept it (many published schemas omit the tag).
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from lora_agent.structured.document import Document, read_document
from lora_agent.structured.equivalent import rewrite_equal
from lora_agent.structured.faults import keyword_error
from lora_agent.structured.recursion import ranks
from lora_agent.structured.walk import pointer_of
from lora_agent.structured.wellformed import Draft, surely_wellformed

MAX_BYTES = 2_000_000
MAX_KEYS = 2_000
"""In one object of the schema: llguidance takes seconds for several thousand properties."""
MAX_DEPTH = 200
"""Nesting of JSON containers; well under Python's recursion limit with every walker's frames."""

_OLD_REFS = (
    jsonschema.Draft3Validator,
    jsonschema.Draft4Validator,
    jsonschema.Draft6Validator,
    jsonschema.Draft7Validator,
)
_QUICK: dict[type[Validator], Draft] = {
    jsonschema.Draft4Validator: 4,
    jsonschema.Draft6Validator: 7,
    jsonschema.Draft7Validator: 7,
    jsonschema.Draft201909Validator: 2019,
    jsonschema.Draft202012Validator: 2020,
}
_UNTAGGED = (jsonschema.Draft202012Validator, jsonschema.Draft7Validator, jsonschema.Draft4Validator)


def _draft(schema: Any) -> tuple[type[Validator], jsonschema.SchemaError | None]:
    """The draft, and what its rules find wrong."""
    if isinstance(schema, dict) and isinstance(schema.get("$schema"), str):
        found = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        return found, _wrong(schema, found)
    first: jsonschema.SchemaError | None = None
    for draft in _UNTAGGED:
        error = _wrong(schema, draft)
        if error is None:
            return draft, None
        first = first or error
    return jsonschema.Draft202012Validator, first


def _wrong(schema: Any, draft: type[Validator]) -> jsonschema.SchemaError | None:
    if draft in _QUICK and surely_wellformed(schema, _QUICK[draft]):
        return None
    try:
        draft.check_schema(schema)
    except jsonschema.SchemaError as error:
        return error
    return None


def read_schema(schema: Any) -> Document:
    """The schema in one spelling, and in the words that a grammar holds most of. Raises SchemaKeywordError."""
    document = rewrite_equal(read_source(schema))
    if document.root is False:
        raise keyword_error("", "", "no value fits: its parts contradict each other", "Correct one of them.")
    return document


def read_source(schema: Any) -> Document:
    """Check everything that needs no grammar and return the schema in one spelling."""
    if schema is True:
        return Document(True)
    if schema is False:
        raise keyword_error("", "", "no value fits the schema false", "Say what values are allowed.")
    if not isinstance(schema, dict):
        raise keyword_error(
            "", "", f"a JSON Schema is an object or a boolean, not {type(schema).__name__} {schema!r:.80}",
            "Pass a dict such as {'type': 'object', 'properties': {...}}, or a pydantic class.",
        )  # fmt: skip
    _check_size(schema)
    draft = draft_of(schema)
    document = read_document(schema, old_refs=issubclass(draft, _OLD_REFS))
    if draft in _OLD_REFS:
        document.formats = frozenset(draft.FORMAT_CHECKER.checkers)
    _check_finite(document)
    return document


def draft_of(schema: Any) -> type[Validator]:
    """The jsonschema validator class whose rules `schema` follows; an error where it breaks them."""
    draft, error = _draft(schema)
    if error is not None:
        path = [str(part) for part in error.absolute_path]
        keyword = path[-1] if path else ""
        raise keyword_error(
            pointer_of(tuple(path[:-1])), keyword, f"not a valid JSON Schema: {error.message:.300}",
            f"See the keyword's rule in {draft.META_SCHEMA.get('$id', draft.META_SCHEMA.get('id'))}.",
        )  # fmt: skip
    return draft


def _check_size(schema: dict[str, Any]) -> None:
    level: list[Any] = [schema]
    depth = 0
    while level:  # by level and without recursion: the depth is what is being checked
        depth += 1
        if depth > MAX_DEPTH:
            raise keyword_error("", "", f"nested deeper than {MAX_DEPTH} levels", "Move inner parts into $defs.")
        for node in level:
            if isinstance(node, dict) and not all(isinstance(key, str) for key in node):
                raise keyword_error(
                    "", "", f"keys {list(node)!r:.80} are not all texts", "JSON objects have text keys."
                )
            if isinstance(node, dict) and len(node) > MAX_KEYS:
                raise keyword_error(
                    "", "", f"an object of {len(node)} keys, more than the limit of {MAX_KEYS}",
                    "Use additionalProperties for keys of one kind.",
                )  # fmt: skip
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
    try:
        size = len(json.dumps(schema))
    except (TypeError, ValueError) as error:
        raise keyword_error("", "", f"not JSON: {error}", "Use only JSON values in the schema.") from error
    if size > MAX_BYTES:
        raise keyword_error(
            "", "", f"{size} bytes of JSON, more than the limit of {MAX_BYTES}",
            "Keep only the definitions that are used.",
        )  # fmt: skip


def _check_finite(document: Document) -> None:
    endless = sorted(set(document.defs) - set(ranks(document)))
    if endless:
        place = pointer_of(document.origin[endless[0]])
        raise keyword_error(
            place, "$ref", "refers to itself without an end: no finite value fits",
            "Make the recursive property optional, or give it another branch with anyOf.",
        )  # fmt: skip
