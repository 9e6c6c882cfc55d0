"""A request for several things: answered in one go and part by part; the answer that the model finds likelier counts.

Decision 059. Knows results and contracts; nothing of caches, devices or servers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lora_agent.engine.contract import confidence
from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.registry import AdapterPackage
from lora_agent.structured import split_request
from lora_agent.types import Message, Result, Tool, Usage, compact_json

Ask = Callable[[Sequence[Message], DecodeOptions, tuple[int, int]], Result]
"""One decode of an adapter on a conversation, with the least and the most calls that it may make."""


def parts_of(
    package: AdapterPackage, messages: Sequence[Message], tools: Sequence[Tool], calls: tuple[int, int]
) -> list[str]:
    """The parts of the last turn, if it is a user's and several calls may answer it; [] otherwise."""
    last = messages[-1]
    if package.spec.output != "tool_calls" or calls[1] < 2 or last.role != "user":
        return []
    return split_request(last.content, tools)


def answer(
    ask: Ask,
    package: AdapterPackage,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    options: DecodeOptions,
    calls: tuple[int, int],
) -> Result:
    """Of the whole conversation, or of its last turn's parts one after the other: what the model gives the higher
    probability. The usage is that of all decodes; `options.watch` is told a request of several parts at the end."""
    texts = parts_of(package, messages, tools, calls)
    if not texts:
        return ask(messages, options, calls)
    quiet = replace(options, watch=None)
    whole = ask(messages, quiet, calls)
    if whole.finish_reason in ("cancelled", "deadline"):
        return whole
    answers: list[Result] = []
    left = options.max_tokens
    for text in texts:
        part = ask([*messages[:-1], Message(role="user", content=text)], replace(quiet, max_tokens=left), (0, calls[1]))
        answers.append(part)
        left -= len(part.logprobs)
        if part.verdict != "valid" or left < 1:
            break
    found = _likelier(package, whole, answers, len(texts), calls)
    spent = sum((part.usage for part in answers), whole.usage)
    took = whole.ms + sum(part.ms for part in answers)
    if options.watch is not None:
        options.watch(found.raw)
    return replace(found, usage=spent, ms=took)


def _likelier(
    package: AdapterPackage, whole: Result, answers: Sequence[Result], count: int, calls: tuple[int, int]
) -> Result:
    if len(answers) < count or any(part.verdict != "valid" for part in answers):
        return whole
    made = [call for part in answers for call in part.output["calls"]]
    logprobs = tuple(value for part in answers for value in part.logprobs)
    if not calls[0] <= len(made) <= calls[1]:
        return whole
    if whole.verdict == "valid" and sum(whole.logprobs) > sum(logprobs):
        return whole
    output = {"calls": made}
    return replace(
        answers[-1],
        output=output,
        raw=compact_json(output),
        logprobs=logprobs,
        confidence=confidence(package, logprobs),
        redecoded=sum(part.redecoded for part in answers),
        token_logprobs=tuple(token for part in answers for token in part.token_logprobs),
        usage=Usage(),
    )
