from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import datetime
import enum
import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest

from lora_agent.agent import FunctionTool, ToolSet, load_tools, tool
from lora_agent.errors import ToolError, ToolNameClashError, ToolSignatureError
from lora_agent.types import ToolCall


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Booking(pydantic.BaseModel):
    guest: str
    night: datetime.date
    rooms: list[Literal["single", "double"]] = ["single"]


class Tree(pydantic.BaseModel):
    name: str
    children: list[Tree] = []


@tool
def get_weather(city: str, unit: Literal["c", "f"] = "c") -> dict[str, Any]:
    """Current weather
    of a city.

    More that the model need not read.

    Args:
        city: Name of the city,
            in English.
        unit (str): Celsius or Fahrenheit.

    Returns:
        dict: what it is like
    """
    return {"city": city, "temperature": 21, "unit": unit}


def call(function: Callable[..., Any], **arguments: Any) -> Any:
    return FunctionTool(function).run(arguments)


def test_specification_from_hints_and_docstring() -> None:
    assert get_weather.spec.name == "get_weather"
    assert get_weather.spec.description == "Current weather of a city."
    assert get_weather.spec.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city, in English."},
            "unit": {
                "type": "string",
                "enum": ["c", "f"],
                "default": "c",
                "description": "Celsius or Fahrenheit.",
            },
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert get_weather("Lagos")["temperature"] == 21  # still the function
    assert get_weather.__name__ == "get_weather"


def test_numpy_and_sphinx_docstrings() -> None:
    def numpy_style(a: int, b: int, c: str) -> None:
        """Adds.

        Parameters
        ----------
        a, b : int
            The numbers.
        c : str
            A word
            or two.

        Returns
        -------
        None
        """

    def sphinx_style(a: int, b: int) -> None:
        """Adds.
        :param int a: first
            number
        :param b: second
        :returns: nothing
        """

    properties = FunctionTool(numpy_style).spec.parameters["properties"]
    assert [p.get("description") for p in properties.values()] == [
        "The numbers.",
        "The numbers.",
        "A word or two.",
    ]
    spec = FunctionTool(sphinx_style).spec
    assert spec.description == "Adds."
    assert [p["description"] for p in spec.parameters["properties"].values()] == ["first number", "second"]


