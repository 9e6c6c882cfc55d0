"""Engines: where the base lives. `Engine.load` puts it into this process, `Engine.connect` uses one on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lora_agent.engine.protocol import EngineProtocol, Session

if TYPE_CHECKING:
    from lora_agent.engine.local.engine import LocalEngine
    from lora_agent.engine.remote.engine import RemoteEngine


class Engine:
    """The door to the engines; torch is imported when one is opened."""

    @staticmethod
    def load(base: Any = None, **options: Any) -> LocalEngine:
        """A base in this process; see lora_agent.engine.local.engine.LocalEngine.load for the options."""
        # Read once, when torch loads its OpenMP. Threads that spin at barriers make two engines on two cores 8 to
        # 20 times slower than one (docs/decisions/002); asleep, they share.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
        from lora_agent.engine.local.engine import LocalEngine

        return LocalEngine.load(base, **options)

    @staticmethod
    def connect(url: str, **options: Any) -> RemoteEngine:
        """vLLM servers; see lora_agent.engine.remote.engine.RemoteEngine.connect for the options."""
        from lora_agent.engine.remote.engine import RemoteEngine

        return RemoteEngine.connect(url, **options)


__all__ = ["Engine", "EngineProtocol", "Session"]
