"""`lora-agent schema explain`: what becomes of every keyword of a JSON Schema, before anything is generated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_agent.cli.inputs import read_json_file
from lora_agent.cli.options import JsonFlag
from lora_agent.errors import SchemaError

if TYPE_CHECKING:
    from lora_agent.structured import Note

app = typer.Typer(help="JSON Schemas and what the grammar makes of them.", no_args_is_help=True)
REFUSED = 2


@app.callback()
def _group() -> None: ...


@app.command("explain")
def explain(
    file: Annotated[Path, typer.Argument(help="A JSON Schema, as a JSON file.", metavar="FILE")],
    as_json: JsonFlag = False,
) -> None:
    """List each keyword as enforced while decoding, checked after, or refused. Exit code 2 if any is refused."""
    from lora_agent.structured import explain as explain_schema

    found = explain_schema(_read(file))
    groups: dict[str, list[Note]] = {"enforced": found.enforced, "checked": found.checked, "refused": found.refused}
    if as_json:
        print(json.dumps({name: [note._asdict() for note in notes] for name, notes in groups.items()}))
    else:
        for name, notes in groups.items():
            print(f"{name}: {len(notes)}")
            for pointer, keyword, reason in notes:
                print(f"  {pointer or '/'}  {keyword or '(schema)'}  {reason}".rstrip())
    if found.refused:
        raise typer.Exit(REFUSED)


def _read(file: Path) -> Any:
    value = read_json_file(file, SchemaError)
    if not isinstance(value, dict | bool):
        raise SchemaError(f"{str(file)!r} holds {value!r:.60}, no schema", hint="A schema is an object, true or false.")
    return value
