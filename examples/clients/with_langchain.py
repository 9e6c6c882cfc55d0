"""langchain-openai: a bound tool, a structured answer and a stream."""

import os

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

url = os.environ.get("LORA_AGENT_URL", "http://127.0.0.1:8000/v1")
key = os.environ.get("LORA_AGENT_API_KEY", "none")


@tool
def get_weather(city: str) -> str:
    """Current weather of a city."""
    return f"29 degrees in {city}"


class City(BaseModel):
    name: str = Field(max_length=40)
    country: str = Field(max_length=40)


caller = ChatOpenAI(model="tool_call", base_url=url, api_key=key).bind_tools([get_weather])
for call in caller.invoke("What is the weather in Lagos?").tool_calls:
    print("tool:", call["name"], call["args"], "->", get_weather.invoke(call["args"]))

base = ChatOpenAI(model="base", base_url=url, api_key=key, max_completion_tokens=64)
structured = base.with_structured_output(City, method="json_schema", strict=True)
print("object:", repr(structured.invoke("Name a city and its country.")))
print("stream:", "".join(str(chunk.content) for chunk in base.stream("Count to three.")))
