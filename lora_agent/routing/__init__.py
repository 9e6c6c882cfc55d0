"""Routers: from a session to the adapter that takes the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_agent.routing.prototypes import Card, read_cards

if TYPE_CHECKING:
    from lora_agent.routing.router import CardRouter, HiddenStateRouter, Router


def default_router(engine: Any) -> HiddenStateRouter:
    """The router of an engine: the head that was trained for its base, or cards alone where there is none."""
    from lora_agent.routing.head import find_head
    from lora_agent.routing.router import HiddenStateRouter, featurise, listening
    from lora_agent.routing.untrained import untrained_head

    head = find_head(engine.base.source_sha256) or untrained_head(engine)

    def cards() -> list[Card]:
        return [Card(p.name, p.description, tuple(p.spec.examples)) for p in engine.adapters.values()]

    return HiddenStateRouter(head, cards, lambda text: featurise(engine, head, text), listening(engine))


__all__ = ["Card", "CardRouter", "HiddenStateRouter", "Router", "default_router", "read_cards"]


def __getattr__(name: str) -> Any:
    if name in ("CardRouter", "HiddenStateRouter", "Router"):
        from lora_agent.routing import router

        return getattr(router, name)
    raise AttributeError(name)
