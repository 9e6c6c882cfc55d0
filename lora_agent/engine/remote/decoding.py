"""A server's answer under our grammar → the same Completion that a decode in process gives.

The tokens are walked through the grammar of the call once more: where it left no choice a token was forced, where it
left few the alternatives feed the calibrated scores. Knows tokens and grammars, no HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lora_agent.engine.remote.wire import Generated
from lora_agent.render import ChatRenderer
from lora_agent.structured import Constraint, Grammar
from lora_agent.types import Completion, Usage

_FEW = 64
"""As in a decode in process: steps with at most this many allowed tokens keep their probabilities."""


@dataclass(frozen=True)
class Alternatives:
    """A step at which the grammar left few choices: their tokens and natural-log probabilities, where told."""

    step: int
    tokens: list[int]
    logprobs: list[float]


def text_of(renderer: ChatRenderer, tokens: Sequence[int], stop: Sequence[str] = ()) -> str:
    """Text before the stop token and before the first of the texts in `stop`."""
    own = list(tokens[:-1] if tokens and tokens[-1] in renderer.stop_token_ids else tokens)
    text: str = renderer.tokenizer.decode(own, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text[: min((text.find(s) for s in stop if s in text), default=len(text))]


def completion(
    renderer: ChatRenderer, grammar: Grammar | None, got: Generated, ms: float, stop: Sequence[str] = ()
) -> tuple[Completion, list[Alternatives]]:
    """The tokens without the one that stops, log-probabilities under the grammar, and the few-choice steps."""
    tokens = list(got.tokens)
    if tokens and tokens[-1] in renderer.stop_token_ids:
        del tokens[-1]
    logprobs, alternatives, forced = _walk(grammar, got, len(tokens))
    text = text_of(renderer, tokens, stop)
    read = max(0, got.prompt_tokens - got.cached_tokens)
    usage = Usage(read=read, reused=got.cached_tokens, generated=len(got.tokens) - forced, forced=forced)
    done = Completion(text, tuple(tokens), tuple(logprobs), got.finish or "length", usage, ms)
    return done, alternatives


def _walk(grammar: Grammar | None, got: Generated, count: int) -> tuple[list[float], list[Alternatives], int]:
    """Logprobs of all tokens (the stop token's too where it was chosen), alternatives, number of forced tokens."""
    if grammar is None:
        return list(got.logprobs), [], 0
    constraint: Constraint | None = grammar.start()
    logprobs: list[float] = []
    alternatives: list[Alternatives] = []
    forced = 0
    for step, (token, value, top) in enumerate(zip(got.tokens, got.logprobs, got.top, strict=True)):
        allowed = constraint.allowed() if constraint is not None and not constraint.finished else []
        if step >= count:  # the stop token: chosen only if the text could have gone on
            logprobs += [value] if len(allowed) > 1 else []
            forced += len(allowed) <= 1
            break
        if constraint is not None and not constraint.takes(token):
            constraint = None  # the server wrote the value otherwise, with white space for instance
        if constraint is None:
            logprobs.append(value)
            continue
        if len(allowed) == 1:
            forced += 1
            logprobs.append(0.0)
        else:
            shift = _unmasked(top, allowed)
            logprobs.append(value - shift)
            if len(allowed) <= _FEW:
                told = [t for t in allowed if t in top]
                alternatives.append(Alternatives(step, told, [top[t] - shift for t in told]))
        constraint.advance(token)
    return logprobs, alternatives, forced


def _unmasked(top: dict[int, float], allowed: Sequence[int]) -> float:
    """0 where the server's log-probabilities are those under the grammar (vLLM: --logprobs-mode processed_logprobs).
    Where they are the bare model's, forbidden tokens have a share: the log of what is left, as far as told."""
    fitting = set(allowed)
    if all(token in fitting for token in top):
        return 0.0
    shares = [math.exp(value) for token, value in top.items() if token in fitting]
    return math.log(sum(shares)) if shares else 0.0
