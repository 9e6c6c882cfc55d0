"""The step loop over one engine: policy, tools, documents, guards, trace. Knows no particular engine."""

from lora_agent.agent.loop import Agent, AgentRun
from lora_agent.agent.policy import Policy
from lora_agent.agent.retrieval import Fts5Retriever, Retriever
from lora_agent.agent.tools import FunctionTool, ToolOutcome, ToolSet, load_tools, tool
from lora_agent.agent.trace import Trace, read_trace

__all__ = [
    "Agent",
    "AgentRun",
    "Fts5Retriever",
    "FunctionTool",
    "Policy",
    "Retriever",
    "ToolOutcome",
    "ToolSet",
    "Trace",
    "load_tools",
    "read_trace",
    "tool",
]
