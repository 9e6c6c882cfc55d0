"""Many adapter calls together, each with its own adapter: same results as one call after the other.

Where the runner merges what several threads want read, each call is a thread of its own (`call_concurrently`), so that
calls share the prefix cache and what they have in common. Elsewhere they are rows of one batch (`call_batch`): contexts
are read by the base in one pass, suffixes by each row's adapter in the next, then all rows decode together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any

from lora_agent.engine.contract import check_input, finish, leaning_grammar
from lora_agent.engine.local.bank import BASE_SLOT
from lora_agent.engine.local.decode import DecodeOptions, RowDecode
from lora_agent.engine.narrowing import ANY
from lora_agent.engine.partwise import opening, parts_of, windows_of
from lora_agent.errors import ContextTooLongError
from lora_agent.registry import AdapterPackage
from lora_agent.render import input_messages, read_documents, read_tools, suffix
from lora_agent.render.tools import type_text
from lora_agent.structured import Grammar
from lora_agent.structured.calls import MAX_CALLS
from lora_agent.structured.repeats import repeated
from lora_agent.types import Result

if TYPE_CHECKING:
    from lora_agent.engine.local.engine import LocalEngine


AT_A_TIME = 8
"""Calls in merged passes: beyond eight rows the compiled pass computes no row faster (decision 049)."""


@dataclass
class _Item:
    package: AdapterPackage
    grammar: Grammar
    context: list[int]
    tail: list[int]
    row: RowDecode


def call_batch(
    engine: LocalEngine,
    calls: Sequence[tuple[str, Mapping[str, Any]]],
    options: DecodeOptions | None,
    *,
    prompted: bool = False,
    free: bool = False,
) -> list[Result]:
    """Run calls (adapter name, input) together. Raises for a faulty input; model failures are in the Results.

    `prompted`: the bare base does the adapters' work, told what it is and what JSON to write, under the same grammar.
    `free`: no grammar; what was written is checked against it afterwards.
    """
    single = not prompted and not free  # the results are those of single calls
    if single:
        several = [i for i, call in enumerate(calls) if _several(engine, *call)]
        if several:  # their parts are decodes of their own
            return _among(engine, calls, several, options)
    items = _prepare(engine, calls, options, single=single)
    if free:
        for item in items:
            item.row.constraint = None
    if prompted:
        for item in items:
            item.tail = _instruction(engine, item.package)
    tokens = sum(len(item.context) + len(item.tail) + item.row.options.max_tokens for item in items)
    if len(items) > 1 and engine.admission.tokens is not None and tokens > engine.admission.tokens:
        half = len(items) // 2  # one half after the other has room
        parts = (calls[:half], calls[half:])
        return [r for part in parts for r in call_batch(engine, part, options, prompted=prompted, free=free)]
    with engine.admission.admitted(tokens):
        if prompted:
            _run(engine, items, [BASE_SLOT] * len(items))
        else:
            with engine.using(*[item.package for item in items]) as slots:
                _run(engine, items, slots)
    results = []
    for item, call in zip(items, calls, strict=True):
        completion = item.row.completion(engine.base.tokenizer, len(item.context) + len(item.tail), 0)
        result = finish(item.package, completion, item.grammar, item.row.alternatives, engine.vocabulary)
        if single and _again(item, call[1], result):
            result = engine.call(*call, max_tokens=item.row.options.max_tokens)
        results.append(result)
    return results


def _several(engine: LocalEngine, name: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a single call would decode more than once from the start: for parts, a list or windows."""
    package = engine.package(name)
    check_input(package, inputs)
    messages, tools = input_messages(inputs), read_tools(inputs.get("tools"))
    texts = windows_of(package, messages, engine.base.renderer.size) or parts_of(package, messages, tools, MAX_CALLS)
    return bool(texts) or opening(package, messages, tools)[1] is not None


def _again(item: _Item, inputs: Mapping[str, Any], result: Result) -> bool:
    """Whether a session would go on where a batch ends: its cache has one row, so that it can go back."""
    if result.verdict == "invalid" or item.package.spec.output != "tool_calls":
        return result.verdict == "invalid"
    texts = [message.content for message in input_messages(inputs)]
    return result.verdict == "valid" and bool(repeated(result.output["calls"], read_tools(inputs.get("tools")), texts))


