"""Choose the device, the compute dtype and the kernels, each with the reason that `lora-agent doctor` prints.

Nothing is assumed: neither CUDA nor AVX-512. Measurements behind the CPU choice: docs/decisions/002-cpu-kernels.md.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from lora_agent.errors import ConfigError

if TYPE_CHECKING:
    import torch

Kernels = Literal["native", "packed", "unpacked"]
"""native: our compiled forward pass on the 4-bit weights. packed: transformers with bitsandbytes' 4-bit products.
unpacked: transformers with the same values, expanded to bfloat16 once at load."""


@dataclass(frozen=True)
class Choice:
    device: str
    dtype: torch.dtype
    dtype_reason: str
    kernels: Kernels
    kernels_reason: str


@lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """The instruction sets of this CPU that matter here, as /proc/cpuinfo names them. Empty if unknown."""
    interesting = {"avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16", "amx_tile"}
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("flags"):
                return frozenset(line.split()) & interesting
    return frozenset()


def available_memory() -> int:
    """Bytes that this process may still take: by the kernel's count and the limit of its container (Linux), or physical
    memory elsewhere."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        most, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # no such file, or "max"
        return free
    return min(free, max(0, most - used))


def choose(device: str | None = None, kernels: str = "auto", base: Path | None = None) -> Choice:
    """`device` "cpu", "cuda", "cuda:1" or None for the best one found; `base`: the checkpoint folder, where the
    compiled forward pass must know its architecture. Raises ConfigError for what is absent here."""
    import torch

    if kernels not in ("auto", *get_args(Kernels)):
        raise ConfigError(f"unknown kernels {kernels!r}", hint=f"Use 'auto' or one of {', '.join(get_args(Kernels))}.")
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ConfigError(f"device {device!r} asked for, but torch sees no CUDA device", hint='Use device="cpu".')
        if kernels == "native":
            raise ConfigError("the native kernels run on a CPU", hint="Leave `kernels` out, or use device='cpu'.")
        return _cuda(device, kernels)
    if device != "cpu":
        raise ConfigError(f"unknown device {device!r}", hint='Use "cpu" or "cuda".')
    return _cpu(kernels, base)


def native_missing(base: Path | None) -> str | None:
    """Why the compiled forward pass cannot be used here, or for the base in this folder; None when it can."""
    from lora_agent.engine.local.native import library, model

    return library.why_not() or (None if base is None else model.why_not(base))


def _cuda(device: str, kernels: str) -> Choice:
    import torch

    bf16 = torch.cuda.is_bf16_supported()
    reason = "the GPU computes bfloat16" if bf16 else "the GPU has no bfloat16"
    chosen: Kernels = "unpacked" if kernels == "unpacked" else "packed"
    why = "asked for" if kernels != "auto" else "bitsandbytes has 4-bit kernels for CUDA"
    return Choice(device, torch.bfloat16 if bf16 else torch.float16, reason, chosen, why)


def _cpu(kernels: str, base: Path | None) -> Choice:
    import torch

    flags = cpu_flags()
    if kernels in ("auto", "native"):
        missing = native_missing(base)
        if missing is None:
            why = "asked for" if kernels == "native" else "AVX2 found: 4-bit weights are multiplied as they are stored"
            return Choice("cpu", torch.float32, "the native kernels compute in float32", "native", why)
        if kernels == "native":
            raise ConfigError(f"the native kernels cannot be used: {missing}", hint="Leave `kernels` out.")
        otherwise = f"; the native kernels: {missing}"
    else:
        otherwise = ""
    if "amx_bf16" in flags or "avx512_bf16" in flags:
        dtype, reason = torch.bfloat16, f"the CPU multiplies bfloat16 ({', '.join(sorted(flags))})"
    else:
        dtype = torch.float32
        reason = f"no bfloat16 arithmetic in this CPU ({', '.join(sorted(flags)) or platform.machine()})"
    if kernels != "auto":
        return Choice("cpu", dtype, reason, "packed" if kernels == "packed" else "unpacked", "asked for")
    if "avx512f" in flags:
        return Choice(
            "cpu", dtype, reason, "packed", f"AVX-512 found: bitsandbytes has 4-bit products for it{otherwise}"
        )
    expanded = "no AVX-512: 4-bit values are expanded once to bfloat16, which decodes faster"
    return Choice("cpu", dtype, reason, "unpacked", expanded + otherwise)
