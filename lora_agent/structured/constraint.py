"""One decode under a grammar: which tokens may come next, which must, and what has come.

Knows token ids and logits, no model. llguidance's error state is sticky, so a token is tried before it is
taken: a refused token raises `EngineError` and leaves the constraint as it was. Not thread-safe; `copy` is
cheap (4 us).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from lora_agent.errors import EngineError
from lora_agent.structured.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import torch
    from llguidance import LLMatcher


class Constraint:
    def __init__(self, matcher: LLMatcher, vocabulary: Vocabulary, tokens: tuple[int, ...] = ()) -> None:
        self._matcher = matcher
        self.vocabulary = vocabulary
        self._tokens = list(tokens)

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens taken so far."""
        return tuple(self._tokens)

    @property
    def stopped(self) -> bool:
        """The stop token has been taken."""
        return bool(self._tokens) and self._tokens[-1] == self.vocabulary.stop_token_id

    @property
    def finished(self) -> bool:
        """The text is complete and nothing but the stop token may follow."""
        return self.stopped or (self._matcher.is_stopped() and not self._matcher.is_error())

    @property
    def can_stop(self) -> bool:
        """The text so far is complete, though more may follow."""
        return self._matcher.is_accepting() or self.stopped

    def mask(self) -> torch.Tensor:
        """int32[ceil(vocabulary / 32)]: bit i % 32 of word i // 32 is set where token i may come next (none
        after the stop token)."""
        import torch

        words = torch.zeros((self.vocabulary.size + 31) // 32, dtype=torch.int32)
        if self.stopped:
            return words
        self._matcher.unsafe_compute_mask_ptr(words.data_ptr(), words.numel() * words.element_size())
        self._raise_on_error()
        return words

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Set the logits of forbidden tokens to -inf, in place. `logits`: float[any width], any device."""
        import torch

        if logits.dim() != 1 or not logits.is_floating_point():
            raise EngineError(
                f"logits must be one row of floats, not {logits.dtype} of shape {tuple(logits.shape)}",
                hint="Call apply once a sequence, with logits[i].",
            )
        # One lookup a mask byte in a [256, 8] table of 0 and -inf: 35 us for 49k tokens on a CPU, where
        # unpacking bits and masked_fill_ takes 259 us.
        octets = self.mask().view(torch.uint8).int().to(logits.device)
        bias = _bias_table(logits.dtype, logits.device).index_select(0, octets).view(-1)
        width = min(logits.shape[0], self.vocabulary.size)
        logits[:width].add_(bias[:width])
        logits[width:] = float("-inf")
        return logits

    def allowed_count(self) -> int:
        """How many tokens may come next."""
        return count_in(self.mask())

    def allowed(self) -> list[int]:
        """The tokens that may come next, ascending."""
        return tokens_in(self.mask())

    def forced(self) -> list[int]:
        """Tokens that are the only way on, in the tokenizer's own spelling; [] where there is a choice."""
        tokens = list(self._matcher.compute_ff_tokens())
        self._raise_on_error()
        return tokens

    def advance(self, token: int) -> None:
        """Take one token."""
        if self.stopped:
            raise EngineError(f"token {token!r} comes after the stop token", hint="End the decode at the stop token.")
        if not 0 <= token < self.vocabulary.size or not self.takes(token):
            text = self.vocabulary.decode(self._tokens[-20:])
            raise EngineError(
                f"token {token!r} is not allowed after {text!r}", hint="Choose among the tokens of mask()."
            )
        # The stop token is kept here and never given to the matcher: llguidance 1.9.1 does not count it where
        # nothing else may follow, so that a rollback over it takes back one token too many.
        if token != self.vocabulary.stop_token_id:
            self._matcher.consume_token(token)
            self._raise_on_error()
        self._tokens.append(token)

    def takes(self, token: int) -> bool:
        """Whether `token` may come next."""
        if token == self.vocabulary.stop_token_id:
            return self.can_stop
        return self._matcher.validate_tokens([token]) == 1

    def takes_of(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, in order from here, may be taken one after the other."""
        return 0 if self.stopped or not tokens else int(self._matcher.validate_tokens(list(tokens)))

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens."""
        if not 0 <= count <= len(self._tokens):
            raise EngineError(f"cannot take back {count!r} of {len(self._tokens)} tokens", hint="Count the tokens.")
        content = count - 1 if count and self.stopped else count
        if content and not self._matcher.rollback(content):
            self._raise_on_error()
        del self._tokens[len(self._tokens) - count :]

    def copy(self) -> Constraint:
        return Constraint(self._matcher.deep_copy(), self.vocabulary, self.tokens)

    def _raise_on_error(self) -> None:
        if self._matcher.is_error():
            message = " ".join(self._matcher.get_error().split())
            raise EngineError(
                f"the grammar failed after {len(self._tokens)} tokens: {message:.300}",
                hint="Simplify the schema: fewer branches, shorter limits.",
            )


class Allowed(NamedTuple):
    """What may come next, worked out of `Constraint.mask`."""

    mask: torch.Tensor
    bias: np.ndarray
    """float32: 0 for a token that may come, -inf for the others; as long as the mask has bits."""
    total: int
    """How many may come."""

    @classmethod
    def of(cls, mask: torch.Tensor) -> Allowed:
        return cls(mask, _bias_rows().take(mask.numpy().view("uint8"), axis=0).reshape(-1), count_in(mask))


def count_in(mask: torch.Tensor) -> int:
    """How many tokens a mask allows."""
    return int.from_bytes(mask.numpy().tobytes(), "little").bit_count()


def tokens_in(mask: torch.Tensor) -> list[int]:
    """The tokens that a mask allows, ascending."""
    import torch

    bits = _octets().index_select(0, mask.view(torch.uint8).int()).view(-1)
    return list(torch.nonzero(bits).view(-1).tolist())


@cache
def _octets() -> torch.Tensor:
    """bool[256, 8]: the bits of every byte, lowest first."""
    import torch

    return (torch.arange(256)[:, None] >> torch.arange(8)[None, :]) & 1 == 1


@cache
def _bias_table(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    import torch

    return torch.where(_octets(), 0.0, float("-inf")).to(device=device, dtype=dtype)


@cache
def _bias_rows() -> np.ndarray:
    """float32[256, 8]: for every byte of a mask its tokens' bias."""
    import torch

    rows: np.ndarray = _bias_table(torch.float32, torch.device("cpu")).numpy()
    return rows
