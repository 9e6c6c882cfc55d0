"""Engines: where the base lives. `Engine.load` puts it into this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_agent.engine.protocol import EngineProtocol, Session

if TYPE_CHECKING:
    from lora_agent.engine.local.engine import LocalEngine


class Engine:
    """The door to the engines; torch is imported when one is opened."""

    @staticmethod
    def load(base: Any = None, **options: Any) -> LocalEngine:
        """A base in this process; see lora_agent.engine.local.engine.LocalEngine.load for the options."""
        from lora_agent.engine.local.engine import LocalEngine

        return LocalEngine.load(base, **options)


__all__ = ["Engine", "EngineProtocol", "Session"]
