"""Names the packages; everything else about the distribution is in pyproject.toml.

They come from three folders: `lora_agent/`, `training/` (installed as `lora_agent.training`: a top-level name
"training" would be bad manners) and `adapters/` (data only, installed as `lora_agent._adapters`).
"""

from setuptools import find_packages, setup

training = [f"lora_agent.{name}" for name in find_packages(include=["training", "training.*"])]
setup(packages=[*find_packages(include=["lora_agent", "lora_agent.*"]), *training, "lora_agent._adapters"])
