"""A quick yes for schemas that follow their draft: what the metaschema says, in one pass.

`surely_wellformed` is True only where the draft's metaschema accepts the schema; False means "ask the metaschema",
which takes milliseconds (half of all compile time on JSONSchemaBench) and words the error. Knows drafts 4, 7, 2019-09
and 2020-12; keywords that are rare or whose rules are subtle are left to the metaschema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

Draft = Literal[4, 7, 2019, 2020]
"""Draft 6 is read as 7: all that 7 asks for is right in 6."""
_TYPES = frozenset("array boolean integer null number object string".split())
_PLAIN_URI = re.compile(r"(https?://[\w.-]+)?[\w./~+-]*(\?[\w=&.-]*)?(#[\w./~:@!$&'()*+,;=-]*)?", re.ASCII)
_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*")
_LEFT_TO_METASCHEMA = frozenset("$recursiveAnchor $recursiveRef $dynamicRef $dynamicAnchor $vocabulary".split())


def surely_wellformed(schema: Any, draft: Draft) -> bool:
    try:
        return _schema(schema, draft)
    except RecursionError:
        return False


def _schema(node: Any, draft: Draft) -> bool:
    if node is True or node is False:
        return draft != 4
    if not isinstance(node, dict):
        return False
    if not _LEFT_TO_METASCHEMA.isdisjoint(node):
        return False
    if draft == 4 and ("exclusiveMinimum" in node or "exclusiveMaximum" in node):
        return False
    for keyword, value in node.items():
        rule = _RULES.get(keyword)
        if rule is not None and not rule(value, draft):
            return False
    return True


def _number(value: Any, draft: Draft) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _positive(value: Any, draft: Draft) -> bool:
    return _number(value, draft) and value > 0


def _count(value: Any, draft: Draft) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any, draft: Draft) -> bool:
    return isinstance(value, str)


def _flag(value: Any, draft: Draft) -> bool:
    return isinstance(value, bool)


def _list(value: Any, draft: Draft) -> bool:
    return isinstance(value, list)


def _names(value: Any, draft: Draft) -> bool:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    return len(set(value)) == len(value) and (bool(value) or draft != 4)


def _type(value: Any, draft: Draft) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return _names(value, draft) and bool(value) and _TYPES.issuperset(value)


def _enum(value: Any, draft: Draft) -> bool:
    if not isinstance(value, list):
        return False
    if draft != 4:
        return True
    scalars = [value for value in value if value is None or isinstance(value, (str, int, float))]
    distinct = {(isinstance(value, bool), value) for value in scalars}
    return 0 < len(value) == len(distinct)


def _schemas(value: Any, draft: Draft) -> bool:
    return isinstance(value, list) and bool(value) and all(_schema(child, draft) for child in value)


def _map(value: Any, draft: Draft) -> bool:
    return isinstance(value, dict) and all(_schema(child, draft) for child in value.values())


def _pattern_map(value: Any, draft: Draft) -> bool:
    return _map(value, draft) and all(_compiles(pattern) for pattern in value)


def _pattern(value: Any, draft: Draft) -> bool:
    return isinstance(value, str) and _compiles(value)


@lru_cache(maxsize=4096)
def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError):
        return False
    return True


def _items(value: Any, draft: Draft) -> bool:
    if isinstance(value, list):
        return draft != 2020 and _schemas(value, draft)
    return _schema(value, draft)


def _or_flag(value: Any, draft: Draft) -> bool:
    return isinstance(value, bool) or _schema(value, draft)


def _dependencies(value: Any, draft: Draft) -> bool:
    if not isinstance(value, dict):
        return False
    return all(_names(needs, draft) if isinstance(needs, list) else _schema(needs, draft) for needs in value.values())


def _dependent_names(value: Any, draft: Draft) -> bool:
    if draft < 2019:
        return True
    return isinstance(value, dict) and all(_names(needs, draft) for needs in value.values())


def _from(*drafts: Draft) -> Callable[[Callable[[Any, Draft], bool]], Callable[[Any, Draft], bool]]:
    """The rule holds in these drafts; others do not know the keyword."""

    def limit(rule: Callable[[Any, Draft], bool]) -> Callable[[Any, Draft], bool]:
        return lambda value, draft: draft not in drafts or rule(value, draft)

    return limit


def _identifier(value: Any, draft: Draft) -> bool:
    return _reference(value, draft) and (draft < 2019 or "#" not in value.rstrip("#"))


def _reference(value: Any, draft: Draft) -> bool:
    """The metaschemas want a URI reference. Those without odd characters are sure to be one."""
    return isinstance(value, str) and _PLAIN_URI.fullmatch(value) is not None


_NEW = _from(7, 2019, 2020)
_NEWEST = _from(2019, 2020)
_RULES: dict[str, Callable[[Any, Draft], bool]] = {
    **dict.fromkeys(("title", "description", "format"), _text),
    **dict.fromkeys(("$comment", "contentMediaType", "contentEncoding"), _NEW(_text)),
    **dict.fromkeys(("maximum", "minimum"), _number),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum"), _number),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _count),
    **dict.fromkeys(("minContains", "maxContains"), _NEWEST(_count)),
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), _schemas),
    **dict.fromkeys(("properties", "definitions"), _map),
    **dict.fromkeys(("$defs", "dependentSchemas"), _NEWEST(_map)),
    **dict.fromkeys(("contains", "propertyNames", "if", "then", "else"), _NEW(_schema)),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties", "contentSchema"), _NEWEST(_schema)),
    **dict.fromkeys(("additionalProperties", "additionalItems"), _or_flag),
    **dict.fromkeys(("readOnly", "writeOnly"), _NEW(_flag)),
    "$anchor": _NEWEST(lambda value, _: isinstance(value, str) and _ANCHOR.fullmatch(value) is not None),
    "$id": _NEW(_identifier),
    "$ref": lambda value, draft: isinstance(value, str) if draft == 4 else _reference(value, draft),
    "$schema": lambda value, draft: (
        isinstance(value, str) if draft == 4 else _reference(value, draft) and "://" in value
    ),
    "deprecated": _NEWEST(_flag),
    "dependencies": _dependencies,
    "dependentRequired": _dependent_names,
    "enum": _enum,
    "examples": _NEW(_list),
    "id": lambda value, draft: draft != 4 or isinstance(value, str),
    "items": _items,
    "multipleOf": _positive,
    "not": _schema,
    "pattern": _pattern,
    "patternProperties": _pattern_map,
    "prefixItems": _NEWEST(_schemas),
    "required": _names,
    "type": _type,
    "uniqueItems": _flag,
}
