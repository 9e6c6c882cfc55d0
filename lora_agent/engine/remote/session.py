"""One conversation on a server: every step is a request of its own, its prompt rendered here to token ids.

The server keeps what it has read (vLLM's prefix cache); nothing is held open between steps. Knows contracts and
prompts, no HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lora_agent.engine import partwise
from lora_agent.engine.contract import (
    BASE_MAX_TOKENS,
    answer_grammar,
    call_grammar,
    check_answer,
    finish,
    read_output,
    token_logprobs,
)
from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.engine.narrowing import Wish
from lora_agent.engine.prompts import adapter_input, answer_prompt, choice_prompt
from lora_agent.engine.protocol import Cancel
from lora_agent.engine.remote.client import Request
from lora_agent.engine.remote.decoding import completion, text_of
from lora_agent.engine.remote.wire import Generated, structured
from lora_agent.errors import ContextTooLongError, MessagesError
from lora_agent.registry import AdapterPackage
from lora_agent.render import read_documents, read_messages, suffix
from lora_agent.structured.calls import MAX_CALLS
from lora_agent.structured.grammar import MARKER
from lora_agent.types import Completion, JsonSchema, Message, Result, Route, TokenLogprob, Tool, Usage

if TYPE_CHECKING:
    from lora_agent.engine.remote.engine import RemoteEngine

REASKS = 2
"""How often an output that breaks a keyword which no grammar expresses is asked for again, sampled."""
REASK_TEMPERATURE = 0.7


class RemoteSession:
    """See lora_agent.engine.protocol.Session. Sessions of one engine may work at the same time."""

    def __init__(self, engine: RemoteEngine, messages: Sequence[Message], tools: Sequence[Tool]) -> None:
        self._engine = engine
        self.messages = tuple(messages)
        self.tools = tuple(tools)
        self._ids = self._render(self.tools)

    @property
    def context_tokens(self) -> int:
        return len(self._ids)

    def prefill(self) -> Usage:
        """Nothing: a plain LoRA reads the context itself, so there is nothing to read ahead for it."""
        return Usage()

    def extend(self, messages: Sequence[Message]) -> None:
        """Append turns."""
        self.messages = (*self.messages, *read_messages(list(messages)))
        self._ids = self._render(self.tools)

    def route(self, legal: Sequence[str] | None = None) -> Route:
        started = time.perf_counter()
        route = self._engine.router.route(self, legal)
        return replace(route, ms=(time.perf_counter() - started) * 1000)

    def run(
        self,
        adapter: str,
        *,
        max_tokens: int | None = None,
        deadline: float | None = None,
        cancel: Cancel | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        top_logprobs: int | None = None,
        watch: Callable[[str], None] | None = None,
        calls: tuple[int, int] = (0, MAX_CALLS),
        **inputs: Any,
    ) -> Result:
        """Run one adapter on this context. Raises as in process, and ServerUnreachableError, ServerRefusedError."""
        package = self._engine.package(adapter)
        budget = max_tokens or package.spec.prompt.max_new_tokens
        options = DecodeOptions(
            budget, deadline, cancel, temperature, top_p, seed, top_logprobs=top_logprobs, watch=watch
        )
        return partwise.answer(
            lambda options, wish: self._run(package, options, wish, inputs),
            package,
            self.messages,
            self.tools,
            options,
            Wish(*calls),
            self._engine.renderer.size,
        )

    def _run(self, package: AdapterPackage, options: DecodeOptions, wish: Wish, inputs: dict[str, Any]) -> Result:
        """One decode."""
        started = time.perf_counter()
        messages, wish = partwise.put(package, self.messages, wish)
        if messages != self.messages:
            return RemoteSession(self._engine, messages, self.tools)._run(package, options, wish, inputs)
        whole = adapter_input(package, self.messages, self.tools, inputs)
        vocabulary = self._engine.vocabulary
        grammar = call_grammar(package, whole, self.tools, vocabulary, options.max_tokens, wish=wish)
        # Adapters whose input has no tools were trained without a list of them in the system turn.
        tools = self.tools if "tools" in package.input_schema.get("properties", {}) else ()
        ids = self._ids if tools == self.tools else self._render(tools)
        renderer = self._engine.renderer
        documents = read_documents(whole.get("documents"))
        ids = ids + (renderer.documents(documents) if documents else [])
        ids += suffix(renderer, package.spec.prompt, self.messages, whole, wish.about)
        for asked, got in enumerate(self._answers(package, ids, options, structured(grammar.bounded))):
            done, alternatives = completion(renderer, grammar, got, (time.perf_counter() - started) * 1000)
            result = replace(finish(package, done, grammar, alternatives, vocabulary), redecoded=asked)
            if result.verdict != "invalid":
                break
        return replace(result, token_logprobs=self._told(got, done, options))

    def generate(
        self,
        *,
        schema: JsonSchema | None = None,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        max_tokens: int | None = None,
        deadline: float | None = None,
        cancel: Cancel | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
        top_logprobs: int | None = None,
        watch: Callable[[str], None] | None = None,
        preamble: bool = False,
    ) -> Result:
        """The base's own answer: free (up to the first of the texts in `stop`), or under one of `schema` (with
        `preamble` after free text, which is a request of its own; log-probabilities are of the value), `regex` (Rust
        syntax) and `choices`."""
        started = time.perf_counter()
        options = DecodeOptions(
            max_tokens or BASE_MAX_TOKENS,
            deadline,
            cancel,
            temperature,
            top_p,
            seed,
            stop=tuple(stop),
            top_logprobs=top_logprobs,
            watch=watch,
        )
        check_answer(schema, regex, choices, preamble, stop)
        grammar = answer_grammar(
            self._engine.vocabulary,
            options.max_tokens - _free_tokens(options) if preamble else options.max_tokens,
            schema=schema,
            regex=regex,
            choices=choices,
            stop=options.stop,
        )
        bound = structured(None if grammar is None else grammar.bounded, regex, choices)
        prompt = self._ids + self._opening(schema, preamble)
        before, usage = "", Usage()
        if preamble:
            before, usage, options = self._think(prompt, options)
            prompt = prompt + self._engine.renderer.text(before)
        for asked, got in enumerate(self._answers(None, prompt, options, bound)):
            redecoded = asked
            done, _ = completion(self._engine.renderer, grammar, got, 0.0, options.stop)
            output, verdict, error = read_output(done, grammar)
            if verdict != "invalid":
                break
        return Result(
            adapter="base",
            output=output,
            raw=before + done.text,
            verdict=verdict,  # type: ignore[arg-type]  # narrowed in read_output
            finish_reason=done.finish_reason,
            usage=usage + done.usage,
            ms=(time.perf_counter() - started) * 1000,
            error=error,
            logprobs=done.logprobs,
            redecoded=redecoded,
            preamble=before.removesuffix(MARKER) if before else None,
            token_logprobs=self._told(got, done, options),
        )

    def _think(self, prompt: list[int], options: DecodeOptions) -> tuple[str, Usage, DecodeOptions]:
        """Free text up to MARKER, at most half of the token budget; what it cost, and the options for the value."""
        free = replace(options, max_tokens=_free_tokens(options), stop=(MARKER,), top_logprobs=None)
        got = self._ask(None, prompt, free, {})
        done, _ = completion(self._engine.renderer, None, got, 0.0, free.stop)
        before, tell = done.text + MARKER, options.watch
        watch = None if tell is None else lambda text: tell(before + text)
        left = max(1, options.max_tokens - len(got.tokens))
        return before, done.usage, replace(options, max_tokens=left, watch=watch)

    def _opening(self, schema: JsonSchema | None, preamble: bool) -> list[int]:
        """What the base reads between the context and its own words."""
        return answer_prompt(self._engine.renderer, schema, preamble=preamble)

    def choose(self, question: str, options: Sequence[str]) -> dict[str, float]:
        """Probability of each option as what the base says next to `question`, under the options as its grammar."""
        renderer = self._engine.renderer
        prompt = self._ids + choice_prompt(renderer, question)
        spelled = {option: [*renderer.text(option), renderer.stop_token_ids[0]] for option in options}
        self._check_length(len(prompt), max(map(len, spelled.values())))
        return self._engine.choose(prompt, spelled)

    def _answers(
        self, package: AdapterPackage | None, ids: list[int], options: DecodeOptions, bound: Mapping[str, Any]
    ) -> Iterator[Generated]:
        """The server's answer, and up to REASKS others, sampled, for who finds it invalid."""
        yield self._ask(package, ids, options, bound)
        for asked in range(1, REASKS + 1):
            other = replace(options, temperature=REASK_TEMPERATURE, seed=(options.seed or 0) + asked)
            yield self._ask(package, ids, other, bound)

    def _ask(
        self, package: AdapterPackage | None, ids: list[int], options: DecodeOptions, bound: Mapping[str, Any]
    ) -> Generated:
        self._check_length(len(ids), options.max_tokens)
        renderer, tell = self._engine.renderer, options.watch
        watch = None if tell is None else lambda tokens: tell(text_of(renderer, tokens, options.stop).rstrip("\ufffd"))
        return self._engine.ask(Request(package, ids, options, bound, watch))

    def _told(self, got: Generated, done: Completion, options: DecodeOptions) -> tuple[TokenLogprob, ...]:
        """The likeliest tokens at each place, as the server tells them: up to 20."""
        count = options.top_logprobs
        if count is None:
            return ()
        tops = [sorted(top.items(), key=lambda item: -item[1])[:count] for top in got.top]
        return token_logprobs(done.tokens, done.logprobs, tops, self._engine.vocabulary)

    def _render(self, tools: Sequence[Tool]) -> list[int]:
        ids = self._engine.renderer.context(self.messages, tools)
        self._check_length(len(ids), 0)
        return ids

    def _check_length(self, tokens: int, output: int) -> None:
        limit = self._engine.context_limit
        if tokens + output > limit:
            raise ContextTooLongError(
                f"the context has {tokens} tokens and up to {output} more are asked for, but the server reads {limit}",
                hint="Shorten the messages, offer fewer tools or documents, or start it with a larger --max-model-len.",
            )


def _free_tokens(options: DecodeOptions) -> int:
    """Of the budget of an answer that begins with free text: half, so that the value always has room."""
    return max(1, options.max_tokens // 2)


class RemoteTextSession(RemoteSession):
    """A text that the base goes on with, without a chat template."""

    def __init__(self, engine: RemoteEngine, text: str) -> None:
        self._tokens = engine.renderer.text(text)
        if not self._tokens:
            raise MessagesError("the prompt is empty", hint="Give at least one character to go on with.")
        super().__init__(engine, (Message(role="user", content=text),), ())

    def _render(self, tools: Sequence[Tool]) -> list[int]:
        self._check_length(len(self._tokens), 0)
        return self._tokens

    def _opening(self, schema: JsonSchema | None, preamble: bool) -> list[int]:
        return []
