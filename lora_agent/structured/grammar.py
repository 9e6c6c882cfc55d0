"""A compiled grammar and its way into llguidance. Knows JSON text spelling and tokens; nothing of why a
schema looks as it does.

llguidance never raises: it enters an error state with a message. `refusal` reads that state; `Grammar.start`
hands out a fresh `Constraint` by copying the compiled matcher (4 us).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from lora_agent.errors import SchemaError
from lora_agent.structured.bounds import Bound
from lora_agent.structured.faults import Note
from lora_agent.structured.vocabulary import Vocabulary
from lora_agent.types import JsonSchema

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits

    from lora_agent.structured.constraint import Constraint
    from lora_agent.structured.validate import Validation

MARKER = "```json\n"
"""Ends the free text before a value. The fence is what models write there by themselves."""
Tier = Literal["strict", "lenient", "generic", "text"]
"""strict: the grammar enforces all but `checked`. lenient: llguidance dropped more, also named in `checked`.
generic: any JSON, everything is checked after. text: a choice or a regular expression, not JSON."""


@dataclass(frozen=True)
class Grammar:
    """What may be generated. `bounds` were added and `checked` taken out to make `bounded` from `schema`."""

    digest: str
    tier: Tier
    vocabulary: Vocabulary
    matcher: LLMatcher = field(repr=False)
    schema: JsonSchema | bool | None = None
    bounded: JsonSchema | None = field(default=None, repr=False)
    bounds: tuple[Bound, ...] = ()
    checked: tuple[Note, ...] = ()
    text: str = field(default="", repr=False)
    """The grammar in llguidance's form; "" for a choice or a regular expression."""
    preamble: int | None = None
    """Characters of free text that may stand before the value, up to MARKER; None: the value alone."""

    def split(self, text: str) -> tuple[str, str]:
        """What stands before the value (the marker included), and the value."""
        if self.preamble is None:
            return "", text
        free, marker, value = text.partition(MARKER)
        return free + marker, value

    @property
    def exact(self) -> bool:
        """The grammar enforces all of the schema: nothing is left for the check of the finished value."""
        return self.tier == "strict" and all(note.idle for note in self.checked)

    def start(self) -> Constraint:
        from lora_agent.structured.constraint import Constraint

        return Constraint(self.matcher.deep_copy(), self.vocabulary)

    def tokens_of(self, text: str) -> list[int]:
        """`text` in the tokens that a decode under this grammar writes, for training targets.

        Not always the tokenizer's own: where bytes are forced, llguidance tokenizes those alone, and the next
        bytes could have merged differently (`"}}` is `"` `}}`, but `"}},` is `"}` `},` in SmolLM2).
        """
        constraint = self.start()
        rest = text.encode()
        while rest:
            for token in constraint.forced() or [self._longest(constraint, rest)]:
                piece = self.vocabulary.tokens.decode_bytes([token])
                if not rest.startswith(piece):
                    raise SchemaError(f"text {text!r:.200} does not fit the grammar", hint="Validate it first.")
                constraint.advance(token)
                rest = rest[len(piece) :]
        return list(constraint.tokens)

    def _longest(self, constraint: Constraint, rest: bytes) -> int:
        """The next token of `rest`: the tokenizer's own where the grammar takes it, else the longest that fits."""
        own = self.vocabulary.tokens.tokenize_bytes(rest)[0]
        if constraint.takes(own):
            return own
        pieces = {token: self.vocabulary.tokens.decode_bytes([token]) for token in constraint.allowed()}
        fitting = [token for token, piece in pieces.items() if piece and rest.startswith(piece)]
        if not fitting:
            text = rest.decode(errors="replace")
            raise SchemaError(f"{text!r:.100} does not fit the grammar", hint="Validate it first.")
        return max(fitting, key=lambda token: len(pieces[token]))

    def validate(self, text: str) -> Validation:
        """Check a finished text against the schema as it was given."""
        from lora_agent.structured.validate import Fault, Validation, validate

        if self.schema is not None:
            return validate(self.split(text)[1], self.schema)
        matcher = self.matcher.deep_copy()
        tokens = self.vocabulary.encode(text)
        if matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting():
            return Validation(True, text)
        return Validation(False, text, (Fault("", "text", f"{text!r:.200} is not one of the allowed texts"),))


def json_grammar(schema: JsonSchema, *, coerce_one_of: bool = False, lenient: bool = False) -> str:
    """llguidance's form of a schema, for text that is spelled like `types.compact_json`."""
    options = {
        "whitespace_flexible": False,
        "item_separator": ",",
        "key_separator": ":",
        "coerce_one_of": coerce_one_of,
        "lenient": lenient,
    }
    # What LLMatcher.grammar_from_json_schema makes, without reading the text and writing it once more.
    named = {"name": "json_schema", "json_schema": {**schema, "x-guidance": options}}
    return json.dumps({"grammars": [named]}, ensure_ascii=False)


def with_preamble(grammar: str, characters: int) -> str:
    """The grammar of free text, at most so long, then MARKER, then the JSON of `grammar` (made by `json_grammar`)."""
    (named,) = json.loads(grammar)["grammars"]
    marker = MARKER.replace("\n", "\\n")
    value = json.dumps(named["json_schema"], ensure_ascii=False)
    lark = f"start: free value\nfree[lazy]: /(?s:.{{0,{characters}}}){marker}/\nvalue: %json {value}"
    return json.dumps({"grammars": [{"lark_grammar": lark}]}, ensure_ascii=False)


def refusal(grammar: str) -> str:
    """Why llguidance does not compile this grammar, or "". Needs no tokenizer."""
    from llguidance import LLMatcher

    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    return "\n".join(messages) if failed else ""


def matcher_of(grammar: str, vocabulary: Vocabulary) -> Any:
    from llguidance import LLMatcher

    return LLMatcher(vocabulary.tokens, grammar, log_level=0, limits=_limits())


@cache
def _limits() -> LLParserLimits:
    """Ten and four times llguidance's own for one step: 0.15 s at worst, beside a forward pass, where a value of a
    large schema would fail in the middle. Lexer states take 1 to 2 kB each."""
    from llguidance import LLParserLimits

    return LLParserLimits(step_lexer_fuel=2_000_000, step_max_items=200_000, max_lexer_states=200_000)
