"""The shortest way to the end of a value that a decode is in the middle of, for when its budget runs out.

Always takes what closes most: quotes and brackets first, the shortest scalars next, and where a value must go on (a
minimal length, an enum, a date) the shortest token that fits. Knows constraints, no models.
"""

from __future__ import annotations

from lora_agent.structured.constraint import Constraint
from lora_agent.structured.vocabulary import Vocabulary

# What closes most comes first.
_CLOSING = '"}]} "}} "]} "}] "} "] " }]} }} ]} }] } ] 0 1 null true ,'.split()


def way_out(constraint: Constraint, limit: int) -> list[int] | None:
    """Tokens after which the value is complete, at most `limit`; None where that is not enough. The constraint stays
    as it is."""
    probe = constraint.copy()
    closing = _closing_tokens(constraint.vocabulary)
    path: list[int] = []
    while not probe.can_stop:
        step = probe.forced() or [_nearest(probe, closing)]
        path += step
        if len(path) > limit:
            return None
        for token in step:
            probe.advance(token)
    return path


def _nearest(probe: Constraint, closing: tuple[int, ...]) -> int:
    for token in closing:
        if probe.takes(token):
            return token
    vocabulary = probe.vocabulary
    allowed = [t for t in probe.allowed() if t != vocabulary.stop_token_id]
    return min(allowed, key=lambda token: (len(vocabulary.tokens.decode_bytes([token])), token))


def _closing_tokens(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The closing texts that are single tokens of this vocabulary."""
    encoded = (vocabulary.encode(text) for text in _CLOSING)
    return tuple(ids[0] for ids in encoded if len(ids) == 1)
