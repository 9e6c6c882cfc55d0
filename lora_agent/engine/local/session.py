"""One conversation: the base's keys and values, read once, on which router and adapters work in turn.

An adapter's tokens are rolled back after it has run, so the next one starts from the same cache. Knows nothing of
the agent's loop or of HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from lora_agent.engine import partwise
from lora_agent.engine.contract import (
    BASE_MAX_TOKENS,
    answer_grammar,
    finish,
    leaning_grammar,
    read_output,
    token_logprobs,
)
from lora_agent.engine.local.ahead import Ahead
from lora_agent.engine.local.bank import BASE_SLOT
from lora_agent.engine.local.decode import DecodeOptions, RowDecode
from lora_agent.engine.local.lookup import Lookup
from lora_agent.engine.local.repair import Repair
from lora_agent.engine.local.runner import turn_features
from lora_agent.engine.narrowing import Wish
from lora_agent.engine.prompts import adapter_input, answer_prompt, choice_prompt
from lora_agent.engine.protocol import Cancel
from lora_agent.errors import ContextTooLongError
from lora_agent.registry import AdapterPackage
from lora_agent.render import common_length, read_documents, read_messages, suffix
from lora_agent.structured import MARKER, Grammar
from lora_agent.structured.calls import MAX_CALLS
from lora_agent.types import JsonSchema, Message, Result, Route, Tool, Usage

if TYPE_CHECKING:
    from lora_agent.engine.local.engine import LocalEngine


class LocalSession:
    """See lora_agent.engine.protocol.Session. Not thread-safe; sessions of one engine take turns."""

    def __init__(self, engine: LocalEngine, messages: Sequence[Message], tools: Sequence[Tool]) -> None:
        self._engine = engine
        self.messages = tuple(messages)
        self.tools = tuple(tools)
        self._ids = self._render()
        self._cache: Any = None
        self._read: tuple[int, ...] = ()
        self._features: Tensor | None = None
        self._bare: LocalSession | None = None
        self._inside = False

    @contextmanager
    def _admitted(self, tokens: int, options: DecodeOptions | None = None) -> Iterator[None]:
        """Around reading: `tokens` are what it may come to at most. What is read on the way is part of it."""
        if self._inside:
            yield
            return
        deadline, cancel = (None, None) if options is None else (options.deadline, options.cancel)
        with self._engine.admission.admitted(tokens, deadline=deadline, cancel=cancel):
            self._inside = True
            try:
                yield
            finally:
                self._inside = False

    @property
    def context_tokens(self) -> int:
        return len(self._ids)

    @property
    def cached_tokens(self) -> int:
        """Tokens whose keys and values are held now; what an adapter wrote is not among them."""
        return 0 if self._cache is None else int(self._cache.get_seq_length())

    def prefill(self) -> Usage:
        """Read the context with the base: once, and only what no earlier session has read."""
        ids = tuple(self._ids)
        if self._read == ids:
            return Usage(reused=len(ids))
        start = self._engine.base.renderer.text_start(ids, self.messages, self.tools)
        usable = start if self._cache is None else 0  # a cache of one's own grows by itself
        with self._admitted(len(ids)), self._engine.prefixes.reading(None, ids, usable):
            return self._prefill(ids, start)

    def _prefill(self, ids: tuple[int, ...], start: int) -> Usage:
        runner = self._engine.runner
        found = self._engine.prefixes.longest(None, ids)
        if self._cache is not None:  # grown by `extend`: what is still right stays
            keep = min(common_length(self._read, ids), start)
            if keep < len(self._read):
                self._cache.crop(keep - len(self._read))
        elif (
            found is not None
            and found[1] == len(ids)
            and found[0].features is not None
            and len(found[0].ids) == len(ids)
        ):
            self._cache = runner.restore(found[0].state, len(ids))
            self._read, self._features = ids, found[0].features
            return Usage(reused=len(ids))
        else:
            # The last turn is always read anew: the router needs its hidden states.
            keep = min(found[1], start) if found is not None else 0
            self._cache = runner.restore(found[0].state, keep) if found is not None and keep else runner.new_cache()
        hidden = runner.read_layers(ids[keep:], self._cache)
        self._features = turn_features(hidden, start - keep)
        self._read = ids
        self._engine.prefixes.store(None, ids, runner.snapshot(self._cache), self._features)
        return Usage(read=len(ids) - keep, reused=keep)

    @property
    def features(self) -> Tensor:
        """What the router reads: hidden states of the last turn (see runner.turn_features). Prefills when needed."""
        if self._features is None or self._read != tuple(self._ids):
            self.prefill()
        if self._features is None:
            raise ContextTooLongError("the context was not read")
        return self._features

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
        """Run one adapter on this context. `calls`: the least and the most calls of an adapter that calls tools.
        Raises AdapterInputError, SchemaError, ContextTooLongError and the AdapterError family; what the model gets
        wrong is in the Result."""
        package = self._engine.package(adapter)
        options = DecodeOptions(
            max_tokens or package.spec.prompt.max_new_tokens,
            deadline,
            cancel,
            temperature,
            top_p,
            seed,
            top_logprobs=top_logprobs,
            watch=watch,
        )
        wants_tools = "tools" in package.input_schema.get("properties", {})
        session = self if wants_tools or not self.tools else self._without_tools()
        return partwise.answer(
            lambda options, wish: session._run(package, options, wish, inputs),
            package,
            session.messages,
            session.tools,
            options,
            Wish(*calls),
            self._engine.base.renderer.size,
        )

    def _run(self, package: AdapterPackage, options: DecodeOptions, wish: Wish, inputs: dict[str, Any]) -> Result:
        """One decode."""
        started = time.perf_counter()
        messages, wish = partwise.put(package, self.messages, wish)
        if messages != self.messages:
            return LocalSession(self._engine, messages, self.tools)._run(package, options, wish, inputs)
        tools, inputs = self._inputs(package, inputs)
        vocabulary = self._engine.vocabulary
        grammar, lean = leaning_grammar(package, inputs, tools, vocabulary, options.max_tokens, wish)
        row = self._row(grammar, replace(options, lean=lean))
        repair = Repair(grammar, self._engine.vocabulary)
        usage = self._decode(package, inputs, row, repair, wish.about)
        completion = row.completion(self._engine.base.tokenizer, usage.read, usage.reused)
        result = finish(package, completion, grammar, row.alternatives, self._engine.vocabulary)
        return replace(
            result,
            ms=(time.perf_counter() - started) * 1000,
            redecoded=repair.made,
            token_logprobs=token_logprobs(row.tokens, row.logprobs, row.tops, vocabulary),
        )

    def _without_tools(self) -> LocalSession:
        """The same conversation as adapters read it whose input has no tools: they were trained without a list of
        tools in the system turn, and judge worse behind one. Costs the messages' own prefill, once."""
        if self._bare is None or self._bare.messages != self.messages:
            self._bare = LocalSession(self._engine, self.messages, ())
        return self._bare

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
        """The base's own answer: free, or under one of `schema` (the request for JSON is written into the prompt as
        well; with `preamble` the base may think in free text first), `regex` (Rust syntax, the whole text) and
        `choices`. Near the end of the budget the value is finished by the shortest way that the grammar allows
        (`closed_early`). A free answer ends before the first of the texts in `stop`. `watch` is told the text so far
        after each forward pass. Raises SchemaError before any token."""
        options = DecodeOptions(
            max_tokens or BASE_MAX_TOKENS,
            deadline,
            cancel,
            temperature,
            top_p,
            seed,
            close=True,
            stop=tuple(stop),
            top_logprobs=top_logprobs,
            watch=watch,
        )
        pieces = self.stream(options, schema=schema, regex=regex, choices=choices, preamble=preamble)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                return cast("Result", end.value)

    def stream(
        self,
        options: DecodeOptions | None = None,
        *,
        schema: JsonSchema | None = None,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        preamble: bool = False,
    ) -> Generator[str, None, Result]:
        """Like `generate`: yields the text so far after each step, and returns the Result. Other sessions may work
        between two steps; closing the generator ends the decode."""
        started = time.perf_counter()
        options = options or DecodeOptions(BASE_MAX_TOKENS)
        vocabulary = self._engine.vocabulary
        grammar = answer_grammar(
            vocabulary,
            options.max_tokens,
            schema=schema,
            regex=regex,
            choices=choices,
            preamble=preamble,
            stop=options.stop,
        )
        row = self._row(grammar, options)
        tail = self._opening(schema, preamble)
        self._check_length(len(self._ids) + len(tail), options.max_tokens)
        tokenizer = self._engine.base.tokenizer
        repair = Repair(grammar, self._engine.vocabulary)
        with self._admitted(len(self._ids) + len(tail) + options.max_tokens, options):
            usage = self.prefill() + Usage(read=len(tail))
            for _ in self._steps(self._ids, tail, BASE_SLOT, self._cache, row, repair):
                yield (self._text(row.tokens) if row.text is None else row.text).rstrip("\ufffd")
        completion = row.completion(tokenizer, usage.read, usage.reused)
        output, verdict, error = read_output(completion, grammar)
        return Result(
            adapter="base",
            output=output,
            raw=completion.text,
            verdict=verdict,  # type: ignore[arg-type]
            finish_reason=completion.finish_reason,
            usage=completion.usage,
            ms=(time.perf_counter() - started) * 1000,
            error=error,
            logprobs=completion.logprobs,
            closed_early=completion.closed_early,
            redecoded=repair.made,
            preamble=grammar.split(completion.text)[0].removesuffix(MARKER) if preamble and grammar else None,
            token_logprobs=token_logprobs(row.tokens, row.logprobs, row.tops, vocabulary),
        )

    def _opening(self, schema: JsonSchema | None, preamble: bool) -> list[int]:
        """What the base reads between the context and its own words."""
        return answer_prompt(self._engine.base.renderer, schema, preamble=preamble)

    def choose(self, question: str, options: Sequence[str]) -> dict[str, float]:
        """Probability of each option as what the base says next to `question`, normalised over the options."""
        renderer = self._engine.base.renderer
        self.prefill()
        return self._engine.runner.choice(
            choice_prompt(renderer, question),
            {o: [*renderer.text(o), renderer.stop_token_ids[0]] for o in options},
            self._cache,
        )

    def extend(self, messages: Sequence[Message]) -> None:
        """Append turns. The cache keeps every token that is still at its place."""
        self.messages = (*self.messages, *read_messages(list(messages)))
        self._ids = self._render()

    def _render(self) -> list[int]:
        ids = self._engine.base.renderer.context(self.messages, self.tools)
        self._check_length(len(ids), 0)
        return ids

    def _check_length(self, tokens: int, output: int) -> None:
        limit = self._engine.base.context_limit
        if tokens + output > limit:
            raise ContextTooLongError(
                f"the context has {tokens} tokens and up to {output} more are asked for, but "
                f"{self._engine.base.id} reads {limit}",
                hint="Shorten the messages, offer fewer tools or documents, or load a base with a longer context.",
            )

    def _inputs(self, package: AdapterPackage, given: dict[str, Any]) -> tuple[tuple[Tool, ...], dict[str, Any]]:
        """The adapter's whole input: conversation and tools from this session, the rest from the caller."""
        return self.tools, adapter_input(package, self.messages, self.tools, given)

    def _row(self, grammar: Grammar | None, options: DecodeOptions) -> RowDecode:
        stops = self._engine.base.renderer.stop_token_ids
        return RowDecode(None if grammar is None else grammar.start(), stops, options, decode=self._text)

    def _text(self, tokens: list[int]) -> str:
        return str(self._engine.base.tokenizer.decode(tokens, clean_up_tokenization_spaces=False))

    def _decode(
        self, package: AdapterPackage, inputs: dict[str, Any], row: RowDecode, repair: Repair, about: str | None
    ) -> Usage:
        engine = self._engine
        renderer = engine.base.renderer
        documents = read_documents(inputs.get("documents"))
        passages = renderer.documents(documents) if documents else []
        tail = suffix(renderer, package.spec.prompt, self.messages, inputs, about)
        length = len(self._ids) + len(passages) + len(tail)
        self._check_length(length, row.options.max_tokens)
        with self._admitted(length + row.options.max_tokens, row.options), engine.using(package) as (slot,):
            if package.spec.kind == "lora":
                return self._decode_lora(package, slot, passages, tail, row, repair)
            usage = self.prefill()
            before = self.cached_tokens
            try:
                if passages:
                    engine.runner.read(passages, self._cache)
                usage += self._run_suffix([*self._ids, *passages], tail, slot, self._cache, row, repair)
            finally:
                if self.cached_tokens > before:
                    self._cache.crop(before - self.cached_tokens)
        return usage + Usage(read=len(passages))

    def _decode_lora(
        self, package: AdapterPackage, slot: int, passages: list[int], tail: list[int], row: RowDecode, repair: Repair
    ) -> Usage:
        """A plain LoRA reads everything itself, so it has a cache of its own, shared with its earlier calls."""
        engine = self._engine
        ids = tuple(self._ids) + tuple(passages)
        runner = engine.runner
        with engine.prefixes.reading(package.digest, ids, len(ids) - 1):
            found = engine.prefixes.longest(package.digest, ids)
            keep = min(found[1], len(ids) - 1) if found is not None else 0
            cache = runner.restore(found[0].state, keep) if found is not None and keep else runner.new_cache()
            runner.read(ids[keep:], cache, slot)
            engine.prefixes.store(package.digest, ids, runner.snapshot(cache), None)
        usage = Usage(read=len(ids) - keep, reused=keep)
        return usage + self._run_suffix(ids, tail, slot, cache, row, repair)

    def _run_suffix(
        self, prompt: Sequence[int], tail: list[int], slot: int, cache: Any, row: RowDecode, repair: Repair
    ) -> Usage:
        """Read the suffix, decode, and leave the cache as it was."""
        for _ in self._steps(prompt, tail, slot, cache, row, repair):
            pass
        return Usage(read=len(tail))

    def _steps(
        self, prompt: Sequence[int], tail: list[int], slot: int, cache: Any, row: RowDecode, repair: Repair
    ) -> Iterator[None]:
        """The decode, pausing after each forward pass; the cache, which holds what `prompt` is, is as before once it is
        over or closed. A pass reads what is due and guesses of what may follow; wrong guesses are forgotten."""
        runner = self._engine.runner
        before = cache.get_seq_length()
        lookup = Lookup([*prompt, *tail]) if runner.guesses else None
        feed = tail + row.opening()
        try:
            while feed and row.running():
                guess = row.likely(lookup.guess(row.tokens)) if lookup is not None else []
                ahead = row.ahead(guess)
                logits = runner.forward([*feed, *guess], cache, slot, logits=1 + len(guess), ahead=ahead).logits
                feed, right = self._take(row, logits, guess, ahead)
                if lookup is not None:
                    lookup.learn(len(guess), right)
                if right < len(guess):
                    cache.crop(right - len(guess))
                yield
                if repair.again(row):
                    feed = self._rewind(cache, before, [*tail, *row.tokens])
        finally:
            grown = cache.get_seq_length() - before
            if grown:
                cache.crop(-grown)

    @staticmethod
    def _take(row: RowDecode, logits: Tensor, guess: list[int], ahead: Ahead | None) -> tuple[list[int], int]:
        """Let the row choose from `logits` (1 + guess, vocabulary) as far as the guess is what it chooses. Returns what
        it is to read next and how many guessed tokens were right, and so are in the cache already."""
        right = 0
        while True:
            feed = row.step(logits[right], None if ahead is None else ahead.allowed(right))
            same = common_length(tuple(feed), tuple(guess[right:]))
            right += same
            if not feed or same < len(feed):
                return feed[same:], right

    @staticmethod
    def _rewind(cache: Any, before: int, wanted: list[int]) -> list[int]:
        """Crop the cache to what leads to `wanted` and return what must be read (again): at least the last token,
        whose logits are needed."""
        held = min(cache.get_seq_length() - before, len(wanted) - 1)
        cache.crop(before + held - cache.get_seq_length())
        return wanted[held:]
