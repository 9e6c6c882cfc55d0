"""The engine in this process: one base in memory, adapters in slots, sessions on shared keys and values.

Puts together the base, the adapters' slots, the prefix cache and the router. Knows nothing of the agent's loop or of
HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_agent.engine.contract import BASE_MAX_TOKENS
from lora_agent.engine.local.admission import Admission
from lora_agent.engine.local.bank import AdapterBank
from lora_agent.engine.local.base import BaseModel, load_base
from lora_agent.engine.local.batch import call_batch, call_concurrently
from lora_agent.engine.local.checkpoint import Quantization
from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.engine.local.device import available_memory
from lora_agent.engine.local.likelihood import log_likelihoods
from lora_agent.engine.local.native.cache import KvCacheDtype
from lora_agent.engine.local.prefix_cache import PrefixCache
from lora_agent.engine.local.runner import Runner
from lora_agent.engine.local.session import LocalSession
from lora_agent.engine.local.slots import Slots
from lora_agent.engine.shared import SharedEngine
from lora_agent.errors import PackageFormatError, UnknownAdapterError
from lora_agent.registry import AdapterPackage, LooseLora, Registry, check_base, check_gate
from lora_agent.render import read_messages, read_tools
from lora_agent.types import JsonSchema, Message, Result, Tool

if TYPE_CHECKING:
    from lora_agent.routing import Router


class LocalEngine(SharedEngine):
    """Made by `Engine.load`. Calls from several threads are safe. On the compiled forward pass they are
    computed together, otherwise they take turns."""

    def __init__(
        self,
        base: BaseModel,
        registry: Registry,
        *,
        slots: int = 8,
        allow_ungated: bool = False,
        kv_cache_memory_bytes: int | None = None,
    ) -> None:
        self.base = base
        self.registry = registry
        self.allow_ungated = allow_ungated
        self.lock = threading.RLock()
        """Held while adapters, registry and slots change; never while tokens are read for a user."""
        self._batches = threading.Lock()
        self.bank, self.runner = self._forward_pass(slots)
        self._slots = Slots(self.bank, self.runner, self.lock)
        self.prefixes = PrefixCache()
        self.admission = Admission(self._kv_tokens(kv_cache_memory_bytes))
        self.vocabulary = base.vocabulary

    def _kv_tokens(self, memory_bytes: int | None) -> int | None:
        """How many tokens' keys and values requests at work may hold together; without a bound where transformers
        keeps them. By itself never less than one whole context."""
        if self.base.native is None:
            return None
        token_bytes = self.base.native.kv.token_bytes
        if memory_bytes is None:
            return max(available_memory() // 2 // token_bytes, self.base.context_limit)
        return memory_bytes // token_bytes

    def _forward_pass(self, slots: int) -> tuple[AdapterBank, Runner]:
        """Where adapters lie and how tokens are read, for the kernels that were chosen."""
        base = self.base
        if base.native is not None:
            from lora_agent.engine.local.native.bank import NativeBank
            from lora_agent.engine.local.native.runner import NativeRunner

            native_bank = NativeBank(base.native, slots=slots)
            return native_bank, NativeRunner(base.native, native_bank)
        from lora_agent.engine.local.lora import StackedBank
        from lora_agent.engine.local.torch_runner import TorchRunner

        bank = StackedBank(base.model, slots=slots, dtype=base.choice.dtype, device=base.device)
        return bank, TorchRunner(base.model, base.device, bank)

    @classmethod
    def load(
        cls,
        base: str | Path | None = None,
        *,
        quantization: Quantization = "nf4",
        device: str | None = None,
        adapters: Sequence[str | Path] = (),
        kernels: str = "auto",
        dtype: Any = None,
        kv_cache_dtype: KvCacheDtype = "float32",
        kv_cache_memory_bytes: int | None = None,
        slots: int = 8,
        allow_ungated: bool = False,
    ) -> LocalEngine:
        """Load a base and register adapters: those in `adapters`, the installed and the shipped ones.

        Raises the BaseModelError family, and the AdapterError family for a package named in `adapters`; a broken
        package found elsewhere is listed in `registry.problems` and raises when it is asked for.

        `kv_cache_dtype`: "int8" keeps keys and values in 8 bits with a scale a head: 12 instead of 45 KiB a token of
        the embedded base, so prefixes and sessions take a quarter of the memory, at logits that differ in the second
        decimal (docs/performance.md). `kv_cache_memory_bytes`: of all requests at work together; further ones wait for
        their turn (default: half of the memory that is free now).
        """
        registry = Registry.discover([Path(p) for p in adapters])
        loaded = load_base(
            base, quantization=quantization, device=device, kernels=kernels, dtype=dtype, kv_cache_dtype=kv_cache_dtype
        )
        return cls(
            loaded,
            registry,
            slots=slots,
            allow_ungated=allow_ungated,
            kv_cache_memory_bytes=kv_cache_memory_bytes,
        )

    @cached_property
    def adapters(self) -> Mapping[str, AdapterPackage]:
        """Packages that were built for this base (others stay in the registry), by name."""
        own = self.base.identity.source_sha256
        return {n: p for n, p in self.registry.packages.items() if p.manifest.base.source_sha256 == own}

    @cached_property
    def router(self) -> Router:
        from lora_agent.routing import default_router

        return default_router(self)

    def package(self, name: str) -> AdapterPackage:
        """A package that may be used here. Raises UnknownAdapterError, WrongBaseError, WrongTemplateError,
        GateError and, on first use, the errors of its weights and fingerprint."""
        if name == "base":
            raise UnknownAdapterError("'base' is the model itself, not an adapter", hint="Use session.generate().")
        package = self.registry.get(name)
        check_base(package, self.base.identity)
        check_gate(package, allow_ungated=self.allow_ungated)
        return package

    def resident(self, package: AdapterPackage) -> int:
        """The slot of a package's weights; reads them, and proves them by the fingerprint, when they are not in."""
        with self.using(package) as (slot,):
            return slot

    def using(self, *packages: AdapterPackage) -> AbstractContextManager[list[int]]:
        """The packages' slots, which stay theirs inside (see `Slots.using`)."""
        return self._slots.using(packages)

    def holding(self, weights: LooseLora | None) -> AbstractContextManager[int]:
        """The slot of weights that belong to no package, which stays theirs inside; without any, that of the base."""
        return self._slots.holding(weights)

    def verify(self, name: str) -> AdapterPackage:
        """Every check of one adapter, weights and fingerprint included. Raises the AdapterError family."""
        package = self.package(name)
        self._slots.forget(package.digest)
        with self.using(package):
            return package

    def add(self, package: AdapterPackage) -> None:
        """Register one more package, once it has passed every check, its fingerprint included. Raises the AdapterError
        family (PackageFormatError where another package has the name)."""
        with self.lock:
            known = self.registry.packages.get(package.name)
            if known is not None and known.digest != package.digest:
                raise PackageFormatError(
                    f"another adapter {package.name!r} is loaded, {known.digest[:12]}, not {package.digest[:12]}",
                    hint="Unload it first.",
                )
            check_base(package, self.base.identity)
            check_gate(package, allow_ungated=self.allow_ungated)
        with self.using(package), self.lock:
            self._register({**self.registry.packages, package.name: package})

    def remove(self, name: str) -> None:
        """Forget an adapter. Work that has begun with it is finished. Raises UnknownAdapterError."""
        with self.lock:
            package = self.registry.get(name)
            self._register({n: p for n, p in self.registry.packages.items() if n != name})
            self._slots.doubt(package.digest)

    def _register(self, packages: Mapping[str, AdapterPackage]) -> None:
        self.registry = replace(self.registry, packages=packages)
        self.__dict__.pop("adapters", None)  # computed anew from the registry

    def session(
        self, messages: Sequence[Message | Mapping[str, Any]] | str, *, tools: Sequence[Tool | Mapping[str, Any]] = ()
    ) -> LocalSession:
        """Start a conversation. Nothing is read before `prefill`, `route`, `run` or `generate` needs it."""
        return LocalSession(self, read_messages(messages), read_tools(tools))

    def complete(self, prompt: str, **options: Any) -> Result:
        """The base goes on with a text as it stands, without a chat template; options as of `session.generate`."""
        from lora_agent.engine.local.text import TextSession

        return TextSession(self, prompt).generate(**options)

    def log_likelihoods(self, told: Sequence[str], text: str, weights: LooseLora | None = None) -> list[float]:
        """Natural-log probability of `text` (of its first 64 tokens) as what a user says after a system turn with each
        of `told`, under the base or with `weights`. What was told before is not read again."""
        return log_likelihoods(self, told, text, weights)

    def call_batch(
        self,
        calls: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        max_tokens: int | None = None,
        prompted: bool = False,
        free: bool = False,
    ) -> list[Result]:
        """Several calls, of different adapters if need be, together; results in order, equal to single calls.

        `prompted`: the bare base, told what each adapter is for, under the same grammar: what a gate compares with.
        `free`: without the grammar; the output is only checked: what an adapter has learnt of its form by itself."""
        if not calls:
            return []
        if self.runner.merges and not prompted and not free:
            return call_concurrently(self, calls, max_tokens)
        with self._batches:
            options = DecodeOptions(max_tokens) if max_tokens else None
            return call_batch(self, calls, options, prompted=prompted, free=free)

    def _written(
        self, messages: Any, schema: JsonSchema | None, options: dict[str, Any]
    ) -> Generator[str, None, Result]:
        shape = {name: options.pop(name, None) for name in ("regex", "choices")}
        preamble = options.pop("preamble", False)
        decode = DecodeOptions(options.pop("max_tokens", None) or BASE_MAX_TOKENS, close=True, **options)
        return self.session(messages).stream(decode, schema=schema, preamble=preamble, **shape)
