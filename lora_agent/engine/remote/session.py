"""One conversation on a server: every step is a request of its own, its prompt rendered here to token ids.

The server keeps what it has read (vLLM's prefix cache); nothing is held open between steps. Knows contracts and
prompts, no HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lora_agent.engine.local.contract import finish, output_grammar, read_output
from lora_agent.engine.prompts import adapter_input, answer_prompt, choice_prompt
from lora_agent.engine.protocol import Cancel
from lora_agent.engine.remote.client import Request
from lora_agent.engine.remote.decoding import completion
from lora_agent.engine.remote.wire import Generated, Interrupt, structured
from lora_agent.errors import ContextTooLongError, SchemaError
from lora_agent.registry import AdapterPackage
from lora_agent.render import read_documents, read_messages, suffix
from lora_agent.structured import Grammar, compile_choice, compile_regex, compile_schema
from lora_agent.types import JsonSchema, Message, Result, Route, Tool, Usage

if TYPE_CHECKING:
    from lora_agent.engine.remote.engine import RemoteEngine

BASE_MAX_TOKENS = 256
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
        seed: int | None = None,
        **inputs: Any,
    ) -> Result:
        """Run one adapter on this context. Raises as in process, and ServerUnreachableError, ServerRefusedError."""
        started = time.perf_counter()
        package = self._engine.package(adapter)
        whole = adapter_input(package, self.messages, self.tools, inputs)
        budget = max_tokens or package.spec.prompt.max_new_tokens
        grammar = output_grammar(
            package.spec.output, package.output_schema, whole, self.tools, self._engine.vocabulary, budget
        )
        # Adapters whose input has no tools were trained without a list of them in the system turn.
        tools = self.tools if "tools" in package.input_schema.get("properties", {}) else ()
        ids = self._ids if tools == self.tools else self._render(tools)
        renderer = self._engine.renderer
        documents = read_documents(whole.get("documents"))
        ids = ids + (renderer.documents(documents) if documents else [])
        ids += suffix(renderer, package.spec.prompt, self.messages, whole)
        request = Request(
            package, ids, budget, structured(grammar.bounded), Interrupt(deadline, cancel), temperature, seed
        )
        asked = 0
        while True:
            result = self._finish(package, grammar, self._ask(request), started)
            if result.verdict != "invalid" or asked == REASKS:
                return replace(result, redecoded=asked)
            asked += 1
            request = replace(request, temperature=REASK_TEMPERATURE, seed=(seed or 0) + asked)

    def _finish(self, package: AdapterPackage, grammar: Grammar, got: Generated, started: float) -> Result:
        ms = (time.perf_counter() - started) * 1000
        done, alternatives = completion(self._engine.renderer, grammar, got, ms)
        return finish(package, done, grammar, alternatives, self._engine.vocabulary)

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
        seed: int | None = None,
    ) -> Result:
        """The base's own answer: free, or under one of `schema`, `regex` (Rust syntax) and `choices`."""
        started = time.perf_counter()
        budget = max_tokens or BASE_MAX_TOKENS
        grammar = self._grammar(schema, regex, choices, budget)
        bound = structured(None if grammar is None else grammar.bounded, regex, choices)
        ids = self._ids + answer_prompt(self._engine.renderer, schema)
        got = self._ask(Request(None, ids, budget, bound, Interrupt(deadline, cancel), temperature, seed))
        ms = (time.perf_counter() - started) * 1000
        done, _ = completion(self._engine.renderer, grammar, got, ms)
        output, verdict, error = read_output(done, grammar)
        return Result(
            adapter="base",
            output=output,
            raw=done.text,
            verdict=verdict,  # type: ignore[arg-type]  # narrowed in read_output
            finish_reason=done.finish_reason,
            usage=done.usage,
            ms=ms,
            error=error,
            logprobs=done.logprobs,
        )

    def choose(self, question: str, options: Sequence[str]) -> dict[str, float]:
        """Probability of each option as what the base says next to `question`, under the options as its grammar."""
        renderer = self._engine.renderer
        prompt = self._ids + choice_prompt(renderer, question)
        spelled = {option: [*renderer.text(option), renderer.stop_token_ids[0]] for option in options}
        self._check_length(len(prompt), max(map(len, spelled.values())))
        return self._engine.choose(prompt, spelled)

    def _ask(self, request: Request) -> Generated:
        self._check_length(len(request.prompt), request.max_tokens)
        return self._engine.ask(request)

    def _grammar(
        self, schema: JsonSchema | None, regex: str | None, choices: Sequence[str] | None, budget: int
    ) -> Grammar | None:
        given = [n for n, v in (("schema", schema), ("regex", regex), ("choices", choices)) if v is not None]
        if len(given) > 1:
            raise SchemaError(f"{' and '.join(given)} at once", hint="Give one of schema, regex and choices.")
        vocabulary = self._engine.vocabulary
        if schema is not None:
            return compile_schema(schema, vocabulary, budget_tokens=budget)
        if regex is not None:
            return compile_regex(regex, vocabulary)
        return None if choices is None else compile_choice(choices, vocabulary)

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