def test_rich_types_are_written_out_and_converted() -> None:
    seen: dict[str, Any] = {}

    def everything(
        colour: Colour,
        point: Point,
        booking: Booking,
        when: datetime.datetime,
        counts: dict[str, int],
        limit: Annotated[int, pydantic.Field(ge=1, le=5, description="How many")],
        note: Optional[str] = None,  # noqa: UP045 - the old spelling must work too
        schema: str = "a name that pydantic keeps for itself",
        _private: int = 0,
    ) -> str:
        seen.update(locals())
        return "ok"

    made = FunctionTool(everything)
    properties = made.spec.parameters["properties"]
    assert "$ref" not in json.dumps(made.spec.parameters)
    assert properties["colour"] == {"enum": ["red", "blue"], "type": "string"}
    assert properties["booking"]["properties"]["night"] == {"type": "string", "format": "date"}
    assert properties["limit"] == {"description": "How many", "maximum": 5, "minimum": 1, "type": "integer"}
    assert properties["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert {"schema", "_private"} <= set(properties)
    outcome = made.run(
        {
            "colour": "blue",
            "point": {"x": 1},
            "booking": {"guest": "Ada", "night": "2026-05-01"},
            "when": "2026-05-01T10:00:00Z",
            "counts": {"a": 1},
            "limit": 2,
        }
    )
    assert outcome.ok, outcome.error
    assert seen["colour"] is Colour.BLUE
    assert seen["point"] == Point(1.0)
    assert seen["booking"].night == datetime.date(2026, 5, 1)
    assert seen["schema"].startswith("a name")


def test_recursive_type_keeps_its_references() -> None:
    def plant(tree: Tree) -> str:
        return tree.children[0].name

    made = FunctionTool(plant)
    assert made.spec.parameters["properties"]["tree"] == {"$ref": "#/$defs/Tree"}
    assert made.spec.parameters["$defs"]["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert made.run({"tree": {"name": "oak", "children": [{"name": "acorn"}]}}).content == "acorn"


def test_signatures_that_cannot_be_tools() -> None:
    def untyped(city, unit: str = "c") -> None: ...  # type: ignore[no-untyped-def]
    def any_number(*names: str) -> None: ...
    def any_keys(**names: str) -> None: ...
    def by_position(city: str, /) -> None: ...
    def no_json(back: Callable[[], None]) -> None: ...
    def stream(n: int) -> Iterator[int]:
        yield n

    cases = [
        (untyped, "'city' has no type hint"),
        (any_number, "'names' takes any number"),
        (any_keys, "'names' takes any number"),
        (by_position, "'city' is positional only"),
        (no_json, "'back': the type"),
        (stream, "yields"),
    ]
    for function, message in cases:
        with pytest.raises(ToolSignatureError, match=message) as caught:
            FunctionTool(function)
        assert repr(function.__name__) in caught.value.message
        assert caught.value.hint
    with pytest.raises(ToolSignatureError, match="self") as caught:

        class Service:
            @tool
            def look(self, city: str) -> str:
                return city

    assert "bound method" in caught.value.hint


def test_bound_methods_partials_and_names() -> None:
    class Service:
        def look(self, city: str) -> str:
            """Looks."""
            return city.upper()

    assert call(Service().look, city="rome").content == "ROME"
    partial = FunctionTool(functools.partial(get_weather.function, unit="f"), name="weather_f")
    assert partial.run({"city": "Rome"}).value["unit"] == "f"
    with pytest.raises(ToolError, match="<lambda>"):
        ToolSet([lambda: 1])
    with pytest.raises(ToolError, match="not a name"):
        tool(name="get weather")(get_weather.function)
    assert tool(name="wetter", description="Wie ist das Wetter?")(get_weather.function).spec.description[:3] == "Wie"


def test_name_clash_and_what_is_no_list() -> None:
    with pytest.raises(ToolNameClashError, match="'get_weather'"):
        ToolSet([get_weather, get_weather])
    with pytest.raises(ToolError, match="not a function"):
        ToolSet([3])  # type: ignore[list-item]
    with pytest.raises(ToolError, match="Give a list"):
        ToolSet(3)  # type: ignore[arg-type]
    assert list(ToolSet(ToolSet([get_weather]))) == ["get_weather"]


def test_bad_arguments_are_an_observation() -> None:
    tools = ToolSet([get_weather])
    outcome = tools.run(ToolCall(name="get_weather", arguments={"unit": "k", "town": "Rome"}))
    assert not outcome.ok
    assert outcome.value is None
    for part in ("city: Field required", "unit: Input should be 'c' or 'f' (got 'k')", "town: Extra inputs"):
        assert part in (outcome.error or "")
    assert json.loads(outcome.content) == {"error": outcome.error}
    unknown = tools.run(ToolCall(name="get_wheather"))
    assert unknown.error == "no tool is called 'get_wheather'; there are: get_weather"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("ä plain text", "ä plain text"),
        (None, "null"),
        ({"b": 1, "a": [1.5, None]}, '{"b":1,"a":[1.5,null]}'),
        (
            Booking(guest="Zoë", night=datetime.date(2026, 1, 2)),
            '{"guest":"Zoë","night":"2026-01-02","rooms":["single"]}',
        ),
        (Point(1, 2), '{"x":1,"y":2}'),
        ({Colour.RED}, '["red"]'),
        (float("nan"), '"NaN"'),
        (10**30, "1" + "0" * 30),
    ],
)
def test_results_become_compact_json(value: Any, content: str) -> None:
    def give() -> Any:
        return value

    assert call(give).content == content


def test_failures_are_observations() -> None:
    def breaks() -> None:
        raise ConnectionError("no route to host")

    def quits() -> None:
        raise SystemExit(3)

    def own_timeout() -> None:
        raise TimeoutError("the server took too long")

    def opaque() -> object:
        return object()

    def circular() -> list[Any]:
        items: list[Any] = []
        items.append(items)
        return items

    def half_a_character() -> str:
        return "\ud83d"

    assert call(breaks).error == "ConnectionError: no route to host"
    assert call(quits).error == "SystemExit: 3"
    assert call(own_timeout).error == "TimeoutError: the server took too long"
    assert "Unable to serialize" in call(opaque).error
    assert "Circular" in call(circular).error
    assert "surrogates" in call(half_a_character).error


