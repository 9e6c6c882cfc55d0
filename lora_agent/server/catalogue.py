"""The names that a request may ask for: the base, the router, the agent, every adapter. Knows no HTTP."""

from __future__ import annotations

from typing import Any

from lora_agent.engine.protocol import EngineProtocol
from lora_agent.errors import UnknownAdapterError
from lora_agent.registry import AdapterPackage

BASE, AUTO, AGENT = "base", "auto", "agent"
_ABOUT = {
    BASE: "The base model itself, without an adapter.",
    AUTO: "The router chooses the adapter for this one answer; tools come back as tool_calls.",
    AGENT: "The whole loop: guard, route, call the server's own tools, search documents, answer, guard.",
}


class Catalogue:
    def __init__(self, engine: EngineProtocol) -> None:
        self._engine = engine
        self.base_id = str(getattr(getattr(engine, "base", None), "id", BASE))

    def find(self, model: str) -> str | AdapterPackage:
        """BASE, AUTO or AGENT, or an adapter; `name@digest` asks for just that build. Raises UnknownAdapterError."""
        if model in (BASE, self.base_id):
            return BASE
        if model in (AUTO, AGENT):
            return model
        name, _, digest = model.partition("@")
        package = self._engine.adapters.get(name)
        if package is None:
            names = ", ".join([BASE, AUTO, AGENT, *self._engine.adapters])
            raise UnknownAdapterError(f"there is no model {model!r:.100}", hint=f"There are: {names}.")
        own = package.digest.removeprefix("sha256:")
        if digest and not (len(digest) >= 8 and own.startswith(digest.removeprefix("sha256:"))):
            raise UnknownAdapterError(
                f"adapter {name!r} is here as {own[:12]}, not {digest[:12]}",
                hint="GET /v1/models lists what is served.",
            )
        return package

    def entries(self) -> list[dict[str, Any]]:
        """What `/v1/models` lists: id, parent, root and what it is for."""
        found = [{"id": self.base_id, "root": self.base_id, "parent": None, "description": _ABOUT[BASE]}]
        found += [
            {"id": name, "root": self.base_id, "parent": None, "description": _ABOUT[name]}
            for name in (BASE, AUTO, AGENT)
        ]
        for name, package in self._engine.adapters.items():
            digest = package.digest.removeprefix("sha256:")
            found.append(
                {
                    "id": name,
                    "root": f"{name}@{digest[:12]}",
                    "parent": self.base_id,
                    "description": package.description,
                }
            )
        return found
