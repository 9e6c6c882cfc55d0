"""LoRA weights that belong to no package: what the router listens with. One safetensors file of `MODULE.a` and `.b`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lora_agent.errors import PackageFormatError
from lora_agent.registry.digest import sha256_bytes
from lora_agent.registry.tensors import LoraTensors


@dataclass(frozen=True)
class LooseLora:
    path: Path

    @cached_property
    def digest(self) -> str:
        return sha256_bytes(self.path.read_bytes())

    def tensors(self) -> dict[str, LoraTensors]:
        """By module path, such as "model.layers.0.self_attn.q_proj". Raises PackageFormatError."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as file:
                scaling = float(file.metadata()["scaling"])
                names = {name[:-2] for name in file.keys()}  # noqa: SIM118 (not a dict)
                pairs = {n: (file.get_tensor(f"{n}.a"), file.get_tensor(f"{n}.b")) for n in sorted(names)}
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise PackageFormatError(
                f"{str(self.path)!r} holds no LoRA weights: {error}", hint="Install lora-agent again."
            ) from error
        return {name: LoraTensors(a, b, scaling) for name, (a, b) in pairs.items()}


def write_loose(path: Path, tensors: Mapping[str, LoraTensors]) -> LooseLora:
    """Atomic, in bfloat16. All modules must have the same scaling."""
    import torch
    from safetensors.torch import save_file

    scalings = {update.scaling for update in tensors.values()}
    if len(scalings) != 1:
        raise ValueError(f"one scaling is wanted, there are {sorted(scalings)}")
    parts = {
        f"{n}.{k}": m.to(torch.bfloat16).contiguous() for n, u in tensors.items() for k, m in (("a", u.a), ("b", u.b))
    }
    scratch = path.with_suffix(".tmp")
    save_file(parts, scratch, {"scaling": repr(scalings.pop())})
    scratch.replace(path)
    return LooseLora(path)