def test_keyboard_interrupt_passes() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(interrupted)


def test_long_output_is_cut_and_marked() -> None:
    def long() -> list[str]:
        return ["x" * 10] * 1000

    outcome = call(long)
    assert outcome.truncated
    assert outcome.content.endswith("… [cut: the first 4000 of 13001 characters]")
    assert len(outcome.value) == 1000


def test_time_limits() -> None:
    cancelled = []

    @tool(timeout_s=0.05)
    def slow() -> str:
        time.sleep(10)
        return "late"

    @tool(timeout_s=0.05)
    async def slow_async() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "late"

    start = time.monotonic()
    assert slow.run({}).error == "timed out after 0.05 s"
    assert slow_async.run({}).error == "timed out after 0.05 s"
    assert get_weather.run({"city": "Rome"}, timeout_s=5).ok
    assert tool(slow.function).run({}, timeout_s=0.02).error == "timed out after 0.02 s"
    assert tool(slow.function).run({}, cancel=lambda: time.monotonic() > start + 0.3).error == "cancelled"
    assert time.monotonic() - start < 8
    assert cancelled == [True]
    with pytest.raises(ToolError, match="timeout_s"):
        tool(timeout_s=0)(slow.function)


def test_async_tools_run_also_inside_a_running_loop() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    @tool
    async def greet(name: str) -> str:
        """Greets."""
        await asyncio.sleep(0)
        return f"{who.get()} greets {name}"

    async def main() -> str:
        who.set("Ada")
        return greet.run({"name": "Bob"}).content

    assert asyncio.run(main()) == "Ada greets Bob"


def test_load_tools_takes_the_marked_functions(tmp_path: Any) -> None:
    (tmp_path / "neighbour.py").write_text("FACTOR = 2\n")
    file = tmp_path / "my tools.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from neighbour import FACTOR\n"
        "from lora_agent.agent import tool\n"
        "@dataclass\nclass Pair:\n    a: int\n    b: int\n"
        "@tool\ndef add(pair: Pair) -> int:\n    'Adds.'\n    return FACTOR * (pair.a + pair.b)\n"
        "def helper(x: int) -> int:\n    'Not a tool.'\n    return x\n"
    )
    tools = load_tools(file)
    assert list(tools) == ["add"]
    assert tools["add"].run({"pair": {"a": 1, "b": 2}}).value == 6


def test_load_tools_takes_documented_functions_if_none_is_marked(tmp_path: Any) -> None:
    file = tmp_path / "plain.py"
    file.write_text(
        "from os.path import join\n"
        "def shout(text: str) -> str:\n    '''Shouts.'''\n    return text.upper()\n"
        "def undocumented(text: str) -> str:\n    return text\n"
        "def _private(text: str) -> str:\n    '''Hidden.'''\n    return text\n"
    )
    assert list(load_tools(str(file))) == ["shout"]


def test_load_tools_names_file_and_line(tmp_path: Any) -> None:
    def load(text: str) -> str:
        file = tmp_path / "broken.py"
        file.write_text(text)
        with pytest.raises(ToolError) as caught:
            load_tools(file)
        return caught.value.message

    assert "broken.py, line 2: SyntaxError" in load("x = 1\ndef f(:\n")
    assert "broken.py, line 3: ZeroDivisionError" in load("x = 1\n\ny = x / 0\n")
    assert "broken.py, line 1: ModuleNotFoundError" in load("import no_such_module_here\n")
    assert "broken.py, line 1: SystemExit" in load("raise SystemExit('no')\n")
    assert "holds no tools" in load("x = 1\n")
    assert "'city' has no type hint" in load("def f(city):\n    'Doc.'\n")
    with pytest.raises(ToolError, match="no file"):
        load_tools(tmp_path / "missing.py")
