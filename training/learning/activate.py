"""Make a PEFT model activate its adapter by the invocation in the token ids, as TRL's whole-row passes need it.

Our own loop activates it by segments instead and trains it as a plain LoRA (training/fit/forward.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peft.tuners.lora.layer import LoraLayer
from peft.tuners.lora.variants import ALoraLinearVariant


def activate(model: Any, invocation: Sequence[int]) -> None:
    """From now on the adapter is off before the last `invocation` of each row (PEFT's aLoRA)."""
    for name, config in model.peft_config.items():
        config.alora_invocation_tokens = list(invocation)
        for module in model.modules():
            if isinstance(module, LoraLayer) and name in module.lora_A:
                module.lora_variant[name] = ALoraLinearVariant()
