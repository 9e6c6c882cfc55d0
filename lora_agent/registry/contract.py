"""The two JSON Schemas of a package, and whether the card agrees with them.

Checks that each is a JSON Schema and that the fields which the card names exist. Which keywords the grammar
can enforce is asked elsewhere, when the schema is compiled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_agent.errors import PackageFormatError
from lora_agent.registry.reading import read_json
from lora_agent.registry.spec import AdapterSpec
from lora_agent.types import JsonSchema


def read_schema(path: Path) -> JsonSchema:
    """Raises PackageFormatError with the place of the fault."""
    from jsonschema import SchemaError  # 0.2 s to import
    from jsonschema.validators import Draft202012Validator, validator_for

    schema = read_json(path)
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        pointer = "/" + "/".join(str(part) for part in error.absolute_path)
        raise PackageFormatError(
            f"{str(path)!r} is not a JSON Schema: at {pointer!r}: {error.message}",
            hint="See https://json-schema.org/draft/2020-12.",
        ) from error
    remote = _remote_reference(schema)
    if remote is not None:
        raise PackageFormatError(
            f"{str(path)!r} refers to {remote!r}, which lies outside the file",
            hint='Copy that schema into "$defs" and refer to it as "#/$defs/NAME".',
        )
    return schema


def check_card(spec: AdapterSpec, input_schema: JsonSchema, output_schema: JsonSchema, folder: Path) -> None:
    """Raises PackageFormatError where the card names a field that its schema does not have."""
    for name in spec.prompt.fields:
        if subschema(input_schema, f"/{name}") is None:
            raise PackageFormatError(
                f"{str(folder)!r}: prompt.fields names {name!r}, which {spec.input_schema} does not define",
                hint="Add it to the properties of the input schema, or remove it from adapter.yaml.",
            )
    if spec.score is None:
        return
    field = subschema(output_schema, spec.score.pointer)
    if field is None:
        raise PackageFormatError(
            f"{str(folder)!r}: score.pointer is {spec.score.pointer!r}, which {spec.output_schema} does not define",
            hint="Point to a property of the output schema, such as '/verdict'.",
        )
    if "enum" in field and spec.score.positive not in field["enum"]:
        raise PackageFormatError(
            f"{str(folder)!r}: score.positive is {spec.score.positive!r}, which is none of {field['enum']!r}",
            hint="Name the value of the output schema's enum that the score is the probability of.",
        )


def subschema(schema: JsonSchema, pointer: str) -> JsonSchema | None:
    """The schema of the value at a JSON Pointer (RFC 6901), through `properties` and local references."""
    here = _resolve(schema, schema)
    for part in pointer.split("/")[1:]:
        found = (here or {}).get("properties", {}).get(_unescape(part))
        here = _resolve(schema, found)
    return here


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _resolve(root: JsonSchema, schema: Any) -> JsonSchema | None:
    seen: set[str] = set()
    while isinstance(schema, dict) and "$ref" in schema and schema["$ref"] not in seen:
        seen.add(schema["$ref"])
        target: Any = root
        for part in schema["$ref"].removeprefix("#").split("/")[1:]:
            target = target.get(_unescape(part)) if isinstance(target, dict) else None
        schema = target
    return schema if isinstance(schema, dict) else None


def _remote_reference(value: Any) -> str | None:
    """The first "$ref" that is not local: jsonschema would fetch it from the network."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            return reference
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for found in map(_remote_reference, children) if found is not None), None)
