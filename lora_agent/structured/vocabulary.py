"""The tokens a grammar speaks about: a tokenizer, wrapped once for llguidance.

Knows nothing of models; a model whose logits are wider than the tokenizer (padding rows) gives `vocab_size`.
Wrapping costs about half a second, so it is kept for as long as the tokenizer lives.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from lora_agent.errors import ConfigError

if TYPE_CHECKING:
    from llguidance import LLTokenizer

_KNOWN: WeakKeyDictionary[Any, dict[tuple[int, int | None], tuple[LLTokenizer, str]]] = WeakKeyDictionary()


class Vocabulary:
    """A fast Hugging Face tokenizer, the token that ends an answer, and the width of the token masks."""

    def __init__(self, tokenizer: Any, stop_token_id: int, vocab_size: int | None = None) -> None:
        known = _KNOWN.setdefault(tokenizer, {})
        key = (stop_token_id, vocab_size)
        if key not in known:
            known[key] = _wrap(tokenizer, stop_token_id, vocab_size)
        self.tokens, self.digest = known[key]
        self.stop_token_id = stop_token_id
        self.size = self.tokens.vocab_size

    def encode(self, text: str) -> list[int]:
        return self.tokens.tokenize_str(text)

    def decode(self, tokens: list[int]) -> str:
        return self.tokens.decode_str(tokens)


def _wrap(tokenizer: Any, stop_token_id: int, vocab_size: int | None) -> tuple[LLTokenizer, str]:
    import llguidance.hf

    width = len(tokenizer) if vocab_size is None else vocab_size
    if not 0 <= stop_token_id < width:
        raise ConfigError(
            f"stop_token_id {stop_token_id!r} is not one of the {width} tokens",
            hint="Pass the id of the token that ends a turn, e.g. tokenizer.eos_token_id.",
        )
    try:
        tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocab_size, eos_token=stop_token_id)
        text = tokenizer.backend_tokenizer.to_str()
    except (ValueError, AttributeError) as error:
        raise ConfigError(
            f"tokenizer {type(tokenizer).__name__} with vocab_size={vocab_size!r} cannot be used: {error}",
            hint="Use a fast tokenizer (tokenizer.json), and a vocab_size no smaller than len(tokenizer).",
        ) from error
    digest = hashlib.sha256(f"{stop_token_id} {tokens.vocab_size} {text}".encode()).hexdigest()
    return tokens, digest
