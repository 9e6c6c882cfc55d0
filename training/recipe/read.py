"""A YAML file → Recipe, or what is wrong with it and where."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from lora_agent.errors import ConfigError

from .whole import Recipe


def read_recipe(path: Path) -> Recipe:
    """Raises ConfigError with the place of the mistake and, for an unknown key, the nearest known one."""
    try:
        raw: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the recipe {str(path)!r}: {error.strerror}", hint="Check the path.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{str(path)!r} is not YAML: {error}", hint="Mend the line named above.") from error
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        first, *others = error.errors()
        if first["loc"][-1:] == ("str",):  # not a name, so a source: its own fault says what is wrong
            own = [e for e in others if e["loc"][:2] == first["loc"][:2]]
            first = next((e for e in own if e["type"] == "extra_forbidden"), own[0] if own else first)
        where = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        raise ConfigError(f"{path.name}: {where}: {first['msg']}", hint=_suggest(first)) from error


def _suggest(problem: Any) -> str:
    if problem["type"] != "extra_forbidden":
        return "See training/recipe/ for every key with its default and the reason for it."
    model: Any = Recipe
    for part in problem["loc"][:-1]:
        if part in model.model_fields:  # else the name of a union's member
            annotation = model.model_fields[part].annotation
            model = next((a for a in get_args(annotation) if hasattr(a, "model_fields")), annotation)
    near = difflib.get_close_matches(str(problem["loc"][-1]), model.model_fields, 1)
    return f"Did you mean `{near[0]}`?" if near else f"Known keys: {', '.join(model.model_fields)}."
