"""Regular expressions as text: taking out what the grammar's regular expressions do not have.

Knows the syntax of groups and classes, which Python, ECMA 262 and Rust share; nothing of schemas.
"""

from __future__ import annotations

import re

_ESCAPED = '\\"'
_LOOKAROUND = re.compile(r"\(\?<?[=!]")


def without_lookaround(pattern: str) -> str | None:
    """The pattern with every look-ahead and look-behind replaced by nothing: it matches all that `pattern` matches, and
    more. None where only dropping the whole pattern does (repeated assertions, back-references)."""
    if re.search(r"\\[1-9]|\(\?P=|\(\?\(", pattern):
        return None
    out: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            out.append(pattern[at : at + 2])
            at += 2
        elif pattern[at] == "[":
            end = _class_end(pattern, at)
            out.append(pattern[at:end])
            at = end
        elif _LOOKAROUND.match(pattern, at):
            at = _group_end(pattern, at)
            if at >= 0 and pattern[at : at + 1] in ("*", "+", "?", "{"):
                return None
            if at < 0:
                return None
            out.append("(?:)")
        else:
            out.append(pattern[at])
            at += 1
    return "".join(out)


def excludes_escaped(pattern: str) -> bool:
    """Whether a negated class excludes a character that JSON writes with a backslash: llguidance 1.9 accepts it."""
    for start in (match.start() for match in re.finditer(r"\[\^", pattern)):
        try:
            found = re.compile(pattern[start : _class_end(pattern, start)])
        except re.error:
            return True
        if any(found.match(character) is None for character in _ESCAPED):
            return True
    return False


def _class_end(pattern: str, start: int) -> int:
    """Index after the character class that opens at `start`."""
    at = start + 1
    if pattern[at : at + 1] == "^":
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


def _group_end(pattern: str, start: int) -> int:
    """Index after the group that opens at `start`; -1 where it does not close."""
    depth, at = 0, start
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 2
            continue
        if pattern[at] == "[":
            at = _class_end(pattern, at)
            continue
        depth += {"(": 1, ")": -1}.get(pattern[at], 0)
        at += 1
        if depth == 0:
            return at
    return -1
