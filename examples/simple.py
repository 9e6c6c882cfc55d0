"""The smallest agent: one function, one request. Run it with: python examples/simple.py"""

from __future__ import annotations

from typing import Literal

from lora_agent import Agent, Engine, tool


@tool
def get_weather(city: str, unit: Literal["c", "f"] = "c") -> dict[str, object]:
    """Current weather of a city."""
    celsius = {"Lagos": 29, "Oslo": 4}[city]
    return {"city": city, "temperature": celsius if unit == "c" else celsius * 9 / 5 + 32, "unit": unit}


def main() -> None:
    engine = Engine.load()  # the embedded base, quantized, with the shipped adapters
    agent = Agent(engine, tools=[get_weather])
    result = agent.run("What is the weather in Lagos?")
    for step in result.steps:
        print(step.kind, step.adapter, step.output)
    print(result.output)
    print(result.stop_reason)


if __name__ == "__main__":
    main()
