"""What the engine asks its replicas for: a completion by a proven adapter, a choice among token sequences.

A request that fails on one replica is made again on another: a replica that dies in the middle costs time and nothing
else. Knows replicas, proofs and the wire; nothing of conversations or contracts.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.engine.remote import wire
from lora_agent.engine.remote.gate import StillClosed
from lora_agent.engine.remote.proof import Proofs
from lora_agent.engine.remote.replicas import Replica, Replicas, TryElsewhere
from lora_agent.errors import AdapterError, LoraAgentError, ServerRefusedError, ServerUnreachableError
from lora_agent.registry import AdapterPackage

Work = Callable[[Replica, str, wire.Trace], Awaitable[wire.Generated]]
"""Asks a replica for something of the model under that name."""

_BOOT = re.compile(r"^process_start_time_seconds\s+(\S+)", re.MULTILINE)
CONNECTIONS = 256


@dataclass(frozen=True)
class Request:
    """One decode. `package` None is the base; `bound` are the fields that bind its output (see wire.structured);
    `watch` is told the tokens so far, from the start again when the request is made again."""

    package: AdapterPackage | None
    prompt: Sequence[int]
    options: DecodeOptions
    bound: Mapping[str, Any]
    watch: Callable[[Sequence[int]], None] | None = None

    @property
    def interrupt(self) -> wire.Interrupt:
        return wire.Interrupt(self.options.deadline, self.options.cancel)


class Client:
    """All of it runs in one event loop."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        stop_tokens: Sequence[int],
        api_key: str | None,
        model: str | None,
        adapter_root: str | None,
        connect_s: float,
        read_s: float,
        retry_s: float,
    ) -> None:
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(read_s, connect=connect_s, pool=None),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            trust_env=False,  # a proxy of the environment is for the internet, not for one's own servers
        )
        self.replicas = Replicas(urls, self._http, retry_s=retry_s)
        self._stop_tokens = list(stop_tokens)
        self._adapter_root = adapter_root
        self._wanted_model = model
        self._proofs: Proofs | None = None
        self.model = ""
        self.context_limit: int | None = None

    async def open(self) -> None:
        """Ask every replica what it serves. Those that do not answer are left to their health check; one must.

        Raises ServerUnreachableError, and ServerRefusedError where replicas serve different bases."""
        found = await asyncio.gather(*map(self._models, self.replicas.all))
        alive = [models for models in found if models is not None]
        if not alive:
            raise self.replicas.unreachable()
        bases = [[m for m in models if not m.get("parent")] for models in alive]
        names = [[m["id"] for m in models] for models in bases]
        self.model = self._wanted_model or names[0][0]
        for served in names:
            if self.model not in served:
                raise ServerRefusedError(
                    f"a replica serves {served!r}, not the base {self.model!r}",
                    hint="All replicas must serve one base under one name (--served-model-name); or give model=.",
                )
        limits = [m.get("max_model_len") for models in bases for m in models if m["id"] == self.model]
        self.context_limit = min((int(n) for n in limits if n), default=None)
        self._proofs = Proofs(self._http, self.model, self._adapter_root)

    async def _models(self, replica: Replica) -> list[dict[str, Any]] | None:
        try:
            models: list[dict[str, Any]] = (await wire.get_json(self._http, replica, "/v1/models"))["data"]
            replica.boot = await self._boot(replica)
        except (httpx.TransportError, TryElsewhere, KeyError, ValueError) as error:
            replica.problem = f"{type(error).__name__}: {error}"
            self.replicas.take_down(replica)
            return None
        return models

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def proofs(self) -> Proofs:
        if self._proofs is None:
            raise ServerUnreachableError("the client is not open")
        return self._proofs

    async def ask(self, request: Request) -> wire.Generated:
        """Raises ServerUnreachableError, ServerRefusedError, and the AdapterError family where no replica proves the
        adapter. A deadline or a cancellation is a finish reason."""
        reason = request.interrupt.reason()
        if reason is not None:
            return wire.Generated(finish=reason)

        async def work(replica: Replica, model: str, trace: wire.Trace) -> wire.Generated:
            return await self._generate(replica, model, request, trace)

        try:
            return await self._anywhere(request.package, work, request.interrupt.deadline)
        except ServerUnreachableError:
            reason = request.interrupt.reason()
            if reason is None:
                raise
            return wire.Generated(finish=reason)

    async def _anywhere(
        self, package: AdapterPackage | None, work: Work, deadline: float | None = None
    ) -> wire.Generated:
        async def proven(replica: Replica) -> wire.Generated:
            if package is None:
                return await self._inside(replica, work, self.model, deadline)
            try:
                name = await self.proofs.ensure(replica, package)
            except AdapterError as error:
                raise TryElsewhere(error.message) from error
            return await self._inside(replica, work, name, deadline)

        def usable(replica: Replica) -> bool:
            return package is None or self.proofs.refused(replica, package) is None

        try:
            return await self.replicas.run(proven, deadline=deadline, usable=usable)
        except ServerUnreachableError:
            refusals = [self.proofs.refused(r, package) for r in self.replicas.all] if package is not None else []
            for refusal in refusals:
                if refusal is not None:
                    raise refusal from None
            raise

    async def _inside(self, replica: Replica, work: Work, model: str, deadline: float | None) -> wire.Generated:
        """`work` beside other completions, and not beside a proof."""
        try:
            async with replica.gate.shared(deadline):
                return await self._same_boot(replica, work, model)
        except StillClosed:
            raise TryElsewhere("a proof took too long") from None

    async def _same_boot(self, replica: Replica, work: Work, model: str) -> wire.Generated:
        """`work`, unless the process behind the address is another than the proof was about: a new process means a new
        connection, so after each of those it is asked when it was started, before the answer counts."""
        connected = False

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            nonlocal connected
            connected = connected or event == "connection.connect_tcp.started"

        try:
            result = await work(replica, model, trace)
        except wire.NotServedError as error:
            if model == self.model:
                raise
            replica.generation += 1  # it has forgotten the adapter
            raise TryElsewhere(error.message) from error
        if connected:
            boot = await self._boot(replica)
            if boot != replica.boot:
                replica.boot = boot
                replica.generation += 1
                raise TryElsewhere("it was started anew")
        return result

    async def _boot(self, replica: Replica) -> str | None:
        """Start time of the server's process, from its Prometheus metrics; None where it does not say."""
        answer = await self._http.get(f"{replica.url}/metrics")
        found = _BOOT.search(answer.text) if answer.status_code == 200 else None
        return found[1] if found else None

    async def _generate(self, replica: Replica, model: str, request: Request, trace: wire.Trace) -> wire.Generated:
        body: dict[str, Any] = {
            "model": model,
            "prompt": list(request.prompt),
            "max_tokens": request.options.max_tokens,
            "temperature": request.options.temperature,
            "top_p": request.options.top_p,
            "stop_token_ids": self._stop_tokens,
            "skip_special_tokens": False,
            "logprobs": wire.TOP_LOGPROBS,
            **request.bound,
        }
        if request.options.seed is not None:
            body["seed"] = request.options.seed
        if request.options.stop:
            body["stop"] = list(request.options.stop)
        return await wire.generate(self._http, replica, body, trace, request.interrupt, request.watch)

    async def verify(self, package: AdapterPackage) -> dict[str, LoraAgentError | None]:
        """Prove an adapter anew on every replica that is up; what failed, by address."""

        async def one(replica: Replica) -> LoraAgentError | None:
            self.proofs.forget(replica, package)
            try:
                await self.proofs.ensure(replica, package)
            except AdapterError as error:
                return error
            except (httpx.TransportError, TryElsewhere) as error:
                self.replicas.note(replica, error)
                return self.replicas.unreachable()
            return None

        up = [replica for replica in self.replicas.all if replica.up]
        if not up:
            raise self.replicas.unreachable()
        return dict(zip([r.url for r in up], await asyncio.gather(*map(one, up)), strict=True))

    async def choose(self, prompt: Sequence[int], options: Mapping[str, Sequence[int]]) -> dict[str, float]:
        """Probability of each token sequence after `prompt` in a decode that may write nothing else: one token is asked
        for wherever sequences part."""
        logs = dict.fromkeys(options, 0.0)

        async def part(prefix: Sequence[int], rest: Mapping[str, Sequence[int]]) -> None:
            children: dict[int, dict[str, Sequence[int]]] = {}
            for name, ids in rest.items():
                if ids:
                    children.setdefault(ids[0], {})[name] = ids[1:]
            if len(children) > 1:
                found = await self._next(prefix, list(children))
                for token, below in children.items():
                    for name in below:
                        logs[name] += found[token]
            await asyncio.gather(
                *(part([*prefix, token], below) for token, below in children.items() if len(below) > 1)
            )

        await part(list(prompt), options)
        total = sum(math.exp(value) for value in logs.values())
        return {name: math.exp(value) / total for name, value in logs.items()}

    async def _next(self, prompt: Sequence[int], tokens: Sequence[int]) -> dict[int, float]:
        """Log-probabilities of `tokens` as the base's next one, normalised over them."""
        body = {"prompt": list(prompt), "max_tokens": 1, "temperature": 0, "allowed_token_ids": list(tokens)}
        body |= {"logprobs": min(wire.TOP_LOGPROBS, len(tokens)), "logprob_token_ids": list(tokens)}

        async def work(replica: Replica, model: str, trace: wire.Trace) -> wire.Generated:
            return await wire.generate(self._http, replica, {**body, "model": model}, trace)

        got = await self._anywhere(None, work)
        told = {token: got.top[0].get(token, -math.inf) for token in tokens}
        norm = math.log(sum(math.exp(value) for value in told.values()))
        return {token: value - norm for token, value in told.items()}
