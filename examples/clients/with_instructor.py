"""instructor: a pydantic object out of a chat, through the server's strict JSON schema."""

import os

import instructor
from openai import OpenAI
from pydantic import BaseModel, Field


class City(BaseModel):
    name: str = Field(max_length=40)
    country: str = Field(max_length=40)


client = instructor.from_openai(
    OpenAI(
        base_url=os.environ.get("LORA_AGENT_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("LORA_AGENT_API_KEY", "none"),
    ),
    mode=instructor.Mode.JSON_SCHEMA,
)
city = client.chat.completions.create(
    model="base", response_model=City, messages=[{"role": "user", "content": "Name a city and its country."}]
)
print("object:", repr(city))
