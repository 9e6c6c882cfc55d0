"""A finished value that breaks a keyword which no grammar expresses: go back to its last choice and choose otherwise.

The failing sequence of tokens is excluded, so each attempt differs; what was right before the failing value stays as it
is. Depth first: the last choice inside the failing value is changed first, an earlier one when a place has no other
way on. Knows rows and grammars, no models.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_agent.engine.local.decode import RowDecode
from lora_agent.structured import Grammar, Vocabulary
from lora_agent.structured.keys import KeyScanner
from lora_agent.structured.span import value_span

MAX_ATTEMPTS = 8
MAX_KEYS = 64
"""Keys that came twice and are written otherwise; each costs only its own tokens, since it is noticed at once."""


class Repair:
    """Asked when a row has stopped; says where to go on."""

    def __init__(self, grammar: Grammar | None, vocabulary: Vocabulary, attempts: int = MAX_ATTEMPTS) -> None:
        self._grammar = grammar
        self._vocabulary = vocabulary
        self.left = attempts
        self.made = 0
        self._keys_left = MAX_KEYS
        self._scanner = KeyScanner()
        self._scanned = 0

    def again(self, row: RowDecode) -> bool:
        """Whether `row` was taken back to an earlier token, with what came there excluded. False: it goes on, or is
        as good as it gets."""
        if row.running():
            return self._key_again(row)
        if self._grammar is None or row.finish != "stop" or row.closed_early or self.left <= 0:
            return False
        text = self._vocabulary.decode(row.tokens)
        found = self._grammar.validate(text)
        if not found.errors:
            return False
        before, value = self._grammar.split(text)
        span = value_span(value, found.errors[0].pointer)
        if span is None:
            return False
        self.left -= 1
        if not row.go_back(self._first_token(row, before + value[: span[0]])):
            return False
        self.made += 1
        return True

    def _key_again(self, row: RowDecode) -> bool:
        """Go back from a key that its object has already."""
        if self._grammar is None or self._grammar.schema is None or self._grammar.preamble is not None:
            return False
        new = row.tokens[self._scanned :]
        self._scanned = len(row.tokens)
        if self._keys_left <= 0 or (found := self._scanner.feed(self._bytes(new))) is None:
            return False
        self._keys_left -= 1
        back = row.go_back(self._token_at(row, found))
        self._scanner = KeyScanner()
        self._scanned = len(row.tokens)
        if self._scanner.feed(self._bytes(row.tokens)) is not None or not back:
            self._keys_left = 0  # there is no other key here: the check of the finished value will say so
        self.made += back
        return back

    def _bytes(self, tokens: Sequence[int]) -> bytes:
        return bytes(self._vocabulary.tokens.decode_bytes(list(tokens)))

    def _first_token(self, row: RowDecode, before: str) -> int:
        """Index of the token that holds the first character after `before`."""
        return self._token_at(row, len(before.encode()))

    def _token_at(self, row: RowDecode, length: int) -> int:
        """Index of the token that holds the byte after the first `length`."""
        total = 0
        for index, token in enumerate(row.tokens):
            total += len(self._vocabulary.tokens.decode_bytes([token]))
            if total > length:
                return index
        return len(row.tokens)
