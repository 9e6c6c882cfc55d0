"""How a request for tool calls is answered: decoded as it stands, part by part, and again where a value came twice.

Of the answers to one request the one counts that the model finds likeliest (decisions 059, 060). Knows results and
contracts; nothing of caches, devices or servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from lora_agent.engine.contract import confidence
from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.engine.narrowing import Wish
from lora_agent.registry import AdapterPackage
from lora_agent.structured import split_request
from lora_agent.structured.repeats import Use, repeated
from lora_agent.types import Message, Result, Tool, compact_json

Ask = Callable[[Sequence[Message], DecodeOptions, Wish], Result]
"""One decode of an adapter on a conversation."""


def parts_of(package: AdapterPackage, messages: Sequence[Message], tools: Sequence[Tool], most: int) -> list[str]:
    """The parts of the last turn, if it is a user's and several calls may answer it; [] otherwise."""
    last = messages[-1]
    if package.spec.output != "tool_calls" or most < 2 or last.role != "user":
        return []
    return split_request(last.content, tools)


def answer(
    ask: Ask,
    package: AdapterPackage,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    options: DecodeOptions,
    wish: Wish,
) -> Result:
    """An adapter's answer to a conversation. Tool calls may take several decodes: the usage is that of all of them, and
    `options.watch` is told the answer when it is chosen."""
    if package.spec.output != "tool_calls":
        return ask(messages, options, wish)
    return _Calls(ask, package, tools, replace(options, watch=None)).answer(messages, wish, options.watch)


@dataclass
class _Calls:
    ask: Ask
    package: AdapterPackage
    tools: Sequence[Tool]
    options: DecodeOptions

    def answer(self, messages: Sequence[Message], wish: Wish, watch: Callable[[str], None] | None) -> Result:
        found = self._once(messages, self.options, wish)
        texts = parts_of(self.package, messages, self.tools, wish.most)
        if texts and found.finish_reason not in ("cancelled", "deadline"):
            found = self._likelier(found, list(self._parts(messages, texts, wish)), len(texts), wish)
        if watch is not None:
            watch(found.raw)
        return found

    def _parts(self, messages: Sequence[Message], texts: Sequence[str], wish: Wish) -> Iterator[Result]:
        """The answers to the parts, as far as all are valid and the budget of tokens goes."""
        left = self.options.max_tokens
        for text in texts:
            part = [*messages[:-1], Message(role="user", content=text)]
            result = self._once(part, replace(self.options, max_tokens=left), Wish(most=wish.most, part=True))
            yield result
            left -= len(result.logprobs)
            if result.verdict != "valid" or left < 1:
                return

    def _likelier(self, whole: Result, parts: Sequence[Result], count: int, wish: Wish) -> Result:
        usage = sum((part.usage for part in parts), whole.usage)
        ms = whole.ms + sum(part.ms for part in parts)
        together = self._together(parts) if len(parts) == count and parts[-1].verdict == "valid" else None
        if together is None or not wish.least <= len(together.output["calls"]) <= wish.most or _over(whole, together):
            return replace(whole, usage=usage, ms=ms)
        return replace(together, usage=usage, ms=ms)

    def _together(self, parts: Sequence[Result]) -> Result:
        output = {"calls": [call for part in parts for call in part.output["calls"]]}
        logprobs = tuple(value for part in parts for value in part.logprobs)
        return replace(
            parts[-1],
            output=output,
            raw=compact_json(output),
            logprobs=logprobs,
            confidence=confidence(self.package, logprobs),
            redecoded=sum(part.redecoded for part in parts),
            token_logprobs=tuple(token for part in parts for token in part.token_logprobs),
        )

    def _once(self, messages: Sequence[Message], options: DecodeOptions, wish: Wish) -> Result:
        """One decode; where two arguments share what was said once, the likelier of two more that leave either out."""
        first = self.ask(messages, options, wish)
        pair = self._repeated(first, messages)
        if pair is None:
            return first
        others = [self.ask(messages, options, replace(wish, without=frozenset([use]))) for use in pair]
        better = [other for other in others if other.verdict == "valid" and self._repeated(other, messages) is None]
        best = max(better, key=lambda result: sum(result.logprobs), default=first)
        usage = sum((other.usage for other in others), first.usage)
        return replace(best, usage=usage, ms=first.ms + sum(other.ms for other in others))

    def _repeated(self, result: Result, messages: Sequence[Message]) -> tuple[Use, Use] | None:
        if result.verdict != "valid":
            return None
        return repeated(result.output["calls"], self.tools, [message.content for message in messages])


def _over(one: Result, other: Result) -> bool:
    return one.verdict == "valid" and sum(one.logprobs) > sum(other.logprobs)
