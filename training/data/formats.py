"""Lines of a user's file → rows. Knows the shapes in which people keep training data; nothing of any adapter.

| shape | recognised by | input | output |
|---|---|---|---|
| row | `input`, `output` | as given; `about`, a part of the last turn, is what to answer of it | as given |
| conversation | `messages` | the turns before the last, `tools`, other keys | the last turn's JSON or `tool_calls` |
| prompt and completion | `prompt`, `completion` | one user turn, or the list of turns | the completion's JSON |
| ShareGPT | `conversations` | `from`/`value` turns before the last | the last turn's JSON |
| Alpaca | `instruction`, `output` | instruction and `input` as one user turn | the output's JSON |
| preference | `chosen`, `rejected` beside `prompt`, `messages` or `input` | as above | the chosen answer's JSON |
| labelled | `completion`, `label` | as above | the completion's JSON; with `label: false` it is one to avoid |

Where tool calls are asked for, an answer in plain text is one that calls nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError
from lora_agent.types import compact_json

from .rows import Row, open_text

_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}
_OTHER = ("group", "source", "split", "id", "label", "rejected", "desirable")
"""Keys of a line that say something about the row and are no part of the adapter's input."""


class LineProblem(ValueError):
    """Why a line is no row; the text goes into the report."""


UNANSWERED: Any = {}
"""The output of a row that only asks, by identity."""

NO_CALL: Any = {"calls": []}
"""The output of a row that answers in plain text where tool calls are asked for, by identity."""


def read_lines(
    path: Path, *, unanswered: bool = False, tool_calls: bool = False
) -> Iterator[tuple[int, Row | LineProblem]]:
    """(line number from 1, row or what is wrong with it); blank lines are passed over. With `unanswered` a line may
    lack its target: its row's output is then UNANSWERED. With `tool_calls` a target in plain text is NO_CALL. Raises
    ConfigError for a file that cannot be read at all."""
    target = _calls if tool_calls else _json
    if not path.is_file():
        raise ConfigError(
            f"no data file {str(path)!r}", hint="Check `data` in the recipe and --data, or build the data set first."
        )
    try:
        with open_text(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _line(line, f"{path.name}:{number}", unanswered, target)
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise ConfigError(
            f"cannot read {str(path)!r}: {error}", hint="Give JSON Lines in UTF-8, or .gz of it."
        ) from error


def _line(line: str, where: str, unanswered: bool, target: Callable[[Any], Any]) -> Row | LineProblem:
    try:
        value = json.loads(line)
    except ValueError as error:
        return LineProblem(f"not JSON: {error}")
    if not isinstance(value, dict):
        return LineProblem(f"a {type(value).__name__}, not an object")
    try:
        value, rejected = _preference(value, target)
        asked = _asked(value) if unanswered and rejected is None else None
        undesirable = value.get("label") is False
        inputs, output = (asked, UNANSWERED) if asked is not None else _read(value, _text if undesirable else target)
    except LineProblem as problem:
        return problem
    group, source = str(value.get("group", where)), str(value.get("source", "file"))
    if undesirable:
        return Row(inputs, {}, source, group, rejected=output, desirable=False)
    about = value.get("about") if isinstance(value.get("input"), dict) else None  # elsewhere it is part of the input
    if about is not None and not isinstance(about, str):
        return LineProblem(f"about is a {type(about).__name__}, not the text of a part")
    return Row(inputs, output, source, group, rejected=rejected, about=about)


def _preference(value: dict[str, Any], target: Callable[[Any], Any]) -> tuple[dict[str, Any], str | None]:
    """The line as one with the chosen answer only, and the rejected one."""
    if "rejected" not in value:
        return value, None
    if "chosen" not in value:  # its target is where the shape has it
        return value, _text(_last(value["rejected"]))
    rest = {k: v for k, v in value.items() if k not in ("chosen", "rejected")}
    chosen = _last(value["chosen"])
    if "messages" in rest:
        turns = _listed(rest.pop("messages"), "messages")
        return {**rest, "prompt": turns, "completion": chosen}, _text(_last(value["rejected"]))
    if isinstance(rest.get("input"), dict):
        return {**rest, "output": target(chosen)}, _text(_last(value["rejected"]))
    return {**rest, "completion": chosen}, _text(_last(value["rejected"]))


def _last(answer: Any) -> Any:
    """An answer, or that of the last turn of a list of turns."""
    return _said(answer[-1]) if isinstance(answer, list) and answer and isinstance(answer[-1], dict) else answer


def _said(turn: dict[str, Any]) -> Any:
    """What the assistant's turn says: its text, or its tool calls as the value {"calls": [...]}."""
    calls = turn.get("tool_calls")
    if isinstance(calls, list) and (calls or not turn.get("content")):
        return {"calls": [_call(call) for call in calls]}
    return turn.get("content")


def _call(call: Any) -> dict[str, Any]:
    """A call of the OpenAI API, where the arguments are JSON in a string, or one in which they are an object."""
    inner = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise LineProblem(f"a tool call has no function name: {call!r:.60}")
    arguments = inner.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError as error:
            raise LineProblem(
                f"the arguments of {inner['name']!r} are not JSON ({error}): {arguments[:60]!r}"
            ) from error
    if not isinstance(arguments, dict):
        raise LineProblem(f"the arguments of {inner['name']!r} are no object: {arguments!r:.60}")
    return {"name": inner["name"], "arguments": arguments}


def _text(answer: Any) -> Any:
    return answer if isinstance(answer, str) else compact_json(answer)


def _asked(value: dict[str, Any]) -> dict[str, Any] | None:
    """The input of a line that has no target; None if it has one (or is of no known shape)."""
    if isinstance(value.get("input"), dict):
        return None if "output" in value else dict(value["input"])
    for name in ("messages", "conversations"):
        if name in value:
            turns = _listed(value[name], name)
            last = turns[-1] if turns and isinstance(turns[-1], dict) else {}
            if (last.get("role") or last.get("from")) in ("assistant", "gpt"):
                return None
            if name == "conversations":
                turns = [{"role": _role(t), "content": t.get("value")} for t in turns if isinstance(t, dict)]
            return {"messages": turns, **_rest(value, name)}
    if "prompt" in value and "completion" not in value:
        return {"messages": _turns(value["prompt"]), **_rest(value, "prompt")}
    if "instruction" in value and "output" not in value:
        return {"messages": _instructed(value), **_rest(value, "instruction", "input")}
    return None


def _turns(prompt: Any) -> list[Any]:
    return prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]


