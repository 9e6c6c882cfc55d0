"""Shows an agent's steps to a person: one or two lines each, as they happen. Programs read --json instead.

Control characters in model, tool or document text are shown as escapes: no text can drive the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lora_agent.types import AgentResult, Step, Usage, compact_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

BAR_WIDTH = 8
_CLIP = 600
"""Characters of one step's output; --json and the trace hold all of it."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STYLE = {
    "guard": "magenta",
    "route": "cyan",
    "adapter": "green",
    "tool": "yellow",
    "retrieve": "blue",
    "answer": "bold",
}


def terminal() -> Console:
    """A console on stdout; without colours where stdout is no terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def bar(probability: float) -> str:
    """0.5 → `████░░░░`."""
    full = round(min(max(probability, 0.0), 1.0) * BAR_WIDTH)
    return "█" * full + "░" * (BAR_WIDTH - full)


def bars(probabilities: Mapping[str, float], most: int | None = None) -> list[str]:
    """One bar per name, the likeliest first."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:most]
    width = max((len(name) for name, _ in ranked), default=0)
    return [f"{name:<{width}} {bar(p)} {p:.2f}" for name, p in ranked]


def plain(text: str) -> str:
    """Text without control characters other than tab and line feed."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def step_text(step: Step) -> Text:
    """A step as its number, kind, who did it and what came out; then time, tokens and verdict."""
    from rich.text import Text

    text = Text(f"{step.index:>2}  ")
    text.append(f"{step.kind:<9}", style=_STYLE.get(step.kind, ""))
    text.append(f"{step.adapter or '-':<15} ", style="bold")
    text.append(plain(_body(step)))
    if step.error:
        text.append(f"\n{'':13}{plain(step.error)}", style="red")
    text.append(f"\n{'':13}{_facts(step)}", style="dim")
    return text


def result_text(result: AgentResult) -> Text:
    """The answer, what it cites, and how the run ended."""
    from rich.text import Text

    text = Text("\n" + plain(result.output).strip() + "\n", style="bold")
    if result.citations:
        text.append(f"  sources: {', '.join(plain(source) for source in result.citations)}\n")
    facts = f"  {result.stop_reason} · {len(result.steps)} steps · {result.ms:,.0f} ms · {_tokens(result.usage)}"
    text.append(facts, style="dim")
    return text


def _body(step: Step) -> str:
    if step.route is not None:
        chosen = f"{step.route.adapter} (abstained)" if step.route.abstained else step.route.adapter
        return "  ".join([f"→ {chosen}", *bars(step.route.probabilities, most=4)])
    if step.kind == "retrieve":
        return _passages(step.output)
    shown = step.output if isinstance(step.output, str) else compact_json(_jsonable(step.output))
    return shown if len(shown) <= _CLIP else f"{shown[:_CLIP]}… ({len(shown):,} characters)"


def _passages(found: Any) -> str:
    if not isinstance(found, list | tuple):
        return str(found)
    ids = [str(item.get("id") if isinstance(item, Mapping) else getattr(item, "id", item)) for item in found]
    return f"{len(ids)} passages: {', '.join(ids)}" if ids else "no passage matches"


def _facts(step: Step) -> str:
    parts = [f"{step.ms:,.0f} ms"]
    if step.verdict is not None:
        parts.append(step.verdict)
    if step.score is not None:
        parts.append(f"score {step.score:.2f}")
    if step.confidence is not None:
        parts.append(f"confidence {step.confidence:.2f}")
    if step.usage != Usage():
        parts.append(_tokens(step.usage))
    return " · ".join(parts)


def _tokens(usage: Usage) -> str:
    read = f"tokens: {usage.read} read, {usage.reused} reused"
    return f"{read}, {usage.generated} generated, {usage.forced} forced"


def _jsonable(value: Any) -> Any:
    """Pydantic values inside a step's output, as JSON."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    return value
