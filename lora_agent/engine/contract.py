"""An adapter's contract at call time: the checked input, the grammar of this very call, the checked output.

A package's output schema may take values from the input: `"x-enum-from": "/documents/*/id"` becomes an `enum` of
the ids that were given (an array whose items have no value left becomes empty). For `tool_calls` the grammar is built
from the offered tools. What a conversation leaves of either is in `narrowing`. Knows packages and schemas, no models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lora_agent.engine import narrowing
from lora_agent.engine.narrowing import ANY, Wish
from lora_agent.errors import AdapterInputError, SchemaError
from lora_agent.registry import AdapterPackage
from lora_agent.structured import (
    Grammar,
    Vocabulary,
    calls_schema,
    compile_choice,
    compile_regex,
    compile_schema,
    validate,
    without_quotes,
)
from lora_agent.structured.leaning import Leaning
from lora_agent.types import Completion, JsonSchema, Result, TokenLogprob, Tool, compact_json

ENUM_FROM = "x-enum-from"
BASE_MAX_TOKENS = 256
"""Of a free answer by the base, when the caller gives no budget."""


MAX_PREAMBLE = 1024
"""Characters of free text before a value."""


def check_input(package: AdapterPackage, inputs: Mapping[str, Any]) -> None:
    """Raises AdapterInputError with the JSON pointer of the first fault."""
    found = validate(dict(inputs), package.input_schema)
    if found.errors:
        first = found.errors[0]
        raise AdapterInputError(
            f"input of adapter {package.name!r} at {first.pointer or '/'}: {first.message}",
            hint=f"Its input schema: lora-agent adapters show {package.name}",
        )


def check_answer(
    schema: JsonSchema | None,
    regex: str | None,
    choices: Sequence[str] | None,
    preamble: bool,
    stop: Sequence[str],
) -> None:
    """Raises SchemaError for wishes that exclude each other."""
    given = [n for n, v in (("schema", schema), ("regex", regex), ("choices", choices)) if v is not None]
    if len(given) > 1:
        raise SchemaError(f"{' and '.join(given)} at once", hint="Give one of schema, regex and choices.")
    if preamble and schema is None:
        raise SchemaError("a preamble without a schema", hint="Give the schema of the value that follows the text.")
    if stop and given:
        raise SchemaError(
            f"stop texts {tuple(stop)!r} together with a grammar",
            hint="Leave out `stop`: the schema, regex or choices say where the text ends.",
        )


def answer_grammar(
    vocabulary: Vocabulary,
    budget: int,
    *,
    schema: JsonSchema | None = None,
    regex: str | None = None,
    choices: Sequence[str] | None = None,
    preamble: bool = False,
    stop: Sequence[str] = (),
) -> Grammar | None:
    """The grammar of the base's own answer in `budget` tokens; None where it is free. Raises SchemaError for a schema
    that cannot be honoured and for wishes that exclude each other."""
    check_answer(schema, regex, choices, preamble, stop)
    if schema is not None:
        # A token is four characters as texts go, and one at worst: half of the budget is always left.
        characters = min(budget // 2, MAX_PREAMBLE) if preamble else None
        return compile_schema(schema, vocabulary, budget_tokens=budget, preamble=characters)
    if regex is not None:
        return compile_regex(regex, vocabulary)
    return None if choices is None else compile_choice(choices, vocabulary)


def output_grammar(
    output: str,
    schema: JsonSchema,
    inputs: Mapping[str, Any],
    tools: Sequence[Tool],
    vocabulary: Vocabulary,
    max_tokens: int,
    *,
    narrow: bool = True,
    quotes: bool = False,
    wish: Wish = ANY,
    doubtful: dict[str, set[str]] | None = None,
) -> Grammar:
    """The grammar of one call: for `output` "tool_calls" from the tools, otherwise from the adapter's output schema.
    Training spells its targets with it, not `narrow`: a decode writes only what the conversation leaves of it
    (`narrowing`). `quotes`: a call may begin with the words that it serves (PromptSpec). Raises SchemaError for a tool
    whose parameters cannot be honoured."""
    if output != "tool_calls":
        schema, inputs = narrowing.answering(schema, inputs) if narrow else (narrowing.plain(schema), inputs)
        return compile_schema(resolve_output(schema, inputs), vocabulary, budget_tokens=max_tokens)
    tools, first = narrowing.calling(tools, inputs, wish, doubtful) if narrow else (tools, None)
    schema = calls_schema(tools, wish.most, first=first, min_calls=wish.least, quotes=quotes)
    return compile_schema(schema, vocabulary, budget_tokens=max_tokens, stored=not narrow)


def call_grammar(
    package: AdapterPackage,
    inputs: Mapping[str, Any],
    tools: Sequence[Tool],
    vocabulary: Vocabulary,
    max_tokens: int,
    *,
    narrow: bool = True,
    wish: Wish = ANY,
    doubtful: dict[str, set[str]] | None = None,
) -> Grammar:
    """`output_grammar` of one call of a package."""
    spec, schema = package.spec, package.output_schema
    return output_grammar(
        spec.output, schema, inputs, tools, vocabulary, max_tokens,
        narrow=narrow, quotes=spec.prompt.quotes, wish=wish, doubtful=doubtful,
    )  # fmt: skip


def leaning_grammar(
    package: AdapterPackage,
    inputs: Mapping[str, Any],
    tools: Sequence[Tool],
    vocabulary: Vocabulary,
    max_tokens: int,
    wish: Wish = ANY,
) -> tuple[Grammar, Leaning | None]:
    """The grammar of one call where nats can be added to what a model says, as no server lets one: what nobody seems
    to have spoken of is unlikely there instead of forbidden."""
    doubtful: dict[str, set[str]] = {}
    grammar = call_grammar(package, inputs, tools, vocabulary, max_tokens, wish=wish, doubtful=doubtful)
    return grammar, narrowing.leaning(package, inputs, tools, wish, doubtful)


def resolve_output(schema: JsonSchema, inputs: Mapping[str, Any]) -> JsonSchema:
    """The output schema of this call: every `x-enum-from` replaced by the values found in the input."""
    resolved: JsonSchema = _resolve(schema, inputs)
    return resolved


def _resolve(node: Any, inputs: Mapping[str, Any]) -> Any:
    if isinstance(node, Mapping):
        items = node.get("items")
        if isinstance(items, Mapping) and ENUM_FROM in items and not _values(items[ENUM_FROM], inputs):
            rest = {k: v for k, v in node.items() if k not in ("items", "minItems", "maxItems")}
            return {**rest, "maxItems": 0}
        if ENUM_FROM in node:
            rest = {k: v for k, v in node.items() if k != ENUM_FROM}
            return {**rest, "enum": _values(node[ENUM_FROM], inputs)}
        return {k: _resolve(v, inputs) for k, v in node.items()}
    return [_resolve(v, inputs) for v in node] if isinstance(node, list) else node


def _values(pointer: str, inputs: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = [inputs]
    for part in pointer.strip("/").split("/"):
        deeper: list[Any] = []
        for value in found:
            if part == "*" and isinstance(value, Sequence) and not isinstance(value, str):
                deeper += value
            elif isinstance(value, Mapping) and part in value:
                deeper.append(value[part])
        found = deeper
    return list(dict.fromkeys(found))


def finish(
    package: AdapterPackage,
    completion: Completion,
    grammar: Grammar,
    alternatives: Sequence[Any],
    vocabulary: Vocabulary,
) -> Result:
    """Validate the text against the full schema and attach confidence and score."""
    output, verdict, error = read_output(completion, grammar, quotes=package.spec.prompt.quotes)
    calibration = package.manifest.calibration
    score = None
    if package.spec.score is not None:
        raw = positive_logit(package, completion, alternatives, vocabulary)
        if raw is not None:
            score = calibration.score(raw) if calibration.score is not None else 1 / (1 + math.exp(-raw))
    return Result(
        adapter=package.name,
        output=output,
        raw=completion.text,
        verdict=verdict,  # type: ignore[arg-type]  # narrowed in read_output
        finish_reason=completion.finish_reason,
        usage=completion.usage,
        ms=completion.ms,
        confidence=confidence(package, completion.logprobs) if verdict == "valid" else None,
        score=score,
        error=error,
        adapter_digest=package.digest,
        logprobs=completion.logprobs,
    )


def read_output(
    completion: Completion, grammar: Grammar | None, *, quotes: bool = False
) -> tuple[Any, str, str | None]:
    """(value, verdict, error) of a finished decode; without a grammar the text is the value. `quotes`: the calls may
    carry them, and the value does not."""
    if completion.finish_reason != "stop":
        why = {"length": "the token budget ran out before the value was complete"}.get(
            completion.finish_reason, f"stopped by {completion.finish_reason}"
        )
        return (completion.text if grammar is None else None), "truncated", why
    if grammar is None:
        return completion.text.strip(), "unchecked", None
    checked = grammar.validate(completion.text)
    if checked.errors:
        first = checked.errors[0]
        return None, "invalid", f"at {first.pointer or '/'}: {first.message}"
    return (without_quotes(checked.value) if quotes else checked.value), "valid", None


def token_logprobs(
    tokens: Sequence[int],
    logprobs: Sequence[float],
    tops: Sequence[Sequence[tuple[int, float]]],
    vocabulary: Vocabulary,
) -> tuple[TokenLogprob, ...]:
    """A row's tokens as text with their probabilities; empty where the row kept no `tops`."""

    def entry(token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        piece = vocabulary.tokens.decode_bytes([token])
        return TokenLogprob(piece.decode(errors="replace"), piece, logprob, top)

    return tuple(
        entry(token, logprob, tuple(entry(*likely) for likely in top))
        for token, logprob, top in zip(tokens, logprobs, tops, strict=False)
    )


def confidence(package: AdapterPackage, logprobs: Sequence[float]) -> float | None:
    """The calibrated probability that a valid output is right; None where the package was not calibrated."""
    calibrated = package.manifest.calibration.confidence
    return None if calibrated is None else calibrated(confidence_feature(logprobs))


def confidence_feature(logprobs: Sequence[float]) -> float:
    """What the confidence is calibrated on: the sum of log-probabilities of the chosen tokens, that is the
    natural log of the probability that the model gave to the whole output."""
    return max(-50.0, sum(logprobs))


def positive_logit(
    package: AdapterPackage, completion: Completion, alternatives: Sequence[Any], vocabulary: Vocabulary
) -> float | None:
    """log P(positive) - log P(other) at the token where the scored field's value was decided; None if it was not
    decided (forced, or cut off)."""
    score = package.spec.score
    if score is None:
        return None
    key = compact_json(score.pointer.rsplit("/", 1)[-1]) + ":"
    positive = compact_json(score.positive)
    for choice in alternatives:
        before = vocabulary.decode(list(completion.tokens[: choice.step]))
        at = before.rfind(key)
        if at < 0:
            continue
        written = before[at + len(key) :]
        if not positive.startswith(written):
            continue
        yes = [
            lp
            for t, lp in zip(choice.tokens, choice.logprobs, strict=True)
            if _continues(positive, written, t, vocabulary)
        ]
        no = [
            lp
            for t, lp in zip(choice.tokens, choice.logprobs, strict=True)
            if not _continues(positive, written, t, vocabulary)
        ]
        if yes and no:
            return _logsumexp(yes) - _logsumexp(no)
    return None


def _continues(positive: str, written: str, token: int, vocabulary: Vocabulary) -> bool:
    text = written + vocabulary.decode([token])
    return positive.startswith(text) or text.startswith(positive)


def _logsumexp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))
