"""Where a recipe's rows come from: a file here, a data set on the Hub, a file of a git repository, a generator.

`local_file` brings any of them to this machine once, into the cache, under a name that says exactly which bytes it is.
"""

from __future__ import annotations

from pathlib import Path

from ...recipe import Source


def local_file(source: str | Source, data: Path, recipe_folder: Path) -> Path:
    """The file with the rows; `data` is the folder of plain names. Raises ConfigError if it cannot be had (offline, no
    such revision, a generator that fails); a plain name is not looked at."""
    if isinstance(source, str):
        return data / source
    if source.hub is not None:
        from .hub import fetch_hub

        return fetch_hub(source.hub)
    if source.git is not None:
        from .git import fetch_git

        return fetch_git(source.git)
    assert source.python is not None  # the recipe has made sure
    from .generator import run_generator

    return run_generator(source.python, recipe_folder)
