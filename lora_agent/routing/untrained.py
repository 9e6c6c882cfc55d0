"""A base that no head was trained for: features are standardised on a few sentences of ours, all else is prototypes."""

from __future__ import annotations

from typing import Any

import torch

from lora_agent.routing.head import BASE, Head

SENTENCES = (
    "Hello, how are you?",
    "What is the weather in Lagos tomorrow?",
    "How long does the warranty last?",
    "Tell me a joke.",
    "Book a table for two at eight.",
    "And how much is the second one?",
    "Is this message okay to publish?",
    "Write a short poem about rain.",
    "Who wrote the report on energy use?",
    "Convert twenty dollars to euros.",
    "Thanks, that was helpful.",
    "Where do I find the settings for the alarm?",
)


def untrained_head(engine: Any) -> Head:
    """Prototype settings of the embedded base: a starting point until `python -m training.router` has run."""
    rows = torch.stack([engine.session(text).features for text in SENTENCES])
    mean, scale = rows.mean(0), rows.std(0).clamp(min=1e-3)
    return Head(
        classes=(BASE,),
        mean=mean,
        scale=scale,
        weight=torch.zeros(1, rows.shape[1]),
        bias=torch.zeros(1),
        temperature=1.0,
        threshold=0.4,
        prototype_scale=12.0,
        prototype_offset=0.25,
        report={"trained": False},
    )
