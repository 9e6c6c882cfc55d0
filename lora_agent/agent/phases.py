"""What an agent does, in order: guard the request, route, call tools or search or answer, guard the answer.

Each phase is a generator of steps; a run ends where one raises `Stop`. How an act is carried out, counted and
recorded is the business of `run`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from lora_agent.agent.answer import ToolResult, render_results
from lora_agent.agent.budget import Stop
from lora_agent.agent.guard import REFUSAL, REFUSED_ANSWER, Finding, withheld_notice
from lora_agent.agent.retrieval import Retriever
from lora_agent.agent.run import Run, Steps
from lora_agent.errors import ContextTooLongError
from lora_agent.types import Document, Message, Result, Step, ToolCall, compact_json

UNANSWERABLE = "The documents do not contain the answer."


def work(run: Run) -> Steps:
    """The whole run."""
    if run.setup.policy.guard_input:
        finding = yield from run.guard("user")
        if finding.blocked:
            raise Stop("blocked_input", f"{REFUSAL} Reason: {finding.reason}.")
    choice = yield from _choose(run)
    while choice == "tool_call":
        yield from _tool_round(run)
        choice = yield from _choose(run)
    if run.results:
        yield from _answer_from_tools(run)
    elif choice in ("retrieval", "query_rewrite"):
        yield from _answer_from_documents(run, rewrite=choice == "query_rewrite")
    elif choice == "base":
        yield from _answer_freely(run)
    else:
        yield from _answer_by_skill(run, choice)


def _choose(run: Run) -> Generator[Step, None, str]:
    legal = _legal(run)
    if not legal:
        return "base"
    route = yield from run.route(legal)
    return "base" if route.abstained else route.adapter


def _legal(run: Run) -> list[str]:
    """The adapters that this state allows. Guards are never among them: they are not a choice."""
    setup = run.setup
    legal = []
    if setup.tools and not run.no_tool_fits and run.tool_rounds < setup.policy.max_tool_rounds:
        legal.append("tool_call")
    if run.results:  # what is left to choose is another round of calls, or the answer
        return legal
    if setup.retriever is not None:
        legal.append("retrieval")
        if run.conversation.has_earlier_turns and "query_rewrite" in setup.engine.adapters:
            legal.append("query_rewrite")
    return legal + list(setup.skills)


def _tool_round(run: Run) -> Steps:
    """Ask which tools to call, and call them. No (new) calls: the router is asked again without tools."""
    calls = yield from _new_calls(run)
    if not calls:
        run.no_tool_fits = True
        return
    run.tool_rounds += 1
    run.conversation.extend(Message(role="assistant", tool_calls=tuple(calls)))
    for call in calls:
        yield from _call_tool(run, call)


def _new_calls(run: Run) -> Generator[Step, None, list[ToolCall]]:
    """The adapter's calls with ids. A call made before with the same arguments is not made again: a small
    model that repeats itself would send a mail twice."""
    result = yield from run.adapter("tool_call", {"tools": list(run.setup.tools)})
    output = _require(result, "tool_call")
    calls: list[ToolCall] = []
    made = [result.call for result in run.results]
    try:
        for item in output["calls"]:
            call = ToolCall.model_validate(item)
            if not any(old.name == call.name and old.arguments == call.arguments for old in made):
                calls.append(call.model_copy(update={"id": f"call_{len(made) + 1}"}))
                made.append(call)
    except (KeyError, TypeError, ValidationError):
        _bad_output("tool_call", output)
    return calls


def _call_tool(run: Run, call: ToolCall) -> Steps:
    run.budget.check()
    outcome = run.setup.tools.run(call, timeout_s=run.budget.time_left(), cancel=run.budget.cancel)
    shown = outcome.content if outcome.truncated else outcome.value
    yield run.record("tool", call.name, call.arguments, shown, error=outcome.error, ms=outcome.ms)
    content = outcome.content or "(empty)"
    message = Message(role="tool", content=content, name=call.name, tool_call_id=call.id)
    run.conversation.extend(message)
    tool = run.setup.tools.get(call.name)
    trusted = tool is not None and tool.trusted
    if not run.setup.policy.guard_tools or trusted:
        run.results.append(ToolResult(call, outcome))
        return
    try:
        finding = yield from run.guard("tool")
    except ContextTooLongError:
        finding = Finding(True, reason="it is too long to be checked")
    withheld = None
    if finding.blocked or finding.injection:
        withheld = finding.reason
        run.conversation.replace_last(message.model_copy(update={"content": withheld_notice(call.name, finding)}))
    run.results.append(ToolResult(call, outcome, withheld))


def _answer_from_tools(run: Run) -> Steps:
    """Output that was withheld is no failure of the tool: the answer says so. With nothing usable there is
    nothing for a model to phrase, whatever the policy."""
    if run.setup.policy.compose == "model" and any(result.usable for result in run.results):
        yield from _answer_freely(run)
    text = render_results(run.results)
    yield run.record("answer", None, {"template": [result.call.name for result in run.results]}, text)
    raise Stop("answer" if any(result.outcome.ok for result in run.results) else "tool_error", text)


def _answer_from_documents(run: Run, *, rewrite: bool) -> Steps:
    query = run.conversation.request
    if rewrite:
        result = yield from run.adapter("query_rewrite", None)
        output = _require(result, "query_rewrite")
        query = str(output.get("query") or "").strip() or _bad_output("query_rewrite", output)
    assert run.setup.retriever is not None  # for the type checker: else neither route was legal
    documents = yield from _search(run, run.setup.retriever, query)
    if not documents:
        raise Stop("unanswerable", UNANSWERABLE)
    shown = {"query": query, "documents": [document.id for document in documents]}
    given = [document.model_dump(exclude_none=True) for document in documents]
    result = yield from run.adapter("retrieval", shown, documents=given)
    output = _require(result, "retrieval")
    doubtful = result.score is not None and result.score >= run.setup.policy.unanswerable_threshold
    if doubtful or not output.get("answerable"):
        raise Stop("unanswerable", UNANSWERABLE)
    answer = str(output.get("answer") or "").strip()
    citations = tuple(map(str, output.get("citations") or ()))
    if not answer or not set(citations) <= {document.id for document in documents}:
        _bad_output("retrieval", output)
    yield from _finish(run, answer, citations)


def _search(run: Run, retriever: Retriever, query: str) -> Generator[Step, None, list[Document]]:
    run.budget.check()
    start = time.monotonic()
    documents: list[Document] = []
    error = None
    try:
        hits = retriever.search(query, run.setup.policy.retrieval_k)
        documents = [Document.model_validate(hit) for hit in hits][: run.setup.policy.retrieval_k]
    except Exception as failure:  # noqa: BLE001 - the boundary to a user's own Retriever
        error = f"{type(failure).__name__}: {failure}"
    ms = (time.monotonic() - start) * 1000.0
    found = [document.id for document in documents]
    yield run.record("retrieve", None, {"query": query}, found, error=error, ms=ms)
    if error is not None:
        raise Stop("tool_error", f"The documents could not be searched: {error}")
    return documents


def _answer_by_skill(run: Run, name: str) -> Steps:
    """An adapter of the user's own: its JSON is the answer."""
    result = yield from run.adapter(name, None)
    if not result.ok:
        raise Stop("model_error", f"The {name} adapter failed: {result.error}")
    text = result.output if isinstance(result.output, str) else compact_json(result.output)
    yield from _finish(run, text)


