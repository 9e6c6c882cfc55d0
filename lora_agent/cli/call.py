"""`lora-agent call`: one adapter as a function, on one input or on a JSON Lines file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_agent.cli import options
from lora_agent.cli.batch import Work, field, run_batch
from lora_agent.cli.inputs import read_json_argument
from lora_agent.errors import AdapterInputError, ConfigError, ModelOutputError
from lora_agent.types import Result, compact_json

if TYPE_CHECKING:
    from lora_agent.engine import EngineProtocol
    from lora_agent.registry import AdapterPackage

_NO_INPUT = 'For example: lora-agent call NAME \'{"messages": [{"role": "user", "content": "Hello"}]}\''


def call(
    name: Annotated[str, typer.Argument(help="The adapter. `lora-agent adapters list` shows them.")],
    input_json: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="Its input: JSON text, @FILE, or - for standard input."),
    ] = None,
    source: Annotated[Path | None, typer.Option("--in", help='JSON Lines with {"id", "input"}.')] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Result lines, in order. A file that exists is continued.")
    ] = None,
    adapter_path: options.AdapterPathOption = None,
    base: options.BaseOption = None,
    quantization: options.QuantizationOption = "nf4",
    device: options.DeviceOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Run one adapter on one input and print its output, or on every line of a file."""
    batch = source is not None or out is not None
    if batch == (input_json is not None):
        raise ConfigError("call needs either an INPUT or --in FILE with --out FILE", hint=_NO_INPUT)
    if batch and (source is None or out is None):
        raise ConfigError("a batch needs both --in FILE and --out FILE")
    value = read_json_argument(input_json, AdapterInputError) if input_json is not None else None
    _package(name, adapter_path)  # before the base is loaded: a wrong name should cost no time

    def open_engine() -> EngineProtocol:
        return options.open_engine(base, quantization, device, adapter_path)

    if source is not None and out is not None:
        summary = run_batch(source, out, batch_work(name, open_engine().call), failed_line)
        print_summary(asdict(summary), out, as_json)
    else:
        _print_result(open_engine().call(name, _as_input(value)), as_json)


def batch_work(name: str, run: Callable[..., Result]) -> Work:
    """The work on one line. `run` is `Engine.call`."""

    def work(record: Mapping[str, Any]) -> dict[str, Any]:
        result = run(name, _as_input(field(record, "input")))
        return {
            "output": result.output if result.ok else None,
            "error": result.error,
            "confidence": result.confidence,
            "usage": asdict(result.usage),
        }

    return work


def failed_line(error: str) -> dict[str, Any]:
    return {"output": None, "error": error, "confidence": None, "usage": None}


def _package(name: str, paths: list[Path] | None) -> AdapterPackage:
    from lora_agent.registry import Registry

    return Registry.discover(paths or ()).get(name)


def _as_input(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AdapterInputError(
            f"an adapter's input is a JSON object, got {type(value).__name__} {str(value)[:60]!r}",
            hint=_NO_INPUT,
        )
    return value


def _print_result(result: Result, as_json: bool) -> None:
    if as_json:
        shown = asdict(result)
        del shown["logprobs"]
        print(json.dumps(shown, ensure_ascii=False))
    elif result.ok:
        print(compact_json(result.output))
    if not result.ok:
        if as_json:
            raise typer.Exit(1)
        raise ModelOutputError(
            f"adapter {result.adapter!r} gave no valid output: {result.error}",
            hint="Add --json to see its raw text, or raise the token budget in its adapter.yaml.",
        )


def print_summary(summary: Mapping[str, int], out: Path, as_json: bool) -> None:
    if as_json:
        print(compact_json({**summary, "out": str(out)}))
        return
    print(
        f"{summary['lines']} lines in {out}: {summary['errors']} errors, {summary['kept']} kept from before",
        file=sys.stderr,
    )
