"""Messages, tools and documents → token ids. The same code builds training rows and serves requests.

Works with any chat template: turn end and generation prompt are read off the template itself. Text from users,
tools and documents can never produce a special token. Knows nothing of engines or adapters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from lora_agent.errors import MessagesError
from lora_agent.render.tools import tools_block
from lora_agent.types import Document, Message, Tool, compact_json

_PROBE = "\u2063probe\u2063"  # invisible separators: no template contains this text


class ChatRenderer:
    """Renders for one tokenizer (a transformers fast tokenizer with a chat template)."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise MessagesError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no chat template",
                hint="Use an instruction-tuned base, or set `chat_template` in its tokenizer_config.json.",
            )
        self.tokenizer = tokenizer
        specials = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
        self._specials = sorted(specials, key=len, reverse=True)

    def tokens(self, text: str) -> list[int]:
        """Token ids of text that may hold special tokens (templates, invocations)."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def clean(self, text: str) -> str:
        """Text of others with every special token broken by a space, so that it is read as plain text."""
        for special in self._specials:
            if special in text:
                text = text.replace(special, special[0] + " " + special[1:])
        return text

    def text(self, text: str) -> list[int]:
        """Token ids of text of others."""
        return self.tokens(self.clean(text))

    def size(self, text: str) -> int:
        """Tokens of text of others."""
        return len(self.text(text))

    def context(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The conversation as the base reads it, tools listed at the end of the system turn."""
        return self.tokens(self._template(self._turns(messages, tools), generation=False))

    def text_start(self, ids: Sequence[int], messages: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
        """Where in `ids`, the context of these messages, the last one's text starts; the last token if it is empty."""
        blank = messages[-1].model_copy(update={"content": "", "tool_calls": ()})
        return min(common_length(ids, self.context([*messages[:-1], blank], tools)), len(ids) - 1)

    def documents(self, documents: Sequence[Document]) -> list[int]:
        """A turn that holds passages, appended after the conversation."""
        lines = []
        for document in documents:
            title = f" {document.title}:" if document.title else ""
            lines.append(f"[{document.id}]{title} {document.text}")
        return self.tokens(self.header("documents") + self.clean("\n".join(lines)) + self.turn_end)

    @cached_property
    def turn_end(self) -> str:
        """What the template writes after a turn's text, such as "<|im_end|>\\n"."""
        text = self._template([{"role": "user", "content": _PROBE}], generation=False)
        return text[text.index(_PROBE) + len(_PROBE) :]

    @cached_property
    def generation_prompt(self) -> str:
        """What the template writes to make the assistant speak."""
        turns = [{"role": "user", "content": _PROBE}]
        return self._template(turns, generation=True)[len(self._template(turns, generation=False)) :]

    def header(self, role: str) -> str:
        """The opening of a turn of a role that the template may not know, by analogy with the assistant's."""
        prompt = self.generation_prompt
        return prompt.replace("assistant", role) if "assistant" in prompt else f"{role}:\n"

    @cached_property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end a turn: the first token of `turn_end` and the tokenizer's own end token."""
        stops = [self.tokens(self.turn_end)[0]] if self.turn_end.strip() else []
        if self.tokenizer.eos_token_id is not None:
            stops.append(self.tokenizer.eos_token_id)
        return tuple(dict.fromkeys(stops))

    @cached_property
    def template_sha256(self) -> str:
        return hashlib.sha256(self.tokenizer.chat_template.encode()).hexdigest()

    @cached_property
    def tokenizer_sha256(self) -> str:
        """Digest of what turns text into ids: the tokenizer's own serialisation, keys sorted."""
        state = json.loads(self.tokenizer.backend_tokenizer.to_str())
        state.pop("padding", None)
        state.pop("truncation", None)
        return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()

    def _turns(self, messages: Sequence[Message], tools: Sequence[Tool]) -> list[dict[str, str]]:
        turns = [{"role": m.role, "content": self.clean(_content(m))} for m in messages]
        if tools:
            block = self.clean(tools_block(tools))
            if turns and turns[0]["role"] == "system":
                turns[0]["content"] += "\n" + block
            else:
                turns.insert(0, {"role": "system", "content": block})
        return turns

    def _template(self, turns: list[dict[str, str]], *, generation: bool) -> str:
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation)
        return str(text)


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common beginning."""
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return i
    return min(len(first), len(second))


def _content(message: Message) -> str:
    """A turn's text; tool calls are written as the `tool_call` adapter writes them."""
    if not message.tool_calls:
        return message.content
    calls = compact_json({"calls": [{"name": c.name, "arguments": c.arguments} for c in message.tool_calls]})
    return f"{message.content}\n{calls}" if message.content else calls
