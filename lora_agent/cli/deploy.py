"""`lora-agent deploy`: what to start elsewhere so that `Engine.connect` finds this base and these adapters there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lora_agent.cli import options
from lora_agent.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Commands and manifests for other servers.", rich_markup_mode=None)


@app.callback()
def _root() -> None: ...


@app.command("vllm")
def vllm(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--export", help="Write base and adapters here, as the server will see them, and serve from here."
        ),
    ] = None,
    mount: Annotated[
        str, typer.Option("--mount", help="Where the servers of a manifest see the exported folder.")
    ] = "/models",
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="Print a manifest instead of a command.")] = False,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="Replicas of the manifest.")] = 2,
    image: Annotated[str, typer.Option("--image", help="Container image of the manifest.")] = "vllm/vllm-openai:latest",
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="GPUs of each replica in the manifest; 0 for none.")] = 1,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8000,
    adapter_path: options.AdapterPathOption = None,
    base: options.BaseOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Print the exact `vllm serve` command for the base and its adapters, or a Kubernetes manifest."""
    from lora_agent.engine.remote.deploy import export, plan

    if kubernetes and folder is None:
        raise ConfigError(
            "a manifest needs the files that its servers mount",
            hint=f"Add --export FOLDER, and copy FOLDER to the volume that is mounted at {mount}.",
        )
    found = plan(base, adapter_path or ())
    if folder is not None:
        export(found, folder)
    root = mount if kubernetes else str(folder.resolve()) if folder is not None else None
    command = found.command(root, port=port)
    if as_json:
        unserved = {name: error.message for name, error in found.unserved.items()}
        print(json.dumps({"command": command, "environment": found.environment, "unserved": unserved}))
        return
    for error in found.unserved.values():
        typer.echo(f"left out: {error.message}\n  {error.hint}", err=True)
    if kubernetes:
        print(found.manifest(command, mount=mount, replicas=replicas, image=image, gpus=gpus, port=port), end="")
        return
    if root is None:
        typer.echo("The base is named where --export FOLDER would write it: run it with that first.", err=True)
    print(found.shell(command))
