"""smolagents: its model class as a client of one adapter, with a tool described by smolagents itself."""

import json
import os

from smolagents import ChatMessage, OpenAIModel, Tool


class GetWeather(Tool):
    name = "get_weather"
    description = "Current weather of a city."
    inputs = {"city": {"type": "string", "description": "Name of the city."}}  # noqa: RUF012 (smolagents reads it)
    output_type = "string"

    def forward(self, city: str) -> str:
        return f"29 degrees in {city}"


model = OpenAIModel(
    model_id="tool_call",
    api_base=os.environ.get("LORA_AGENT_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("LORA_AGENT_API_KEY", "none"),
)
weather = GetWeather()
asked = [ChatMessage(role="user", content=[{"type": "text", "text": "What is the weather in Lagos?"}])]
answer = model.generate(asked, tools_to_call_from=[weather])
for call in answer.tool_calls or []:
    arguments = call.function.arguments
    given = arguments if isinstance(arguments, dict) else json.loads(arguments)
    print("tool:", call.function.name, given, "->", weather(**given))
