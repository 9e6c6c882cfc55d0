"""The tools of one agent: functions with distinct names, and the user's file that they may come from.

Runs a call by name and answers with a `ToolOutcome`, also for a name that does not exist. Knows nothing of
the loop, of guards or of models.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from lora_agent.agent.function_tool import FunctionTool, ToolOutcome, tool
from lora_agent.errors import ToolError, ToolNameClashError
from lora_agent.types import Tool, ToolCall

ToolLike = FunctionTool[..., Any] | Callable[..., Any]


class ToolSet(Mapping[str, FunctionTool[..., Any]]):
    """Tools by name, in the order given. Plain functions are accepted and become tools."""

    def __init__(self, tools: Iterable[ToolLike] = ()) -> None:
        if isinstance(tools, Mapping):
            tools = tools.values()
        elif not isinstance(tools, Iterable):
            raise ToolError(f"tools is {tools!r}", hint="Give a list: tools=[get_weather].")
        self._tools: dict[str, FunctionTool[..., Any]] = {}
        for item in tools:
            made = item if isinstance(item, FunctionTool) else FunctionTool(item)
            if made.name in self._tools:
                raise ToolNameClashError(
                    f"two tools are called {made.name!r}", hint='Rename one: @tool(name="another_name").'
                )
            self._tools[made.name] = made

    def __getitem__(self, name: str) -> FunctionTool[..., Any]:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def specs(self) -> tuple[Tool, ...]:
        """What the model is shown."""
        return tuple(item.spec for item in self._tools.values())

    def run(
        self, call: ToolCall, *, timeout_s: float | None = None, cancel: Callable[[], bool] | None = None
    ) -> ToolOutcome:
        """Run one call, no longer than the tool's own limit and `timeout_s`."""
        if call.name not in self._tools:
            return ToolOutcome.failed(f"no tool is called {call.name!r}; there are: {', '.join(self._tools) or 'none'}")
        return self._tools[call.name].run(call.arguments, timeout_s=timeout_s, cancel=cancel)


def load_tools(path: str | Path) -> ToolSet:
    """The tools of a Python file: those marked with @tool, or else its public functions with a docstring.

    The file is imported, so its code runs. Raises ToolError with the file's line.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ToolError(f"there is no file {str(path)!r}", hint="Give a Python file that defines functions.")
    module = _import(file)
    values = list(vars(module).values())
    marked = list(dict.fromkeys(value for value in values if isinstance(value, FunctionTool)))
    if marked:
        return ToolSet(marked)
    public = [
        value
        for value in values
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
        and value.__doc__
    ]
    if not public:
        raise ToolError(
            f"{str(path)!r} holds no tools",
            hint="Mark a function with @tool (from lora_agent import tool), or give one a docstring.",
        )
    return ToolSet(public)


def _import(file: Path) -> ModuleType:
    file = file.resolve()
    name = "lora_agent_tools_" + hashlib.sha256(str(file).encode()).hexdigest()[:12]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ToolError(f"{str(file)!r} is not a Python file", hint="Its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their own module up here
    sys.path.append(str(file.parent))  # so that the file can import its neighbours, as when it is run
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        if isinstance(error, ToolError):  # a signature that cannot be a tool: says all itself
            raise
        raise ToolError(
            f"{file}, line {_line(error, file)}: {type(error).__name__}: {error}",
            hint=f"Run it to see the whole error: python {file}",
        ) from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def _line(error: BaseException, file: Path) -> int | str:
    """The last line of the user's own file that was involved."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or "?"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return lines[-1] or "?" if lines else "?"


__all__ = ["FunctionTool", "ToolLike", "ToolOutcome", "ToolSet", "load_tools", "tool"]
