"""The options that every command with an engine shares, and the one place that opens an engine from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lora_agent.engine import EngineProtocol

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else.")]
BaseOption = Annotated[
    str | None,
    typer.Option("--base", help="Hugging Face id or folder of the base. Default: embedded."),
]
QuantizationOption = Annotated[str, typer.Option("--quantization", help="nf4, int8 or none.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1. Default: the best.")]
AdapterPathOption = Annotated[
    list[Path] | None,
    typer.Option("--adapter-path", help="Adapter package or folder of packages. May be repeated."),
]


def open_engine(
    base: str | None, quantization: str, device: str | None, adapters: Sequence[Path] | None, **more: Any
) -> EngineProtocol:
    """Load the base into this process. `more`: further options of `Engine.load`."""
    from lora_agent.engine import Engine

    paths = [str(path) for path in adapters or ()]
    return Engine.load(base, quantization=quantization, device=device, adapters=paths, **more)
