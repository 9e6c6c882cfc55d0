"""Load one base model: weights, tokenizer, renderer and identity. Knows nothing of adapters or sessions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lora_agent.engine.local.checkpoint import Checkpoint, Quantization, ensure_checkpoint
from lora_agent.engine.local.device import Choice, choose
from lora_agent.engine.local.unpacked import unpack
from lora_agent.registry import BaseIdentity
from lora_agent.render import ChatRenderer
from lora_agent.structured import Vocabulary


@dataclass
class BaseModel:
    """The shared base. `path` is a folder that transformers loads as it is."""

    checkpoint: Checkpoint
    choice: Choice
    model: Any
    tokenizer: Any
    renderer: ChatRenderer

    @property
    def id(self) -> str:
        return self.checkpoint.id

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    @property
    def quantization(self) -> str:
        return self.checkpoint.quantization

    @property
    def source_sha256(self) -> str:
        return self.checkpoint.source_sha256

    @property
    def device(self) -> str:
        return self.choice.device

    @property
    def dtype(self) -> str:
        return str(self.choice.dtype).removeprefix("torch.")

    @property
    def dtype_reason(self) -> str:
        return self.choice.dtype_reason

    @property
    def kernels(self) -> str:
        return self.choice.kernels

    @property
    def kernels_reason(self) -> str:
        return self.choice.kernels_reason

    @cached_property
    def memory_bytes(self) -> int:
        """Bytes of weights and buffers in memory, tied weights counted once."""
        seen: dict[int, int] = {}
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return sum(seen.values())

    @property
    def context_limit(self) -> int:
        """Tokens that the model reads at most."""
        return int(self.model.config.max_position_embeddings)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens that grammars speak about."""
        return Vocabulary(self.tokenizer, self.renderer.stop_token_ids[0], int(self.model.config.vocab_size))

    @cached_property
    def identity(self) -> BaseIdentity:
        return BaseIdentity(
            id=self.id,
            source_sha256=self.source_sha256,
            quantization=self.quantization,
            tokenizer_sha256=self.renderer.tokenizer_sha256,
            chat_template_sha256=self.renderer.template_sha256,
        )


def load_base(
    base: str | Path | None = None,
    *,
    quantization: Quantization = "nf4",
    device: str | None = None,
    kernels: str = "auto",
    dtype: torch.dtype | None = None,
) -> BaseModel:
    """Load a base; None is the embedded one. Raises the BaseModelError family and ConfigError."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    choice = choose(device, kernels)
    if dtype is not None and dtype != choice.dtype:
        choice = Choice(choice.device, dtype, "asked for", choice.kernels, choice.kernels_reason)
    checkpoint = ensure_checkpoint(base, quantization)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gemm_4bit.*")
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint.path, dtype=choice.dtype, device_map={"": choice.device}, attn_implementation="sdpa"
        )
    model.eval().requires_grad_(False)
    if checkpoint.quantization == "nf4":
        if choice.kernels == "unpacked":
            unpack(model, choice.dtype)
        else:
            _set_compute_dtype(model, choice.dtype)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    return BaseModel(checkpoint, choice, model, tokenizer, ChatRenderer(tokenizer))


def load_tokenizer(base: str | Path | None = None) -> tuple[ChatRenderer, Vocabulary]:
    """How a base reads and writes text, without its weights. Raises as `load_base` does."""
    from transformers import AutoConfig, AutoTokenizer

    path = ensure_checkpoint(base, "nf4").path
    renderer = ChatRenderer(AutoTokenizer.from_pretrained(path))
    size = int(AutoConfig.from_pretrained(path).vocab_size)
    return renderer, Vocabulary(renderer.tokenizer, renderer.stop_token_ids[0], size)


def _set_compute_dtype(model: Any, dtype: torch.dtype) -> None:
    """The checkpoint records the dtype of the machine that made it; this machine's choice counts."""
    for module in model.modules():
        if hasattr(module, "compute_dtype") and hasattr(module, "compute_type_is_set"):
            module.compute_dtype = dtype
            module.compute_type_is_set = True
    for parameter in model.parameters():
        if parameter.is_floating_point():  # embedding and norms; packed 4-bit weights are integers
            parameter.data = parameter.data.to(dtype)
