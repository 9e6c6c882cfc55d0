"""Reads a file of cards: adapters that the router knows only by name, description and perhaps examples."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from lora_agent.cli.inputs import first_fault, read_text
from lora_agent.errors import ConfigError
from lora_agent.types import Boundary


class Card(Boundary):
    """What the router reads of an adapter. `examples` are requests that it should get."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    examples: tuple[str, ...] = ()


_CARDS = TypeAdapter(list[Card])
_HINT = "A cards file is a YAML list of {name, description, examples?}, with at least two different names."


def read_cards(path: Path) -> list[Card]:
    """The cards of a YAML file. Raises ConfigError."""
    try:
        value = yaml.safe_load(read_text(path))
    except yaml.YAMLError as fault:
        raise ConfigError(f"{str(path)!r} is not YAML: {fault}", hint=_HINT) from fault
    try:
        cards = _CARDS.validate_python(value)
    except ValidationError as fault:
        raise ConfigError(f"{str(path)!r} is no list of cards: {first_fault(fault)}", hint=_HINT) from fault
    names = [card.name for card in cards]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or len(cards) < 2:
        raise ConfigError(f"{str(path)!r} has the names {names}, repeated: {twice}", hint=_HINT)
    return cards
