"""What the base has heard: log-likelihoods of texts after system turns, as the engine gives them, kept on disk."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lora_agent.registry import LooseLora

SAVE_S = 60.0


class Hearing:
    """Called as `LocalEngine.log_likelihoods`; only what is not in `path` is computed."""

    def __init__(self, path: Path, base_sha256: str, weights: LooseLora | None = None) -> None:
        self._path, self._weights = path, weights
        self._by = base_sha256 if weights is None else weights.digest
        self._known: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
        self._saved = time.monotonic()

    def __call__(self, told: Sequence[str], text: str) -> list[float]:
        keys = [hashlib.sha256(json.dumps([self._by, one, text]).encode()).hexdigest()[:32] for one in told]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            found = self._engine.log_likelihoods([told[i] for i in new], text, self._weights)
            self._known |= {keys[i]: round(value, 4) for i, value in zip(new, found, strict=True)}
            if time.monotonic() - self._saved > SAVE_S:
                self.save()
        return [self._known[key] for key in keys]

    def save(self) -> None:
        print(f"heard: {len(self._known)} texts", file=sys.stderr)
        whole = self._path.with_suffix(".tmp")
        whole.write_text(json.dumps(self._known))
        whole.replace(self._path)
        self._saved = time.monotonic()

    @cached_property
    def _engine(self) -> Any:
        from lora_agent import Engine

        return Engine.load()
