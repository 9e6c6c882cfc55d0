"""Schemas that the tests share: what people write, one feature at a time."""

from __future__ import annotations

from typing import Any

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["value"],
}
EXPRESSION: dict[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "anyOf": [
                {"type": "integer"},
                {
                    "type": "object",
                    "properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}},
                    "required": ["left", "right"],
                },
            ]
        }
    },
}
ALL_OF: dict[str, Any] = {
    "allOf": [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]},
    ]
}

WALKED: dict[str, Any] = {
    "scalars": {
        "type": "object",
        "properties": {"s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"}},
        "required": ["s", "i", "n"],
    },
    "optional": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}, "c": {"const": "x"}},
        "required": ["b"],
    },
    "array": {"type": "array", "items": {"enum": ["red", "green", 3, None]}},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "minItems": 2},
    "map": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9}},
    "any": {},
    "free object": {"type": "object"},
    "free array": {"type": "array"},
    "union": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "integer"}, {"type": "null"}]},
    "nullable": {"type": ["string", "null"]},
    "tagged": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"k": {"const": "a"}, "x": {"type": "integer"}},
                "required": ["k"],
            },
            {
                "type": "object",
                "properties": {"k": {"const": "b"}, "y": {"type": "string"}},
                "required": ["k"],
            },
        ]
    },
    "tree": TREE,
    "expression": EXPRESSION,
    "allOf": ALL_OF,
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    "formats": {
        "type": "object",
        "properties": {"u": {"type": "string", "format": "uuid"}, "i": {"type": "string", "format": "ipv4"}},
        "required": ["u", "i"],
    },
    "ranges": {
        "type": "object",
        "properties": {
            "p": {"type": "number", "minimum": 0, "maximum": 1},
            "q": {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 2},
        },
        "required": ["p", "q"],
    },
    "untyped object": {"properties": {"a": {"type": "integer"}}, "required": ["a", "undeclared"]},
}

LOWERED: dict[str, tuple[Any, str]] = {
    "uniqueItems": ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "uniqueItems"),
    "contains": ({"type": "array", "items": {"type": "integer"}, "contains": {"const": 3}}, "contains"),
    "not": ({"type": "string", "not": {"const": "a"}}, "not"),
    "if": (
        {
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "if": {"properties": {"a": {"pattern": "^x"}}},
            "then": {"minProperties": 2},
        },
        "if",
    ),
    "dependentRequired": (
        {
            "type": "object",
            "properties": {key: {"type": "null"} for key in "abcdef"},
            "dependentRequired": {key: ["f"] for key in "abcde"},
        },
        "dependentRequired",
    ),
    "propertyNames": ({"type": "object", "propertyNames": {"maxLength": 2}}, "propertyNames"),
    "password": ({"type": "string", "format": "password"}, "format"),
    "oneOf": ({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 5}]}, "oneOf"),
    "minProperties": (
        {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "minProperties": 1},
        "minProperties",
    ),
    "unevaluated": (
        {"type": "object", "anyOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
        "unevaluatedProperties",
    ),
}

# Refused by llguidance, and let through with a note.
WIDENED: dict[str, tuple[Any, str]] = {
    "look-around": ({"type": "string", "pattern": "^(?!x)[a-z]{1,3}$"}, "pattern"),
    "excluded backslash": ({"type": "string", "pattern": r"^[^\\]+$"}, "pattern"),
    "dynamic reference": ({"$dynamicRef": "#", "type": "object"}, "$dynamicRef"),
    "back-reference": ({"type": "string", "pattern": r"^(a|b)\1$"}, "pattern"),
    "long pattern": ({"type": "string", "pattern": r"^(\\S+\\s)*\\S+$", "maxLength": 5000}, "maxLength"),
    "overlapping keys": (
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}, "b$": {"type": "null"}}},
        "patternProperties",
    ),
    "look-around in keys": (
        {"type": "object", "patternProperties": {"^(?!x)": {"type": "integer"}}, "additionalProperties": False},
        "patternProperties",
    ),
}

REFUSED: dict[str, tuple[Any, str, str]] = {
    "misspelt": (
        {"type": "object", "properties": {"a": {"type": "string", "maxLenght": 3}}},
        "/properties/a",
        "maxLenght",
    ),
    "wrong type": ({"type": "object", "properties": {"a": {"type": "strng"}}}, "/properties/a", "type"),
    "limits": (
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 5, "maxLength": 2}},
        "/items",
        "minLength",
    ),
    "remote": ({"properties": {"a": {"$ref": "https://example.com/a.json"}}}, "/properties/a", "$ref"),
    "missing": ({"properties": {"a/b": {"$ref": "#/$defs/none"}}}, "/properties/a~1b", "$ref"),
    "endless": (
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
        },
        "/$defs/a",
        "$ref",
    ),
    "self": ({"$ref": "#"}, "", "$ref"),
    "nothing fits": (False, "", ""),
}
