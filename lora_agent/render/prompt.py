"""What an adapter reads after the context: invocation, echoed fields, the re-read turn, the generation prompt.

Everything before the invocation is read by the bare base and shared; everything from it on is read with the
adapter (activated LoRA, arXiv 2504.12397). Knows nothing of adapter packages: any object with the fields of
`PromptShape` will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lora_agent.errors import AdapterInputError, MessagesError
from lora_agent.render.chat import ChatRenderer
from lora_agent.structured.evidence import best_sentences
from lora_agent.types import Document, Message, Tool, compact_json


class PromptShape(Protocol):
    @property
    def invocation(self) -> str: ...
    @property
    def reread(self) -> str: ...
    @property
    def reread_tokens(self) -> int: ...
    @property
    def evidence_tokens(self) -> int: ...
    @property
    def fields(self) -> Sequence[str]: ...


def read_messages(raw: Any) -> tuple[Message, ...]:
    """Messages from outside, checked. Raises MessagesError."""
    from pydantic import ValidationError

    if isinstance(raw, str):
        raw = [{"role": "user", "content": raw}]
    if not isinstance(raw, Sequence) or not raw:
        raise MessagesError(f"no messages: {raw!r}", hint='Give a list such as [{"role": "user", "content": "..."}].')
    messages = []
    for index, item in enumerate(raw):
        try:
            messages.append(item if isinstance(item, Message) else Message.model_validate(item))
        except (ValidationError, ValueError) as error:
            reason = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            where = ".".join(map(str, reason["loc"]))
            raise MessagesError(
                f"messages[{index}]{'.' + where if where else ''}: {reason['msg']} (got {item!r:.120})",
                hint="A message has `role` (system, user, assistant or tool) and `content` (text).",
            ) from error
    if not any(m.content.strip() or m.tool_calls for m in messages):
        raise MessagesError("every message is empty", hint="Give at least one message with text.")
    return tuple(messages)


def read_tools(raw: Any) -> tuple[Tool, ...]:
    """OpenAI tool objects (or Tools), checked for shape and name clashes. Raises ToolError."""
    from pydantic import ValidationError

    from lora_agent.errors import ToolError, ToolNameClashError

    tools: list[Tool] = []
    for index, item in enumerate(raw or ()):
        try:
            tools.append(item if isinstance(item, Tool) else Tool.model_validate(item))
        except ValidationError as error:
            first = error.errors()[0]
            raise ToolError(
                f"tools[{index}].{'.'.join(map(str, first['loc']))}: {first['msg']} (got {item!r:.120})",
                hint='A tool is {"type": "function", "function": {"name", "description", "parameters"}}.',
            ) from error
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise ToolNameClashError(f"two tools are called {name!r}", hint="Rename one of them.")
    return tuple(tools)


def input_messages(inputs: Mapping[str, Any]) -> tuple[Message, ...]:
    """The conversation of an adapter's input; an input without `messages` becomes one user turn of JSON."""
    if "messages" in inputs:
        return read_messages(inputs["messages"])
    return (Message(role="user", content=compact_json(dict(inputs))),)


def read_documents(raw: Any) -> tuple[Document, ...]:
    """Passages from outside, checked; ids must differ. Raises AdapterInputError."""
    from pydantic import ValidationError

    documents: list[Document] = []
    for index, item in enumerate(raw or ()):
        try:
            documents.append(item if isinstance(item, Document) else Document.model_validate(item))
        except ValidationError as error:
            first = error.errors()[0]
            raise AdapterInputError(
                f"documents[{index}].{'.'.join(map(str, first['loc']))}: {first['msg']}",
                hint='A document is {"id", "title" (optional), "text"}.',
            ) from error
    ids = [d.id for d in documents]
    if len(set(ids)) != len(ids):
        raise AdapterInputError(f"two documents share an id: {ids!r}", hint="Give every document its own id.")
    return tuple(documents)


def suffix(
    renderer: ChatRenderer,
    shape: PromptShape,
    messages: Sequence[Message],
    inputs: Mapping[str, Any],
    about: str | None = None,
) -> list[int]:
    """Token ids from the invocation to the point where the adapter writes. `about`: the part of the last turn that is
    to be answered, re-read in its place."""
    ids = renderer.tokens(shape.invocation)
    for field in shape.fields:
        value = inputs.get(field)
        text = value if isinstance(value, str) else compact_json(value)
        ids += renderer.text(f"{text}\n")
    ids += _reread(renderer, shape, messages, about)
    ids += _evidence(renderer, shape, messages, inputs)
    return ids + renderer.tokens(renderer.turn_end + renderer.generation_prompt)


def _reread(renderer: ChatRenderer, shape: PromptShape, messages: Sequence[Message], about: str | None) -> list[int]:
    """The turn that matters most, once more, so that the adapter encodes it itself. Cut in the middle when long."""
    if shape.reread == "none":
        return []
    turns = [m for m in messages if shape.reread == "last" or m.role == "user"]
    ids = renderer.text(about or turns[-1].content) if turns else []
    if len(ids) > shape.reread_tokens:
        half = shape.reread_tokens // 2
        ids = ids[:half] + ids[len(ids) - (shape.reread_tokens - half) :]
    return ids


def _evidence(
    renderer: ChatRenderer, shape: PromptShape, messages: Sequence[Message], inputs: Mapping[str, Any]
) -> list[int]:
    """Below the question the sentences of the documents that hold most of its words, each line under its document's
    id, so that the adapter itself reads them and knows by then what is asked."""
    if not shape.evidence_tokens:
        return []
    documents = read_documents(inputs.get("documents"))
    question = " ".join(message.content for message in messages if message.role == "user")
    chosen = best_sentences(
        question,
        [(document.title or "", document.text) for document in documents],
        renderer.size,
        shape.evidence_tokens,
    )
    lines = [f"[{d.id}] {' '.join(sentences)}" for d, sentences in zip(documents, chosen, strict=True) if sentences]
    return renderer.text("\n" + "\n".join(lines))[: 2 * shape.evidence_tokens] if lines else []
