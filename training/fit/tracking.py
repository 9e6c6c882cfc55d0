"""The trackers that `fit.report_to` names (wandb, trackio, tensorboard ...), through the classes of accelerate.

They are told what `metrics.jsonl` is told, and change nothing of what is trained. Without `report_to` nothing is
imported and nothing is sent anywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError

from ..recipe import Recipe

FOLDER = "tracking"
"""Of a run, for trackers that write files."""


class Trackers:
    """Those of one run; by default none."""

    def __init__(self, started: Sequence[Any] = ()) -> None:
        self._started = started

    def log(self, line: dict[str, Any]) -> None:
        """A line of metrics.jsonl."""
        values = {name: value for name, value in line.items() if name != "step"}
        for tracker in self._started:
            tracker.log(values, step=line["step"])


def check(names: Sequence[str]) -> None:
    """Raises ConfigError for a tracker that accelerate does not know, or that is not installed."""
    if not names:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            near = difflib.get_close_matches(name, LOGGER_TYPE_TO_CLASS, 1)
            known = f"Use one of {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}, or leave it out."
            hint = f"Did you mean {near[0]!r}? Install it with `pip install {near[0]}`." if near else known
            raise ConfigError(f"fit.report_to: there is no tracker {name!r}", hint=hint)
        if name in LoggerType.list() and name not in map(str, get_available_trackers()):
            hint = f"Install it with `pip install {name}`, or leave it out."
            raise ConfigError(f"fit.report_to: the tracker {name!r} is not installed", hint=hint)


@contextmanager
def tracked(recipe: Recipe, folder: Path) -> Iterator[Trackers]:
    """The recipe's trackers, started with its settings and finished at the end, however that comes."""
    if not recipe.fit.report_to:
        yield Trackers()
        return
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # accelerate's classes log through it
    settings = {"learning": recipe.learning.method, **recipe.fit.model_dump(mode="json", exclude_none=True)}
    started: list[Any] = []
    try:
        for name in dict.fromkeys(recipe.fit.report_to):
            made = LOGGER_TYPE_TO_CLASS[name]
            tracker = made(recipe.name, *([str(folder / FOLDER)] if made.requires_logging_directory else []))
            tracker.start()
            started.append(tracker)
            tracker.store_init_configuration(settings)
        yield Trackers(started)
    finally:
        for tracker in started:
            tracker.finish()
