"""What a user would pick instead: which of it is here, and how to get the rest."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing

from lora_agent.engine.local.engine import LocalEngine

from .llama import LlamaCpp
from .peer import Peer
from .peft import Peft
from .vllm import PYTHON, Vllm

INSTALL = "make bench-peers"


def absent() -> dict[str, str]:
    """The peers that are not installed, each with why and the command that installs it. PEFT always is: the engine
    reads its format."""
    found = {}
    if importlib.util.find_spec("llama_cpp") is None:
        found[LlamaCpp.name] = f"llama-cpp-python is not installed; run: {INSTALL}"
    if not os.environ.get(PYTHON):
        found[Vllm.name] = f"{PYTHON} does not name the Python of its environment; run: {INSTALL}"
    return found


def start(
    engine: LocalEngine, threads: int, wanted: Collection[str], stack: ExitStack
) -> tuple[dict[str, Peer], dict[str, str]]:
    """(the peers of `wanted` that are here, by name, closed with `stack`; those that are not, with the reason).

    One that is installed but does not start is a fault, not an absence: RuntimeError, ImportError.
    """
    starts: dict[str, Callable[[], Peer]] = {
        Peft.name: lambda: Peft(engine),
        LlamaCpp.name: lambda: LlamaCpp(engine, threads),
        Vllm.name: lambda: Vllm(engine, threads, os.environ[PYTHON]),
    }
    missing = {name: reason for name, reason in absent().items() if name in wanted}
    found = {}
    for name in wanted:
        if name not in missing:
            print(f"starting {name}", file=sys.stderr, flush=True)
            found[name] = stack.enter_context(closing(starts[name]()))
    return found, missing
