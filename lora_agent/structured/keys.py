"""Keys that come a second time in an object, noticed while the text is written.

No grammar excludes them where a schema leaves keys open, validators never see them (a parser keeps the last), and small
models like to repeat themselves. Knows bytes of JSON, no tokens.
"""

from __future__ import annotations

import json

_QUOTE, _ESCAPE, _COLON = b'"\\:'
_OPEN_OBJECT, _OPEN_LIST, _CLOSE_OBJECT, _CLOSE_LIST = b"{[}]"


class KeyScanner:
    """Fed a JSON text piece by piece."""

    def __init__(self) -> None:
        self._open: list[set[str] | None] = []
        """Of each container that is open: the keys so far, None for a list."""
        self._string: bytearray | None = None
        self._escaped = False
        self._begun = 0
        self._at = 0
        self._last: tuple[str, int] | None = None
        """The last string and where it begins: a key, if a colon follows."""

    def feed(self, piece: bytes) -> int | None:
        """Where the first key begins (in bytes of the whole text) that its object has already, None if there is none.
        The scanner is of no use after such a key."""
        for byte in piece:
            if (found := self._take(byte)) is not None:
                return found
            self._at += 1
        return None

    def _take(self, byte: int) -> int | None:
        if self._string is not None:
            self._within(byte)
        elif byte == _QUOTE:
            self._string, self._begun = bytearray(b'"'), self._at
        elif byte == _COLON:
            return self._key()
        elif byte in (_OPEN_OBJECT, _OPEN_LIST):
            self._open.append(set() if byte == _OPEN_OBJECT else None)
        elif byte in (_CLOSE_OBJECT, _CLOSE_LIST) and self._open:
            self._open.pop()
        return None

    def _within(self, byte: int) -> None:
        assert self._string is not None
        self._string.append(byte)
        if self._escaped:
            self._escaped = False
        elif byte == _ESCAPE:
            self._escaped = True
        elif byte == _QUOTE:
            self._last = (self._string.decode(errors="replace"), self._begun)
            self._string = None

    def _key(self) -> int | None:
        if self._last is None or not self._open or self._open[-1] is None:
            return None
        text, begun = self._last
        try:
            key = json.loads(text)  # the same key may be spelled with other escapes
        except ValueError:
            key = text
        if key in self._open[-1]:
            return begun
        self._open[-1].add(key)
        return None
