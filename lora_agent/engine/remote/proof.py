"""No adapter answers a user before this replica has proven that it serves that very adapter.

An adapter is served under `name@digest`. Before its first use on a replica it is registered there if need be, and its
fingerprint is read through `logprobs`, bare and adapted. The proof ends when the replica may have been started anew,
when it forgets the adapter, and after `REPROVE_S`. A replica that failed is tried again after `REFUSED_S` or a restart.
Knows packages and the wire.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

import httpx

from lora_agent.engine.remote import wire
from lora_agent.engine.remote.gate import StillClosed
from lora_agent.engine.remote.replicas import Replica, TryElsewhere
from lora_agent.errors import AdapterError, FingerprintError, ServerRefusedError
from lora_agent.registry import AdapterPackage, Fingerprint, check_fingerprint

log = logging.getLogger("lora_agent.remote")

REPROVE_S = 300.0
"""Seconds that a proof counts: somebody else may load other weights under the same name meanwhile."""
REFUSED_S = 30.0
"""Seconds that a failed proof counts."""
PATIENCE_S = 30.0
"""Seconds that a proof waits for the completions under way on its replica, while new ones wait for it."""


def served_name(package: AdapterPackage) -> str:
    """What an adapter is called on a server; other weights have another name."""
    return f"{package.name}@{package.digest[:12]}"


def server_path(package: AdapterPackage, root: str | None) -> str:
    """The folder with the PEFT files as the server sees it: `root`/NAME/..., or the path here."""
    if root is None:
        return str(package.weights_folder.resolve())
    return str(PurePosixPath(root) / package.name / package.weights)


@dataclass(frozen=True)
class _Found:
    generation: int
    at: float
    error: AdapterError | None = None

    def counts(self, replica: Replica) -> bool:
        lifetime = REPROVE_S if self.error is None else REFUSED_S
        return self.generation == replica.generation and time.monotonic() - self.at < lifetime


class Proofs:
    def __init__(self, client: httpx.AsyncClient, base_model: str, adapter_root: str | None) -> None:
        self._client = client
        self._base = base_model
        self._root = adapter_root
        self._found: dict[tuple[Replica, str], _Found] = {}
        self._locks: dict[tuple[Replica, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def refused(self, replica: Replica, package: AdapterPackage) -> AdapterError | None:
        """Why this replica may not be asked, None if it may (or must be tried)."""
        found = self._found.get((replica, package.digest))
        return found.error if found is not None and found.counts(replica) else None

    def forget(self, replica: Replica, package: AdapterPackage) -> None:
        self._found.pop((replica, package.digest), None)

    async def ensure(self, replica: Replica, package: AdapterPackage) -> str:
        """The name to ask for. Raises the AdapterError family (remembered), TryElsewhere, httpx.TransportError."""
        key = (replica, package.digest)
        async with self._locks[key]:
            found = self._found.get(key)
            generation = replica.generation
            if found is not None and found.counts(replica):
                if found.error is not None:
                    raise found.error
                return served_name(package)
            try:
                await self._prove(replica, package)
            except AdapterError as error:
                log.error("replica %s refused for %s: %s", replica.url, served_name(package), error.message)
                self._found[key] = _Found(generation, time.monotonic(), error)
                raise
            self._found[key] = _Found(generation, time.monotonic())
        return served_name(package)

    async def _prove(self, replica: Replica, package: AdapterPackage) -> None:
        name = served_name(package)
        models = await wire.get_json(self._client, replica, "/v1/models")
        if name not in {model["id"] for model in models["data"]}:
            await self._load(replica, package)
        print_ = package.manifest.fingerprint
        # vLLM's CPU build dies of a prompt's log-probabilities when other requests are in the same pass
        # (punica_cpu.add_lora_logits, seen with 0.32).
        try:
            async with replica.gate.alone(time.monotonic() + PATIENCE_S):
                bare = await self._read(replica, self._base, print_)
                adapted = await self._read(replica, name, print_)
        except StillClosed:
            raise TryElsewhere(f"no moment for a proof of {name!r} in {PATIENCE_S:.0f} s") from None
        try:
            check_fingerprint(print_, bare, adapted)
        except FingerprintError as error:
            raise FingerprintError(f"{name!r} at {replica.url}: {error.message}", hint=error.hint) from error

    async def _read(self, replica: Replica, model: str, print_: Fingerprint) -> list[float]:
        """Log-probabilities of the fingerprint's targets under `model`, NaN where the server tells none."""
        canary, places = print_.canary, list(zip(print_.positions, print_.targets, strict=True))
        if all(canary[p + 1 : p + 2] == [target] for p, target in places):
            found = await wire.prompt_logprobs(self._client, replica, model, canary)
            told = [found[p + 1] for p, _ in places]
        else:  # a target that does not stand in the canary: a prompt of its own
            prompts = [[*canary[: p + 1], target] for p, target in places]
            told = [(await wire.prompt_logprobs(self._client, replica, model, ids))[-1] for ids in prompts]
        return [float("nan") if value is None else value for value in told]

    async def _load(self, replica: Replica, package: AdapterPackage) -> None:
        path = server_path(package, self._root)
        body = {"lora_name": served_name(package), "lora_path": path}
        try:
            answer = await self._client.post(f"{replica.url}/v1/load_lora_adapter", json=body)
            if answer.status_code >= 500:  # vLLM answers 500 for an adapter that it cannot serve
                raise ServerRefusedError(answer.text[:400])
            wire.raise_for_status(replica, answer, answer.text)
        except ServerRefusedError as error:
            raise AdapterError(
                f"{replica.url} does not serve {served_name(package)!r} and could not load it from {path!r}: "
                f"{error.message}",
                hint="Start it with the command that `lora-agent deploy vllm` prints, or allow loading "
                "(VLLM_ALLOW_RUNTIME_LORA_UPDATING=1) and say where it sees the packages (adapter_root=...).",
            ) from error
