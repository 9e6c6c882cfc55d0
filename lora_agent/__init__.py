"""One quantized base model in memory, every skill a LoRA adapter on it, every adapter a typed tool.

The names below are the public ones; any other may change. They are looked up on first use, so that
`import lora_agent` costs milliseconds and never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_agent.agent import Agent as Agent
    from lora_agent.agent import Policy as Policy
    from lora_agent.agent import Retriever as Retriever
    from lora_agent.agent import tool as tool
    from lora_agent.engine import Engine as Engine
    from lora_agent.errors import LoraAgentError as LoraAgentError
    from lora_agent.types import AgentResult as AgentResult
    from lora_agent.types import Document as Document
    from lora_agent.types import Message as Message
    from lora_agent.types import Result as Result
    from lora_agent.types import Route as Route
    from lora_agent.types import Step as Step
    from lora_agent.types import Tool as Tool
    from lora_agent.types import ToolCall as ToolCall
    from lora_agent.types import Usage as Usage

__version__ = "0.1.0"

_HOME = {
    "Agent": "lora_agent.agent",
    "AgentResult": "lora_agent.types",
    "Document": "lora_agent.types",
    "Engine": "lora_agent.engine",
    "LoraAgentError": "lora_agent.errors",
    "Message": "lora_agent.types",
    "Policy": "lora_agent.agent",
    "Result": "lora_agent.types",
    "Retriever": "lora_agent.agent",
    "Route": "lora_agent.types",
    "Step": "lora_agent.types",
    "Tool": "lora_agent.types",
    "ToolCall": "lora_agent.types",
    "Usage": "lora_agent.types",
    "tool": "lora_agent.agent",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lora_agent' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
