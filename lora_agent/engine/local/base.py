"""Load one base model: weights, tokenizer, renderer and identity. Knows nothing of adapters or sessions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from lora_agent.engine.local.checkpoint import Checkpoint, Quantization, ensure_checkpoint
from lora_agent.engine.local.device import Choice, choose
from lora_agent.engine.local.native.cache import KvCacheDtype
from lora_agent.engine.local.unpacked import unpack
from lora_agent.errors import ConfigError
from lora_agent.registry import BaseIdentity
from lora_agent.render import ChatRenderer
from lora_agent.structured import Vocabulary

if TYPE_CHECKING:
    from lora_agent.engine.local.native.model import NativeModel


PACKED_IN, PACKED_OUT = 64, 32
"""Multiples of which a layer's sizes must be for bitsandbytes to pack it on CPUs with AVX512-BF16."""


@dataclass
class BaseModel:
    """The shared base. `path` is a folder that transformers loads as it is."""

    checkpoint: Checkpoint
    choice: Choice
    tokenizer: Any
    renderer: ChatRenderer
    native: NativeModel | None = None
    """The compiled forward pass, where that is what reads tokens."""

    @cached_property
    def model(self) -> Any:
        """The transformers model: what reads tokens unless `native` does; otherwise loaded when it is asked for."""
        return _load_model(self.checkpoint, self.choice)

    @cached_property
    def config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.path)

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
        if self.native is not None:
            return self.native.memory_bytes
        seen: dict[int, int] = {}
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return sum(seen.values())

    @property
    def context_limit(self) -> int:
        """Tokens that the model reads at most."""
        return int(self.config.max_position_embeddings)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens that grammars speak about."""
        return Vocabulary(self.tokenizer, self.renderer.stop_token_ids[0], int(self.config.vocab_size))

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
    kv_cache_dtype: KvCacheDtype = "float32",
) -> BaseModel:
    """Load a base; None is the embedded one. Raises the BaseModelError family and ConfigError."""
    from transformers import AutoTokenizer

    if kv_cache_dtype not in get_args(KvCacheDtype):
        known = ", ".join(get_args(KvCacheDtype))
        raise ConfigError(f"kv_cache_dtype={kv_cache_dtype!r} is none of {known}", hint="Leave it out for float32.")
    checkpoint = ensure_checkpoint(base, quantization)
    if dtype is not None and dtype != torch.float32 and kernels == "auto":
        kernels = "unpacked"  # the compiled forward pass computes in float32
    choice = choose(device, kernels, checkpoint.path)
    if dtype is not None and dtype != choice.dtype:
        choice = replace(choice, dtype=dtype, dtype_reason="asked for")
    native = None
    if choice.kernels == "native":
        from lora_agent.engine.local.native.model import NativeModel

        native = NativeModel(checkpoint.path, kv_cache_dtype=kv_cache_dtype)
    elif kv_cache_dtype != "float32":
        raise ConfigError(
            f"kv_cache_dtype={kv_cache_dtype!r} is for the compiled forward pass, and {choice.kernels!r} runs here: "
            f"{choice.kernels_reason}",
            hint="Leave kv_cache_dtype out.",
        )
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    loaded = BaseModel(checkpoint, choice, tokenizer, ChatRenderer(tokenizer), native)
    if native is None:
        _ = loaded.model  # its errors belong here
    return loaded


def _load_model(checkpoint: Checkpoint, choice: Choice) -> Any:
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gemm_4bit.*")
        model: Any = AutoModelForCausalLM.from_pretrained(
            checkpoint.path, dtype=choice.dtype, device_map={"": choice.device}, attn_implementation="sdpa"
        )
    model.eval().requires_grad_(False)
    if checkpoint.quantization == "nf4":
        if choice.kernels == "packed":
            _set_compute_dtype(model, choice.dtype)
            _leave_unpacked(model)
        else:
            unpack(model, choice.dtype)
    return model


def load_tokenizer(base: str | Path | None = None) -> tuple[ChatRenderer, Vocabulary]:
    """How a base reads and writes text, without its weights. Raises as `load_base` does."""
    from transformers import AutoConfig, AutoTokenizer

    path = ensure_checkpoint(base, "nf4").path
    renderer = ChatRenderer(AutoTokenizer.from_pretrained(path))
    size = int(AutoConfig.from_pretrained(path).vocab_size)
    return renderer, Vocabulary(renderer.tokenizer, renderer.stop_token_ids[0], size)


def _leave_unpacked(model: Any) -> None:
    """On CPUs with AVX512-BF16 bitsandbytes packs the weights of a layer anew at its first use, which fails where its
    sizes are no multiples of the block's (`_convert_weight_packed_for_cpu` in bitsandbytes/functional.py): such a layer
    stays as it is."""
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit) and (module.in_features % PACKED_IN or module.out_features % PACKED_OUT):
            module.support_avx512bf16_for_cpu = False


def _set_compute_dtype(model: Any, dtype: torch.dtype) -> None:
    """The checkpoint records the dtype of the machine that made it; this machine's choice counts."""
    for module in model.modules():
        if hasattr(module, "compute_dtype") and hasattr(module, "compute_type_is_set"):
            module.compute_dtype = dtype
            module.compute_type_is_set = True
    for parameter in model.parameters():
        if parameter.is_floating_point():  # embedding and norms; packed 4-bit weights are integers
            parameter.data = parameter.data.to(dtype)
