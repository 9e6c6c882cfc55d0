"""How a conversation is answered in more decodes than one.

A request for tool calls: as it stands, part by part, and again where a value came twice; of the answers to one request
the one counts that the model finds likeliest (decisions 059, 060). A long last turn that is to be judged: window by
window (decision 090). Knows results and contracts; nothing of caches, devices or servers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lora_agent.engine.contract import confidence
from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.engine.narrowing import ANY, Wish
from lora_agent.registry import AdapterPackage
from lora_agent.structured import calls_schema, split_request, validate
from lora_agent.structured.grounding import takes_numbers_together
from lora_agent.structured.lists import Listing, listing
from lora_agent.structured.parts import is_one_clause, joins_nothing, says_something
from lora_agent.structured.repeats import Use, repeated
from lora_agent.structured.windows import windows
from lora_agent.types import JsonSchema, Message, Result, Tool, Usage, compact_json

Ask = Callable[[DecodeOptions, Wish], Result]
"""One decode of an adapter on a conversation."""
Size = Callable[[str], int]
"""Of a text, in tokens."""


def put(package: AdapterPackage, messages: tuple[Message, ...], wish: Wish) -> tuple[tuple[Message, ...], Wish]:
    """The conversation as the adapter reads it for a wish, and what is left of the wish: a part takes the place of the
    last turn where the adapter was not trained to read it behind the whole request. Plain variants share the package's
    prompt and the shipped one was not trained so: a plain LoRA is never asked so."""
    if wish.about is None or (package.spec.prompt.parts == "reread" and package.spec.kind == "alora"):
        return messages, wish
    return (*messages[:-1], messages[-1].model_copy(update={"content": wish.about})), replace(wish, about=None)


def windows_of(package: AdapterPackage, messages: Sequence[Message], size: Size) -> list[str]:
    """The texts that a last turn is judged by, one after the other; [] where it is judged as it stands."""
    prompt, last = package.spec.prompt, messages[-1]
    if last.role not in prompt.windows:
        return []
    found = windows(last.content, size, prompt.reread_tokens)
    return found if len(found) > 1 else []


def parts_of(package: AdapterPackage, messages: Sequence[Message], tools: Sequence[Tool], most: int) -> list[str]:
    """The parts of the last turn, if it is a user's and several calls may answer it; [] otherwise."""
    last = messages[-1]
    if package.spec.output != "tool_calls" or most < 2 or last.role != "user":
        return []
    return split_request(last.content, tools)


def opening(
    package: AdapterPackage, messages: Sequence[Message], tools: Sequence[Tool], wish: Wish = ANY
) -> tuple[Wish, Listing | None]:
    """What the first decode of a conversation is asked for, and the list that its last turn goes through, if any."""
    last = messages[-1]
    if package.spec.output != "tool_calls" or last.role != "user" or wish.most < 2:
        return wish, None
    asked = wish.about or last.content
    each = listing(asked, figures=not any(map(takes_numbers_together, tools)))
    if each is None and _is_one(asked, tools, wish):
        wish = replace(wish, most=max(1, wish.least))
    return wish, each


def _is_one(request: str, tools: Sequence[Tool], wish: Wish) -> bool:
    """Whether it seems to want one thing. A part may still be of several sentences that nobody could tell apart."""
    if is_one_clause(request):
        return True
    return not wish.part and joins_nothing(request) and not split_request(request, tools)


def answer(
    ask: Ask,
    package: AdapterPackage,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    options: DecodeOptions,
    wish: Wish,
    size: Size,
) -> Result:
    """An adapter's answer to a conversation. It may take several decodes: the usage is that of all of them, and
    `options.watch` is told the answer when it is chosen."""
    unwatched = replace(options, watch=None)
    if package.spec.output == "tool_calls":
        found = _Calls(ask, package, messages, tools, unwatched).answer(wish)
    elif texts := windows_of(package, messages, size):
        found = _highest(ask, texts, unwatched, wish)
    else:
        return ask(options, wish)
    if options.watch is not None:
        options.watch(found.raw)
    return found


def _highest(ask: Ask, texts: Sequence[str], options: DecodeOptions, wish: Wish) -> Result:
    """The answer to the window of the highest score. One that has no score, since it was stopped, is the answer at
    once: nobody knows what the rest holds."""
    results = []
    for text in texts:
        results.append(ask(options, replace(wish, about=text)))
        if results[-1].score is None:
            break
    best = max(results, key=lambda result: math.inf if result.score is None else result.score)
    usage = sum((result.usage for result in results), Usage())
    return replace(best, usage=usage, ms=sum(result.ms for result in results))


