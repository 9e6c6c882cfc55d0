"""The adapter's tensors, each one accounted for against the modules of the base.

Returns A and B with their scaling per module: the update of a module's weight is scaling · B·A. Refuses a
tensor that is missing, superfluous or misshapen, and an adapter that changes nothing. Knows nothing of how
they are served.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from lora_agent.errors import (
    ExtraTensorError,
    FingerprintError,
    MissingTensorError,
    PackageDigestError,
    PackageFormatError,
)
from lora_agent.registry.digest import sha256_bytes
from lora_agent.registry.package import REBUILD, WEIGHTS_FILE, AdapterPackage
from lora_agent.registry.peft_config import PeftConfig, read_peft_config

if TYPE_CHECKING:
    from torch import Tensor

TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<matrix>[AB])\.weight")


class LoraTensors(NamedTuple):
    """One module's update: scaling · b @ a."""

    a: Tensor  # (r, in)
    b: Tensor  # (out, r)
    scaling: float


def read_tensors(package: AdapterPackage, expected: Mapping[str, tuple[int, ...]]) -> dict[str, LoraTensors]:
    """Tensors by module path, such as "model.layers.0.self_attn.q_proj".

    `expected`: (out, in) of every linear module of the base by its path. Raises UnsupportedAdapterError,
    MissingTensorError, ExtraTensorError, PackageDigestError, PackageFormatError, FingerprintError.
    """
    config = read_peft_config(package.weights_folder)
    config.refuse_unserved(package.weights_folder)
    found = _by_module(_load(package))
    _check_modules(found, config, expected, package.name)
    tensors: dict[str, LoraTensors] = {}
    for module in sorted(found):
        a, b = found[module]["A"], found[module]["B"]
        _check_shapes(module, a, b, config.rank(module), expected[module])
        tensors[module] = LoraTensors(a, b, config.scaling(module))
    _refuse_zero(tensors, package.name)
    return tensors


def _load(package: AdapterPackage) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = package.weights_folder / WEIGHTS_FILE
    data = path.read_bytes()
    expected = package.manifest.files[package.file_name(WEIGHTS_FILE)]
    if sha256_bytes(data) != expected:  # these very bytes, not those read earlier
        raise PackageDigestError(f"{str(path)!r} has changed since the package was verified", hint=REBUILD)
    try:
        return load(data)
    except SafetensorError as error:
        raise PackageFormatError(f"{str(path)!r} is not safetensors: {error}", hint=REBUILD) from error


def _by_module(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = TENSOR.fullmatch(name)
        if match is None:
            raise ExtraTensorError(
                f"the tensor {name!r} is neither A nor B of a module",
                hint="PEFT writes 'base_model.model.MODULE.lora_A.weight': save with save_pretrained.",
            )
        if not tensor.is_floating_point() or not _finite(tensor):
            raise PackageFormatError(
                f"the tensor {name!r} ({tensor.dtype}) holds values that are not finite floats",
                hint="The training diverged: train again with a lower learning rate.",
            )
        found.setdefault(match["module"], {})[match["matrix"]] = tensor
    return found


def _finite(tensor: Tensor) -> bool:
    """By its sum, in a quarter of the time of looking at each number: what is not finite stays so in a sum."""
    import torch

    return math.isfinite(float(tensor.sum(dtype=torch.float32)))


def _check_modules(
    found: Mapping[str, Mapping[str, Tensor]],
    config: PeftConfig,
    expected: Mapping[str, tuple[int, ...]],
    adapter: str,
) -> None:
    targets = [module for module in expected if config.targets(module)]
    if not targets:
        raise MissingTensorError(
            f"target_modules of {adapter!r} ({config.target_modules!r}) match no module of the base",
            hint=f"Modules of the base are named such as {next(iter(expected), None)!r}.",
        )
    for module in found:
        if module not in expected:
            raise ExtraTensorError(
                f"{adapter!r} has tensors for {module!r}, a module that the base does not have",
                hint="The adapter was made for another architecture, or for a layer that is not linear.",
            )
        if not config.targets(module):
            raise ExtraTensorError(
                f"{adapter!r} has tensors for {module!r}, which its target_modules do not name: PEFT would ignore them",
                hint="Save the adapter again with PEFT's save_pretrained.",
            )
    for module in targets:
        for matrix in "AB":
            if matrix not in found.get(module, {}):
                raise MissingTensorError(
                    f"{adapter!r} has no lora_{matrix} for {module!r}, which its target_modules name",
                    hint="PEFT would leave the module untrained and only warn: save the adapter again.",
                )


def _check_shapes(module: str, a: Tensor, b: Tensor, rank: int, shape: tuple[int, ...]) -> None:
    size_out, size_in = shape
    for matrix, tensor, wanted in (("A", a, (rank, size_in)), ("B", b, (size_out, rank))):
        if tuple(tensor.shape) != wanted:
            raise ExtraTensorError(
                f"lora_{matrix} of {module!r} has the shape {tuple(tensor.shape)}, expected {wanted} "
                f"(rank {rank}, module {size_out} × {size_in})",
                hint="The adapter was made for a base of another size, or adapter_config.json was changed.",
            )


def _refuse_zero(tensors: Mapping[str, LoraTensors], adapter: str) -> None:
    """‖B·A‖² = tr(BᵀB · AAᵀ), through r × r matrices: out × in is never built."""
    import torch

    for a, b, scaling in tensors.values():
        a64, b64 = a.to(torch.float64), b.to(torch.float64)
        if scaling != 0 and float(((b64.T @ b64) * (a64 @ a64.T)).sum()) > 0:
            return
    raise FingerprintError(
        f"the adapter {adapter!r} has zero effect: B·A is 0 in all of its {len(tensors)} modules",
        hint="It was saved before it was trained (PEFT starts with B = 0): train it, then package it.",
    )
