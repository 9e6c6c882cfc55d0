"""The openai SDK: a chat, a stream, strict JSON, a tool call."""

import json
import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("LORA_AGENT_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("LORA_AGENT_API_KEY", "none"),
)

chat = client.chat.completions.create(
    model="base", messages=[{"role": "user", "content": "Name a city in Italy."}], max_completion_tokens=24
)
print("chat:", chat.choices[0].message.content)

print("stream:", end=" ")
for chunk in client.chat.completions.create(
    model="base",
    messages=[{"role": "user", "content": "Count to three."}],
    max_completion_tokens=24,
    stream=True,
):
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
print()

schema = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
strict = client.chat.completions.create(
    model="base",
    messages=[{"role": "user", "content": "Name a city, and say whether it is warm there."}],
    response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
)
print("json:", json.loads(strict.choices[0].message.content or ""))

weather = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
called = client.chat.completions.create(
    model="tool_call", messages=[{"role": "user", "content": "What is the weather in Lagos?"}], tools=[weather]
)
for call in called.choices[0].message.tool_calls or []:
    print("tool:", call.function.name, call.function.arguments)
