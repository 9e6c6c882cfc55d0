"""The engine on servers of others: prompts, grammars, contracts and proofs here, forward passes there.

Made by `Engine.connect`. Knows nothing of the agent's loop.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_agent.engine.remote.client import Client, Request
from lora_agent.engine.remote.loop import LoopThread
from lora_agent.engine.remote.reader import Reader, load_reader
from lora_agent.engine.remote.session import RemoteSession, RemoteTextSession
from lora_agent.engine.remote.streaming import as_written
from lora_agent.engine.remote.wire import Generated
from lora_agent.engine.shared import SharedEngine
from lora_agent.errors import ConfigError, UnknownAdapterError, UnsupportedAdapterError
from lora_agent.registry import AdapterPackage, Registry, check_base, check_gate, plain_lora
from lora_agent.render import ChatRenderer, read_messages, read_tools
from lora_agent.structured import Vocabulary
from lora_agent.types import JsonSchema, Message, Result, Tool

if TYPE_CHECKING:
    from lora_agent.engine.local.engine import LocalEngine
    from lora_agent.routing import Router

KEY_VARIABLE = "LORA_AGENT_API_KEY"
PARALLEL_CALLS = 64


class RemoteEngine(SharedEngine):
    """See lora_agent.engine.protocol.EngineProtocol. Safe to use from many threads; they do not take turns."""

    def __init__(
        self,
        client: Client,
        reader: Reader,
        registry: Registry,
        *,
        router: Any = "auto",
        allow_ungated: bool = False,
    ) -> None:
        self.base = reader
        self.registry = registry
        self.renderer: ChatRenderer = reader.renderer
        self.vocabulary: Vocabulary = reader.vocabulary
        self.allow_ungated = allow_ungated
        self.client = client
        self._router = router
        self._loop = LoopThread()
        try:
            self._loop.run(client.open())
        except BaseException:
            self.close()
            raise
        self.context_limit = min(reader.context_limit, client.context_limit or reader.context_limit)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        base: str | Path | None = None,
        adapters: Sequence[str | Path] = (),
        replicas: Sequence[str] = (),
        model: str | None = None,
        api_key: str | None = None,
        router: Any = "auto",
        adapter_root: str | None = None,
        connect_s: float = 5.0,
        read_s: float = 120.0,
        retry_s: float = 60.0,
        allow_ungated: bool = False,
    ) -> RemoteEngine:
        """Connect to a server, and to further `replicas` of it.

        `base`: what it serves (its tokenizer is read here), `model`: the name that it serves it under (default: its
        first). `adapter_root`: the folder with the packages as the server sees it (default: the paths here).
        `router`: "choice" asks the served base for a name; an engine in this process routes with the head on its own
        base; "auto" loads such a base when the first route is asked for, if a head was trained for it, else "choice".
        `api_key` (default: the variable LORA_AGENT_API_KEY). Seconds: `connect_s` to open a connection, `read_s`
        between two pieces of an answer, `retry_s` of trying elsewhere before a request is given up.

        Raises ServerUnreachableError, ServerRefusedError, and the BaseModelError and AdapterError families.
        """
        urls = [_address(text) for text in (url, *replicas)]
        if not (router in ("auto", "choice") or hasattr(router, "session")):
            raise ConfigError(f"router is {router!r}", hint='Use "auto", "choice", or an engine in this process.')
        reader = load_reader(base)
        client = Client(
            urls,
            stop_tokens=reader.renderer.stop_token_ids,
            api_key=api_key or os.environ.get(KEY_VARIABLE),
            model=model,
            adapter_root=adapter_root,
            connect_s=connect_s,
            read_s=read_s,
            retry_s=retry_s,
        )
        registry = Registry.discover([Path(p) for p in adapters])
        return cls(client, reader, registry, router=router, allow_ungated=allow_ungated)

    def close(self) -> None:
        """Close the connections. A closed engine answers no more."""
        self._loop.run(self.client.close())
        self._loop.close()

    def __enter__(self) -> RemoteEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def adapters(self) -> Mapping[str, AdapterPackage]:
        """Packages for this base that such a server can run, as they run there; why others cannot is in `unserved`."""
        return {n: p for n, p in self._plain.items() if isinstance(p, AdapterPackage)}

    @cached_property
    def unserved(self) -> Mapping[str, UnsupportedAdapterError]:
        """Packages for this base that cannot run on such a server, with the reason."""
        return {n: p for n, p in self._plain.items() if isinstance(p, UnsupportedAdapterError)}

    @cached_property
    def _plain(self) -> dict[str, AdapterPackage | UnsupportedAdapterError]:
        found: dict[str, AdapterPackage | UnsupportedAdapterError] = {}
        for name, package in self.registry.packages.items():
            if package.manifest.base.source_sha256 == self.base.source_sha256:
                try:
                    found[name] = plain_lora(package)
                except UnsupportedAdapterError as error:
                    found[name] = error
        return found

    @cached_property
    def router(self) -> Router:
        from lora_agent.routing.choice import ChoiceRouter, EngineRouter
        from lora_agent.routing.head import find_head

        router = self._router
        if router == "auto":
            router = self._base_in_process() if find_head(self.base.source_sha256) is not None else "choice"
        return ChoiceRouter(self) if router == "choice" else EngineRouter(router)

    def _base_in_process(self) -> LocalEngine:
        from lora_agent.engine.local.base import load_base
        from lora_agent.engine.local.engine import LocalEngine

        return LocalEngine(load_base(self.base.source), self.registry)

    def package(self, name: str) -> AdapterPackage:
        """A package as it runs on these servers. Raises UnknownAdapterError, WrongBaseError, WrongTemplateError,
        GateError, and UnsupportedAdapterError for an activated LoRA without a plain variant."""
        if name == "base":
            raise UnknownAdapterError("'base' is the model itself, not an adapter", hint="Use session.generate().")
        package = plain_lora(self.registry.get(name))
        check_base(package, self.base.identity)
        check_gate(package, allow_ungated=self.allow_ungated)
        return package

    def verify(self, name: str) -> AdapterPackage:
        """Prove an adapter anew on every replica that is up. Raises the AdapterError family and
        ServerUnreachableError."""
        package = self.package(name)
        for error in self._loop.run(self.client.verify(package)).values():
            if error is not None:
                raise error
        return package

    def session(
        self, messages: Sequence[Message | Mapping[str, Any]] | str, *, tools: Sequence[Tool | Mapping[str, Any]] = ()
    ) -> RemoteSession:
        """Start a conversation. Nothing is sent before a step needs it."""
        return RemoteSession(self, read_messages(messages), read_tools(tools))

    def complete(self, prompt: str, **options: Any) -> Result:
        """The base goes on with a text as it stands, without a chat template; options as of `session.generate`."""
        return RemoteTextSession(self, prompt).generate(**options)

    def call_batch(
        self, calls: Sequence[tuple[str, Mapping[str, Any]]], *, max_tokens: int | None = None
    ) -> list[Result]:
        """Several calls at the same time, spread over the replicas; results in order."""
        with ThreadPoolExecutor(max(1, min(PARALLEL_CALLS, len(calls)))) as pool:
            return list(pool.map(lambda call: self.call(*call, max_tokens=max_tokens), calls))

    def _written(
        self, messages: Any, schema: JsonSchema | None, options: dict[str, Any]
    ) -> Generator[str, None, Result]:
        return as_written(self.session(messages), schema, options)

    def ask(self, request: Request) -> Generated:
        return self._loop.run(self.client.ask(request))

    def choose(self, prompt: Sequence[int], options: Mapping[str, Sequence[int]]) -> dict[str, float]:
        return self._loop.run(self.client.choose(prompt, options))


def _address(url: str) -> str:
    """`http://host:8000/v1/` → `http://host:8000`."""
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is not an http(s) address", hint="For example http://127.0.0.1:8000")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")
