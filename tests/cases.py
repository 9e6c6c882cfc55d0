"""Requests that several tests make of the shipped adapters."""

from __future__ import annotations

from typing import Any

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
DOCUMENTS = [
    {"id": "a", "text": "The library opens at nine and closes at six on working days."},
    {"id": "b", "text": "A membership card costs twelve euros a year."},
]
