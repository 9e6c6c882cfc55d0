"""Which adapter takes the next step: legality first, then the head (or prototypes), then one decode, then abstain.

The router reads features of the prefill that the step needs anyway. Guards are never routed: the agent's policy runs
them. Knows engines only through the session that it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from lora_agent.errors import UnknownAdapterError
from lora_agent.routing.channel import Hear
from lora_agent.routing.choice import BASE_CARD
from lora_agent.routing.decode import decode_choice
from lora_agent.routing.head import ABSTAIN, BASE, Head, find_listener, softmax
from lora_agent.routing.matcher import Matched
from lora_agent.routing.prototypes import Card, Prototypes
from lora_agent.types import Route


class Router(Protocol):
    def route(self, session: Any, legal: Sequence[str] | None = None) -> Route:
        """Choose for a session among `legal` names; "base" is always legal, None allows every known adapter."""


class HiddenStateRouter:
    """Head for the adapters that it was trained on, cards and examples for the others."""

    def __init__(
        self,
        head: Head,
        cards: Callable[[], Iterable[Card]],
        featurise: Callable[[str], Tensor],
        hear: Hear | None = None,
        *,
        decode: bool = False,
    ) -> None:
        self.head = head
        self._cards = cards
        self._featurise = featurise
        self._hear = hear
        self._decode = decode
        self._known: Matched | Prototypes | None = None

    def route(self, session: Any, legal: Sequence[str] | None = None) -> Route:
        cards = {card.name: card for card in self._cards()}
        names = self._legal(cards, legal)
        if names == [BASE]:
            return Route(BASE, {BASE: 1.0}, method="rule")
        features = session.features
        logits = {n: v for n, v in self.head.logits(features).items() if n in names or n == ABSTAIN}
        new = [n for n in names if n not in self.head.classes]
        method = "head"
        if new:
            method = "prototype"
            logits |= self._new_logits(features, last_text(session), logits, {n: cards[n] for n in new})
        return self._decide(session, cards, softmax(logits), method)

    def _legal(self, cards: Mapping[str, Card], legal: Sequence[str] | None) -> list[str]:
        names = list(cards) if legal is None else [n for n in legal if n != BASE]
        for name in names:
            if name not in cards:
                raise UnknownAdapterError(
                    f"the router knows no adapter {name!r}", hint="See `lora-agent adapters list`."
                )
        return [*names, BASE]

    def _new_logits(
        self, features: Tensor, text: str, known: Mapping[str, float], cards: Mapping[str, Card]
    ) -> dict[str, float]:
        """An unknown adapter competes with all known ones together: at its offset the odds are even."""
        if self._known is None or list(self._known.cards) != list(cards.values()):
            self._known = self.head.known(self._featurise, cards.values(), self._hear)
        everything = math.log(sum(math.exp(v) for v in known.values())) if known else 0.0
        return {n: everything + odds for n, odds in self._known.log_odds(self.head.embed(features), text).items()}

    def _decide(self, session: Any, cards: Mapping[str, Card], probabilities: dict[str, float], method: str) -> Route:
        best = max(probabilities, key=lambda n: probabilities[n])
        if probabilities[best] < self.head.threshold and self._decode:
            method = "decode"
            asked = [cards.get(name, BASE_CARD) for name in probabilities if name != ABSTAIN]
            second = decode_choice(session, asked)
            mixed = {n: p * second.get(n, 1 / len(asked)) for n, p in probabilities.items()}
            total = sum(mixed.values())
            probabilities = {n: v / total for n, v in mixed.items()}
            best = max(probabilities, key=lambda n: probabilities[n])
        if best == ABSTAIN or probabilities[best] < self.head.threshold:
            return Route(BASE, probabilities, abstained=True, method=method)
        return Route(best, probabilities, method=method)


class CardRouter:
    """Routes among adapters that it knows only from their cards; no head is needed for them.

    `look_again`: where no choice is sure the request is read again under the likeliest cards (channel.py), six times
    the time of its first reading. Without it the choice takes under a millisecond and is right less often."""

    def __init__(self, engine: Any, cards: Sequence[Card], *, look_again: bool = True) -> None:
        self._engine = engine
        self._head: Head = engine.router.head
        hear = listening(engine) if look_again else None
        self._known = self._head.known(lambda text: featurise(engine, self._head, text), cards, hear)

    def route(self, messages: Any) -> Route:
        session = self._engine.session(messages)
        odds = self._known.log_odds(self._head.embed(session.features), last_text(session))
        probabilities = softmax(odds | {BASE: 0.0})
        best = max(probabilities, key=lambda n: probabilities[n])
        # No card is near enough, or none is likely.
        abstained = best == BASE or probabilities[best] < self._head.card_threshold
        return Route(BASE if abstained else best, probabilities, abstained=abstained, method="prototype")


def last_text(session: Any) -> str:
    """The turn that a session's features are of."""
    return str(session.messages[-1].content) if session.messages else ""


def listening(engine: Any) -> Hear:
    """How a second look hears what is said: with the weights that were trained for it, if there are any."""
    weights = find_listener(engine.base.source_sha256)
    return lambda told, text: engine.log_likelihoods(told, text, weights)


def featurise(engine: Any, head: Head, text: str) -> Tensor:
    """One user turn as prototypes are compared."""
    return head.embed(engine.session(text).features)
