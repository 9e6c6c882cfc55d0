"""Build adapters: data, recipe, fit, validation, gate, package. Imports lora_agent, never the reverse."""

import os

# Before torch loads its OpenMP: threads asleep at barriers, not spinning (docs/decisions/002).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
