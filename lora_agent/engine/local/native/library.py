"""Find and bind the compiled forward pass. Knows ctypes and nothing of models."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_double, c_float, c_int, c_int32, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path

from lora_agent.engine.local.device import cpu_flags

_NEEDED = frozenset({"avx2", "fma"})


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """Why the compiled forward pass cannot be used here; None when it can."""
    missing = sorted(_NEEDED - cpu_flags())
    if missing:
        return f"this CPU has no {' and no '.join(missing)}"
    if _path() is None:
        return "it was not compiled when lora-agent was installed (no C compiler found)"
    try:
        load()
    except OSError as error:
        return f"it cannot be loaded: {error}"
    return None


def _path() -> Path | None:
    return next(iter(sorted(Path(__file__).parent.glob("_forward*.so"))), None)


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """The library with its functions' types declared. Raises OSError."""
    path = _path()
    if path is None:
        raise OSError("the compiled forward pass is not installed")
    library = ctypes.CDLL(str(path))
    ints, floats, pointers = POINTER(c_int32), POINTER(c_float), POINTER(c_void_p)
    signatures: dict[str, tuple[object, list[object]]] = {
        "lora_agent_new": (c_void_p, [ints, c_float, *[c_void_p] * 6, c_int]),
        "lora_agent_set_linear": (None, [c_void_p, *[c_int] * 5, *[c_void_p] * 3]),
        "lora_agent_set_norms": (None, [c_void_p, c_int, *[c_void_p] * 4]),
        "lora_agent_adapter_new": (c_void_p, [c_void_p]),
        "lora_agent_adapter_set": (None, [c_void_p, *[c_int] * 4, floats, c_void_p, c_void_p]),
        "lora_agent_adapter_free": (None, [c_void_p]),
        "lora_agent_free": (None, [c_void_p]),
        "lora_agent_forward": (
            c_int,
            [
                *[c_void_p, c_int, ints, ints, ints, pointers, POINTER(c_int64), pointers],
                *[c_int, ints, floats, c_int, ints],
            ],
        ),
        "lora_agent_seconds": (None, [c_void_p, POINTER(c_double)]),
        "lora_agent_head": (None, [c_void_p, c_int, ints, floats]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
