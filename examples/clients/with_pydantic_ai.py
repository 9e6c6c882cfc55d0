"""pydantic-ai: an agent whose answer is a pydantic object, decoded under its schema by the server."""

import os

from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class City(BaseModel):
    name: str = Field(max_length=40)
    country: str = Field(max_length=40)


provider = OpenAIProvider(
    base_url=os.environ.get("LORA_AGENT_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("LORA_AGENT_API_KEY", "none"),
)
agent = Agent(OpenAIChatModel("base", provider=provider), output_type=NativeOutput(City))
print("object:", repr(agent.run_sync("Name a city and its country.").output))