def _among(
    engine: LocalEngine,
    calls: Sequence[tuple[str, Mapping[str, Any]]],
    alone: Sequence[int],
    options: DecodeOptions | None,
) -> list[Result]:
    """All calls in order, those in `alone` by themselves and the others together."""
    budget = None if options is None else options.max_tokens
    results = {i: engine.call(*calls[i], max_tokens=budget) for i in alone}
    others = [i for i in range(len(calls)) if i not in results]
    if others:
        results.update(zip(others, call_batch(engine, [calls[i] for i in others], options), strict=True))
    return [results[i] for i in range(len(calls))]


def call_concurrently(
    engine: LocalEngine, calls: Sequence[tuple[str, Mapping[str, Any]]], max_tokens: int | None
) -> list[Result]:
    """Run calls side by side. Raises for a faulty input, before any is run where its schema refuses it; model failures
    are in the Results."""
    stop = Event()
    for name, inputs in calls:
        check_input(engine.package(name), inputs)
    with ThreadPoolExecutor(min(AT_A_TIME, len(calls)), thread_name_prefix="call") as pool:
        options = {"max_tokens": max_tokens, "cancel": stop.is_set}
        running = [pool.submit(engine.call, name, inputs, **options) for name, inputs in calls]
        try:
            return [future.result() for future in running]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _prepare(
    engine: LocalEngine,
    calls: Sequence[tuple[str, Mapping[str, Any]]],
    options: DecodeOptions | None,
    *,
    single: bool,
) -> list[_Item]:
    renderer = engine.base.renderer
    items = []
    for name, inputs in calls:
        package = engine.package(name)
        check_input(package, inputs)
        messages, tools = input_messages(inputs), read_tools(inputs.get("tools"))
        own = options or DecodeOptions(package.spec.prompt.max_new_tokens)
        wish = opening(package, messages, tools)[0] if single else ANY
        grammar, lean = leaning_grammar(package, inputs, tools, engine.vocabulary, own.max_tokens, wish)
        context = renderer.context(messages, tools)
        documents = read_documents(inputs.get("documents"))
        context += renderer.documents(documents) if documents else []
        tail = suffix(renderer, package.spec.prompt, messages, inputs)
        length = len(context) + len(tail) + own.max_tokens
        if length > engine.base.context_limit:
            raise ContextTooLongError(
                f"a call of {package.name!r} needs {length} tokens, {engine.base.id} reads {engine.base.context_limit}",
                hint="Shorten its messages, tools or documents.",
            )
        row = RowDecode(grammar.start(), renderer.stop_token_ids, replace(own, lean=lean))
        items.append(_Item(package, grammar, context, tail, row))
    return items


def _instruction(engine: LocalEngine, package: AdapterPackage) -> list[int]:
    renderer = engine.base.renderer
    task = f"{package.description} Answer in JSON: {type_text(package.output_schema)}"
    text = renderer.header("system") + renderer.clean(task) + renderer.turn_end + renderer.generation_prompt
    return renderer.tokens(text)


def _run(engine: LocalEngine, items: Sequence[_Item], slots: Sequence[int]) -> None:
    reader = engine.runner.batch(len(items))
    plain = [slot if item.package.spec.kind == "lora" else BASE_SLOT for item, slot in zip(items, slots, strict=True)]
    reader.read([item.context for item in items], plain, logits=False)
    active, slots = list(items), list(slots)
    feeds = [item.tail + item.row.opening() for item in active]
    while True:
        going = [i for i, feed in enumerate(feeds) if feed and active[i].row.running()]
        reader.keep(going)  # a row that is done would cost as much as one that is not
        active, feeds, slots = [active[i] for i in going], [feeds[i] for i in going], [slots[i] for i in going]
        if not active:
            return
        ahead = [item.row.ahead() for item in active]
        logits = reader.read(feeds, slots, ahead)
        allowed = [None if row is None else row.allowed(0) for row in ahead]
        feeds = [item.row.step(logits[i], allowed[i]) for i, item in enumerate(active)]
