"""Messages, tools and documents → token ids: one renderer for training and serving."""

from lora_agent.render.chat import ChatRenderer, common_length
from lora_agent.render.prompt import input_messages, read_documents, read_messages, read_tools, suffix

__all__ = ["ChatRenderer", "common_length", "input_messages", "read_documents", "read_messages", "read_tools", "suffix"]
