"""Names the packages; everything else about the distribution is in pyproject.toml.

They come from four folders: `lora_agent/`, `training/` and `benchmarks/` (installed as `lora_agent.training` and
`lora_agent.benchmarks`: such top-level names would be bad manners) and `adapters/` (data only, `lora_agent._adapters`).
"""

import platform
import sys

from setuptools import Extension, find_packages, setup

BESIDE = ["training", "training.*", "benchmarks", "benchmarks.*"]
beside = [f"lora_agent.{name}" for name in find_packages(include=BESIDE)]

# The compiled forward pass is optional: without a C compiler the engine runs the same base through transformers.
NATIVE = Extension(
    "lora_agent.engine.local.native._forward",
    sources=["lora_agent/engine/local/native/forward.c"],
    extra_compile_args=["-O3", "-mavx2", "-mfma", "-std=gnu11", "-pthread", "-fvisibility=hidden"],
    extra_link_args=["-pthread"],
    libraries=["m"],
    optional=True,
)
x86_linux = sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")
setup(
    packages=[*find_packages(include=["lora_agent", "lora_agent.*"]), *beside, "lora_agent._adapters"],
    ext_modules=[NATIVE] if x86_linux else [],
)
