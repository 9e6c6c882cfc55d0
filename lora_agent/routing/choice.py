"""Routers for engines that show no hidden states: the served base chooses among names, or a base in process routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lora_agent.errors import UnknownAdapterError
from lora_agent.routing.decode import decode_choice
from lora_agent.routing.prototypes import Card
from lora_agent.types import Route

BASE = "base"
BASE_CARD = Card(BASE, "Small talk, opinions, jokes, creative writing, anything that no other one is for.")
THRESHOLD = 0.4
"""Under this probability the choice abstains."""


class ChoiceRouter:
    """One constrained choice over the legal names, by the base itself, with its probabilities."""

    def __init__(self, engine: Any, *, threshold: float = THRESHOLD) -> None:
        self._engine = engine
        self._threshold = threshold

    def route(self, session: Any, legal: Sequence[str] | None = None) -> Route:
        packages = self._engine.adapters
        names = list(packages) if legal is None else [n for n in legal if n != BASE]
        for name in names:
            if name not in packages:
                raise UnknownAdapterError(
                    f"the router knows no adapter {name!r}", hint="See `lora-agent adapters list`."
                )
        if not names:
            return Route(BASE, {BASE: 1.0}, method="rule")
        cards = [Card(n, packages[n].description) for n in names]
        probabilities = decode_choice(session, [*cards, BASE_CARD])
        best = max(probabilities, key=lambda n: probabilities[n])
        abstained = probabilities[best] < self._threshold
        return Route(BASE if abstained else best, probabilities, abstained=abstained, method="decode")


class EngineRouter:
    """The head of an engine in this process, on its own read of the conversation."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def route(self, session: Any, legal: Sequence[str] | None = None) -> Route:
        route: Route = self._engine.session(session.messages, tools=session.tools).route(legal)
        return route
