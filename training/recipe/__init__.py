"""A recipe: what one adapter is built from. YAML, frozen, unknown keys refused; each default has its reason here.

`whole.py` has the recipe and its small parts; `data.py`, `fit.py` and `learning.py` the large ones; `read.py` reads it.
"""

from .data import DataFiles, Generator, GitFile, HubData, Source
from .fit import Fit, Sweep, Variant
from .learning import Budget, Learning, Teacher
from .read import read_recipe
from .whole import Compose, Gate, Prompt, Recipe, Score

__all__ = [
    "Budget",
    "Compose",
    "DataFiles",
    "Fit",
    "Gate",
    "Generator",
    "GitFile",
    "HubData",
    "Learning",
    "Prompt",
    "Recipe",
    "Score",
    "Source",
    "Sweep",
    "Teacher",
    "Variant",
    "read_recipe",
]