def _answer_freely(run: Run) -> Steps:
    result = yield from run.generate()
    text = (result.output if isinstance(result.output, str) else result.raw).strip()
    # Free text that reached its length limit is still an answer; under a schema it would be none.
    if not text or not (result.ok or result.finish_reason == "length"):
        raise Stop("model_error", f"The base model gave no answer: {result.error or 'it wrote nothing'}")
    yield from _finish(run, text + "…" if result.finish_reason == "length" else text)


def _finish(run: Run, text: str, citations: tuple[str, ...] = ()) -> Steps:
    """Check an answer that a model wrote, and end with it."""
    if run.setup.policy.guard_output:
        run.conversation.extend(Message(role="assistant", content=text))
        finding = yield from run.guard("assistant")
        if finding.blocked:
            raise Stop("blocked_output", f"{REFUSED_ANSWER} Reason: {finding.reason}.")
    raise Stop("answer", text, citations)


def _require(result: Result, name: str) -> Mapping[str, Any]:
    if not result.ok:
        raise Stop("model_error", f"The {name} adapter failed: {result.error}")
    if not isinstance(result.output, Mapping):
        _bad_output(name, result.output)
    return result.output


def _bad_output(name: str, output: object) -> NoReturn:
    raise Stop("model_error", f"The {name} adapter's output breaks its contract: {output!r:.200}")