def _instructed(value: dict[str, Any]) -> list[Any]:
    return _turns("\n".join(str(value[k]) for k in ("instruction", "input") if value.get(k)))


def _read(value: dict[str, Any], target: Callable[[Any], Any]) -> tuple[dict[str, Any], Any]:
    """(input, `target` of the answer)."""
    if "input" in value and "output" in value and isinstance(value["input"], dict):
        return value["input"], value["output"]
    if "messages" in value:
        return _conversation(value["messages"], _rest(value, "messages"), target)
    if "conversations" in value:
        turns = _listed(value["conversations"], "conversations")
        messages = [{"role": _role(t), "content": t.get("value")} for t in turns if isinstance(t, dict)]
        return _conversation(messages, _rest(value, "conversations"), target)
    if "prompt" in value and "completion" in value:
        messages = _turns(value["prompt"])
        answer = target(_last(value["completion"]))
        return {"messages": messages, **_rest(value, "prompt", "completion")}, answer
    if "instruction" in value and "output" in value:
        rest = _rest(value, "instruction", "input", "output")
        return {"messages": _instructed(value), **rest}, target(value["output"])
    raise LineProblem(f"none of the known shapes: it has the keys {', '.join(sorted(value)) or 'none'}")


def _conversation(turns: Any, rest: dict[str, Any], target: Callable[[Any], Any]) -> tuple[dict[str, Any], Any]:
    messages = _listed(turns, "messages")
    if len(messages) < 2:
        raise LineProblem("a conversation needs a question and the assistant's answer")
    *asked, answer = messages
    if not isinstance(answer, dict) or answer.get("role") != "assistant":
        raise LineProblem("the last turn is not the assistant's")
    return {"messages": asked, **rest}, target(_said(answer))


def _listed(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise LineProblem(f"{name} is a {type(value).__name__}, not a list")
    return value


def _role(turn: dict[str, Any]) -> str:
    role = _ROLES.get(str(turn.get("from")))
    if role is None:
        raise LineProblem(f"a turn is from {turn.get('from')!r}, which is none of {', '.join(_ROLES)}")
    return role


def _rest(value: dict[str, Any], *read: str) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k not in read and k not in _OTHER}


def _json(text: Any) -> Any:
    """A target: JSON text, or the value itself."""
    if not isinstance(text, str):
        if text is None:
            raise LineProblem("the answer is empty")
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise LineProblem(f"the answer is not JSON ({error}): {text[:60]!r}") from error


def _calls(text: Any) -> Any:
    """A target where tool calls are asked for: plain text, which calls nothing, or JSON as above."""
    plain = isinstance(text, str) and text.strip() and not text.lstrip().startswith(("[", "{"))
    return NO_CALL if plain else _json(text)
