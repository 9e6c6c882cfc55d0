"""`lora-agent doctor`: what was found on this machine, what would be chosen and why, and what is wrong.

Exit code 1 when something must be repaired before the agent can run. Downloads only with --fetch.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from lora_agent import __version__, folders
from lora_agent.cli import options
from lora_agent.errors import LoraAgentError
from lora_agent.types import compact_json

_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "llguidance")
_ROOM_MB = 700
"""Free space (MB) that converting the embedded base needs."""


def doctor(
    fetch: Annotated[bool, typer.Option("--fetch", help="Also download and convert the embedded base now.")] = False,
    device: options.DeviceOption = None,
    adapter_path: options.AdapterPathOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Say what was found, what would be chosen and why, and what is wrong."""
    if fetch:
        from lora_agent.engine.local.checkpoint import ensure_checkpoint

        ensure_checkpoint(None, "nf4")
    problems: list[str] = []
    report: dict[str, Any] = {
        "lora_agent": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": _libraries(problems),
        "cpu": _cpu(),
        "memory": _memory(),
        "cache": _cache(problems),
        "compute": _compute(device, problems),
        "base": _base(),
        "adapters": _adapters(adapter_path, problems),
        "problems": problems,
    }
    if as_json:
        print(compact_json(report))
    else:
        _print(report)
    if problems:
        raise typer.Exit(1)


def _libraries(problems: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
            problems.append(f"{name} is not installed: run `pip install lora-agent` in this environment")
    return found


def _cpu() -> dict[str, Any]:
    from lora_agent.engine.local.device import cpu_flags

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"machine": platform.machine(), "cores": usable, "flags": sorted(cpu_flags())}


def _memory() -> dict[str, float | None]:
    """GB of this machine; None where the system does not tell."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}

    def gigabytes(pages: str) -> float | None:
        if pages not in names or "SC_PAGE_SIZE" not in names:
            return None
        return round(os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)

    return {"total_gb": gigabytes("SC_PHYS_PAGES"), "free_gb": gigabytes("SC_AVPHYS_PAGES")}


def _cache(problems: list[str]) -> dict[str, Any]:
    folder = folders.cache_dir()
    existing = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    remedy = "set LORA_AGENT_HOME to another folder"
    if not writable:
        problems.append(f"the cache folder {str(folder)!r} cannot be written: {remedy}")
    if free_mb < _ROOM_MB:
        problems.append(f"{free_mb} MB free at {str(folder)!r}, {_ROOM_MB} MB wanted: free some, or {remedy}")
    return {"folder": str(folder), "writable": writable, "free_mb": free_mb}


def _compute(device: str | None, problems: list[str]) -> dict[str, Any]:
    try:
        import torch
    except (ImportError, OSError) as fault:  # OSError: a shared library of torch is missing
        problems.append(f"torch cannot be imported: {fault}")
        return {"error": str(fault)}
    from lora_agent.engine.local.device import choose

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    try:
        choice = choose(device)
    except LoraAgentError as fault:
        problems.append(f"{fault.message}: {fault.hint}")
        return {"cuda_devices": cuda, "error": fault.message}
    return {
        "cuda_devices": cuda,
        "device": choice.device,
        "dtype": str(choice.dtype).removeprefix("torch."),
        "dtype_reason": choice.dtype_reason,
        "kernels": choice.kernels,
        "kernels_reason": choice.kernels_reason,
    }


def _base() -> dict[str, Any]:
    from lora_agent.engine.local.checkpoint import DEFAULT_BASE, embedded_is_cached

    return {"id": DEFAULT_BASE, "cached": embedded_is_cached()}


def _adapters(paths: list[Path] | None, problems: list[str]) -> list[dict[str, str]]:
    from lora_agent.registry import Registry

    registry = Registry.discover(paths or ())
    problems += [f"adapter in {folder}: {fault.message}" for folder, fault in registry.problems]
    return [{"name": package.name, "version": package.version} for package in registry.packages.values()]


def _print(report: dict[str, Any]) -> None:
    """`name  value` lines; a reason stands in brackets behind what it explains."""
    compute, cpu, memory, cache = report["compute"], report["cpu"], report["memory"], report["cache"]
    rows = [
        ("lora-agent", report["lora_agent"]),
        ("python", f"{report['python']} on {report['platform']}"),
        *((name, version or "missing") for name, version in report["libraries"].items()),
        ("cpu", f"{cpu['cores']} cores, {cpu['machine']}, {' '.join(cpu['flags']) or 'no known flags'}"),
        ("memory", f"{memory['total_gb']} GB, {memory['free_gb']} GB free"),
        ("cuda", ", ".join(compute.get("cuda_devices", [])) or "no device"),
    ]
    if "error" not in compute:
        rows += [
            ("device", compute["device"]),
            ("dtype", f"{compute['dtype']} ({compute['dtype_reason']})"),
            ("kernels", f"{compute['kernels']} ({compute['kernels_reason']})"),
        ]
    cached = "cached" if report["base"]["cached"] else "not cached yet; `lora-agent doctor --fetch` gets it"
    rows += [
        ("cache", f"{cache['folder']}, {cache['free_mb']:,} MB free"),
        ("base", f"{report['base']['id']} ({cached})"),
        ("adapters", ", ".join(f"{a['name']} {a['version']}" for a in report["adapters"]) or "none found"),
    ]
    for name, value in rows:
        print(f"{name:<14} {value}")
    for problem in report["problems"]:
        print(f"problem: {problem}", file=sys.stderr)