@dataclass
class _Calls:
    ask: Ask
    package: AdapterPackage
    messages: Sequence[Message]
    tools: Sequence[Tool]
    options: DecodeOptions

    def answer(self, wish: Wish) -> Result:
        found = self._request(self.options, wish)
        texts = parts_of(self.package, self.messages, self.tools, wish.most)
        if texts and not _is_stopped(found):
            found = self._likelier(found, list(self._parts(texts, wish)), len(texts), wish)
        return self._without_repetitions(found, wish)

    def _without_repetitions(self, found: Result, wish: Wish) -> Result:
        """Nobody wants the very same call twice: of 2,719 requests for several calls none does (decision 066)."""
        calls = found.output["calls"] if found.verdict == "valid" else []
        kept = _distinct(calls)
        if len(kept) == len(calls) or len(kept) < wish.least:
            return found
        return self._built(found, kept, found.logprobs)

    def _parts(self, texts: Sequence[str], wish: Wish) -> Iterator[Result]:
        """The answers to the parts, as far as all are valid and the budget of tokens goes."""
        left = self.options.max_tokens
        for text in texts:
            part = Wish(int(says_something(text, self.tools)), wish.most, part=True, about=text)
            result = self._request(replace(self.options, max_tokens=left), part)
            yield result
            left -= len(result.logprobs)
            if result.verdict != "valid" or left < 1:
                return

    def _likelier(self, whole: Result, parts: Sequence[Result], count: int, wish: Wish) -> Result:
        usage = sum((part.usage for part in parts), whole.usage)
        ms = whole.ms + sum(part.ms for part in parts)
        together = self._together(parts) if len(parts) == count and parts[-1].verdict == "valid" else None
        made = together.output["calls"] if together is not None else []
        twice = len(_distinct(made)) < len(made)  # the same words were taken for two parts
        if together is None or twice or not wish.least <= len(made) <= wish.most or _over(whole, together):
            return replace(whole, usage=usage, ms=ms)
        return replace(together, usage=usage, ms=ms)

    def _together(self, parts: Sequence[Result]) -> Result:
        calls = [call for part in parts for call in part.output["calls"]]
        found = self._built(parts[-1], calls, tuple(value for part in parts for value in part.logprobs))
        tokens = tuple(token for part in parts for token in part.token_logprobs)
        return replace(found, redecoded=sum(part.redecoded for part in parts), token_logprobs=tokens)

    def _built(self, of: Result, calls: list[dict[str, Any]], logprobs: tuple[float, ...]) -> Result:
        """An answer of these calls, put together from decodes of those probabilities."""
        output = {"calls": calls}
        sure = confidence(self.package, logprobs)
        return replace(of, output=output, raw=compact_json(output), logprobs=logprobs, confidence=sure)

    @cached_property
    def _schema(self) -> JsonSchema:
        return calls_schema(self.tools)

    def _request(self, options: DecodeOptions, wish: Wish) -> Result:
        """The answer to a request for one thing, or for the same of several."""
        wish, each = opening(self.package, self.messages, self.tools, wish)
        found = self._once(options, wish)
        if each is None or _is_stopped(found):
            return found
        if found.verdict == "valid" and each.kept_together(found.output["calls"]):
            return found
        one = self._once(options, replace(wish, about=each.first))
        usage, ms = found.usage + one.usage, found.ms + one.ms
        made: list[Any] = one.output["calls"] if one.verdict == "valid" else []
        calls = each.calls(made[0]) if len(made) == 1 else None
        if calls is not None and len(calls) <= wish.most and not validate({"calls": calls}, self._schema).errors:
            of_all = self._built(one, calls, one.logprobs * each.count)
            found = found if _over(found, of_all) else of_all
        return replace(found, usage=usage, ms=ms)

    def _once(self, options: DecodeOptions, wish: Wish) -> Result:
        """One decode; where two arguments share what was said once, the likelier of two more that leave either out."""
        first = self.ask(options, wish)
        pair = self._repeated(first, wish)
        if pair is None:
            return first
        others = [self.ask(options, replace(wish, without=frozenset([use]))) for use in pair]
        better = [other for other in others if other.verdict == "valid" and self._repeated(other, wish) is None]
        best = max(better, key=lambda result: sum(result.logprobs), default=first)
        usage = sum((other.usage for other in others), first.usage)
        return replace(best, usage=usage, ms=first.ms + sum(other.ms for other in others))

    def _repeated(self, result: Result, wish: Wish) -> tuple[Use, Use] | None:
        if result.verdict != "valid":
            return None
        said = [message.content for message in self.messages]
        if wish.about is not None:
            said[-1] = wish.about
        return repeated(result.output["calls"], self.tools, said)


def _distinct(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({compact_json(call): call for call in calls}.values())


def _is_stopped(result: Result) -> bool:
    return result.finish_reason in ("cancelled", "deadline")


def _over(one: Result, other: Result) -> bool:
    return one.verdict == "valid" and sum(one.logprobs) > sum(other.logprobs)
