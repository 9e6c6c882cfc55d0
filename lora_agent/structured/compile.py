"""JSON Schema → grammar: check, lower, bound, compile; kept in a small cache in memory, and on disk.

Every step records what it changed (`Grammar.bounds`, `Grammar.checked`). What still cannot be honoured is a
`SchemaError` that names the keyword and its JSON pointer; with `lenient=True` it is dropped from the grammar,
recorded, and left to the final validation. Knows nothing of models or adapters.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, cast

from lora_agent.errors import SchemaError
from lora_agent.structured.bounds import Bound, Limits, any_json, bound_document
from lora_agent.structured.check import read_schema
from lora_agent.structured.document import Document
from lora_agent.structured.effort import within_limit
from lora_agent.structured.explain import strange_keywords
from lora_agent.structured.faults import Note
from lora_agent.structured.grammar import Grammar, Tier, json_grammar, matcher_of, with_preamble
from lora_agent.structured.locate import locate, overlapping
from lora_agent.structured.lower import lower
from lora_agent.structured.share import share
from lora_agent.structured.store import Plan, load, save, store_key
from lora_agent.structured.vocabulary import Vocabulary
from lora_agent.structured.widen import MAX_WIDENED, widen
from lora_agent.types import JsonSchema

CACHE_SIZE = 256
STORED_FROM_S = 0.01
"""A schema that compiles faster is not worth a file."""
_cache: OrderedDict[str, Grammar] = OrderedDict()
_lock = Lock()


def compile_schema(
    schema: JsonSchema | bool,
    vocabulary: Vocabulary,
    *,
    budget_tokens: int | None = 512,
    lenient: bool = False,
    preamble: int | None = None,
    stored: bool = True,
) -> Grammar:
    """The grammar of all values that fit `schema` within a budget. `budget_tokens=None` adds no bounds. `preamble`:
    free text of at most so many characters comes first, then MARKER, then the value. `stored=False` keeps nothing of it
    on disk: for schemas of one request, which hold its words. Raises SchemaError."""

    def build(digest: str) -> Grammar:
        grammar = _stored(schema, vocabulary, budget_tokens, lenient, digest, stored)
        return grammar if preamble is None else _after_text(grammar, preamble)

    return _cached(("schema", schema, budget_tokens, lenient, preamble), vocabulary, build)


def compile_choice(choices: Sequence[str], vocabulary: Vocabulary) -> Grammar:
    """Exactly one of the texts, as it stands (no quotes)."""
    if not choices or any(not isinstance(text, str) or not text for text in choices):
        raise SchemaError(f"choices {list(choices)!r} must be non-empty texts", hint="Give at least one name.")
    unique = list(dict.fromkeys(choices))

    def build(digest: str) -> Grammar:
        lark = "start: " + " | ".join(json.dumps(text, ensure_ascii=False) for text in unique)
        return _text_grammar("choices", unique, lambda matcher: matcher.grammar_from_lark(lark), vocabulary, digest)

    return _cached(("choice", unique), vocabulary, build)


def compile_regex(pattern: str, vocabulary: Vocabulary) -> Grammar:
    """Text that matches the whole pattern (Rust regex syntax: no look-around, no back-references)."""

    def build(digest: str) -> Grammar:
        return _text_grammar(
            "pattern", pattern, lambda matcher: matcher.grammar_from_regex(pattern), vocabulary, digest
        )

    return _cached(("regex", pattern), vocabulary, build)


def _cached(key: Any, vocabulary: Vocabulary, build: Callable[[str], Grammar]) -> Grammar:
    try:
        text = marshal.dumps(key, 2)  # four times as fast as JSON; version 2 depends on nothing but the value
    except (TypeError, ValueError, RecursionError):
        return build("")  # not JSON: the checks of `build` say so
    digest = hashlib.sha256(vocabulary.digest.encode() + text).hexdigest()
    with _lock:
        if digest in _cache:
            _cache.move_to_end(digest)
            return _cache[digest]
    grammar = build(digest)
    with _lock:
        _cache[digest] = grammar
        while len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
    return grammar


def _after_text(grammar: Grammar, characters: int) -> Grammar:
    matcher = matcher_of(with_preamble(grammar.text, characters), grammar.vocabulary)
    if matcher.is_error():
        raise SchemaError(f"no text can come before it: {matcher.get_error():.300}", hint="Leave out `preamble`.")
    return replace(grammar, matcher=matcher, preamble=characters)


def _text_grammar(what: str, value: Any, form: Callable[[Any], str], vocabulary: Vocabulary, digest: str) -> Grammar:
    from llguidance import LLMatcher

    matcher = matcher_of(form(LLMatcher), vocabulary)
    if matcher.is_error():
        raise SchemaError(
            f"{what} {value!r:.200} cannot be compiled: {matcher.get_error():.300}",
            hint="Use plain Rust regex syntax: no look-around, no back-references.",
        )
    return Grammar(digest, "text", vocabulary, matcher)


def _stored(
    schema: JsonSchema | bool, vocabulary: Vocabulary, budget: int | None, lenient: bool, digest: str, stored: bool
) -> Grammar:
    """From the plan that an earlier process left on disk, or anew."""
    try:
        key = store_key(schema, budget, lenient) if stored else ""
    except (TypeError, ValueError, RecursionError):
        key = ""  # not JSON: the checks say so
    plan = load(key) if key else None
    matcher = matcher_of(plan.text, vocabulary) if plan is not None else None
    if plan is None or matcher is None or matcher.is_error():
        started = time.perf_counter()
        plan, matcher = within_limit(lambda: _compile(schema, vocabulary, budget, lenient))
        if key and time.perf_counter() - started > STORED_FROM_S:
            save(key, plan)
    return Grammar(
        digest, cast("Tier", plan.tier), vocabulary, matcher, schema, plan.bounded, plan.bounds, plan.checked, plan.text
    )


def _compile(schema: JsonSchema | bool, vocabulary: Vocabulary, budget: int | None, lenient: bool) -> tuple[Plan, Any]:
    source = read_schema(schema)
    document, notes = lower(source)
    misspelt, unknown = strange_keywords(document)
    if misspelt and not lenient:
        raise misspelt[0]
    notes += [*(Note(error.pointer, error.keyword, error.reason) for error in misspelt), *unknown]
    for _ in range(MAX_WIDENED + 1):
        refused = (document, "")  # the last attempt is without bounds: what it refuses is the schema's own fault
        for candidate, bounds, extra, options in _attempts(source, document, budget):
            text = json_grammar(share(candidate).schema(), **options)
            matcher = matcher_of(text, vocabulary)
            if not matcher.is_error():
                return Plan(text, "strict", candidate.schema(), tuple(bounds), (*notes, *extra)), matcher
            refused = (candidate, matcher.get_error())
        wider, let_through = widen(source, refused[1])
        if not let_through:
            break
        source, notes = wider, [*notes, *let_through]
        document, _ = lower(source)
    fault = locate(*refused)
    if not lenient:
        raise fault
    notes.append(Note(fault.pointer, fault.keyword, fault.reason))
    return _lenient(source, vocabulary, budget, notes)


def _attempts(
    source: Document, document: Document, budget: int | None
) -> Iterator[tuple[Document, list[Bound], list[Note], dict[str, bool]]]:
    """Grammars to try, from the most to the least exact; all of them are recorded."""
    variants: list[tuple[Document, list[Bound], list[Note]]] = []
    if budget is not None:
        variants.append((*bound_document(source, budget), []))
        variants.append((document, [], [Note("", "", "default bounds contradict the schema: none were added")]))
    else:
        variants.append((document, [], []))
    for candidate, bounds, extra in variants:
        yield candidate, bounds, extra, {}
        if unions := overlapping(document):
            yield candidate, bounds, [*extra, *unions], {"coerce_one_of": True}


def _lenient(source: Document, vocabulary: Vocabulary, budget: int | None, notes: list[Note]) -> tuple[Plan, Any]:
    limits = Limits.of(512 if budget is None else budget)
    bounded, bounds = bound_document(source, 512 if budget is None else budget)
    tried: list[tuple[Tier, JsonSchema, list[Bound]]] = [("lenient", bounded.schema(), bounds)]
    root = source.root if isinstance(source.root, dict) else {}
    shape = [branch for branch in any_json(limits)["anyOf"] if branch["type"] == root.get("type")]
    tried.append(("generic", shape[0] if shape else any_json(limits), []))
    for tier, schema, limits_added in tried:
        text = json_grammar(schema, coerce_one_of=True, lenient=True)
        matcher = matcher_of(text, vocabulary)
        if not matcher.is_error():
            dropped = [Note("", "", warning) for warning in matcher.get_grammar_warnings()]
            if tier == "generic":
                dropped.append(Note("", "", "any JSON is accepted while decoding; the schema is checked after"))
            return Plan(text, tier, schema, tuple(limits_added), (*notes, *dropped)), matcher
    raise SchemaError("even the grammar of any JSON does not compile", hint="Check the tokenizer.")
