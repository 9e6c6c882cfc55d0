"""The function tables: text files in domains/, parsed into frozen specs.

A table reads

    == weather                      (a domain; "== weather !dev" keeps it for the dev split)
    > We have a picnic planned.     (a sentence that may open a request of this domain)

    get_weather/current_weather ~wx | Get the current weather in a city | Current conditions of a place
    city/location*+ :city: City name          (* required, + may take several values in a parallel request)
    unit :enum celsius,fahrenheit: Temperature unit
    - get the weather in {city}[ in {unit}]   (lower case: an order; [..] may be left out; (a|b) is a choice)
    - What's the weather like in {city}?      (upper case: a sentence; leading ~: a scrap of words)
    - ~weather {city} now

Functions that share a ~tag do much the same and are never offered together, nor used to show "no tool fits".
"any" is the tag of functions that fit almost every request. Dotted parameter names make nested objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from lora_agent.errors import ConfigError

from .values import Kind, parse_kind

TABLES = Path(__file__).parent / "domains"
_PARAMETER = re.compile(r"^([\w./]+)([*+]*) :([^:]+): (.+)$")
_NO_ORDER = set("what which who where when how why is are does do did any my the please let's nobody".split())
SLOT = re.compile(r"\{([\w.]+)\}")


@dataclass(frozen=True)
class Parameter:
    names: tuple[str, ...]
    kind: Kind
    description: str
    required: bool
    repeats: bool

    @property
    def slot(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class Function:
    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    templates: tuple[str, ...]
    domain: str
    tags: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        return f"{self.domain}.{self.names[0]}"


@dataclass(frozen=True)
class Domain:
    name: str
    dev: bool
    contexts: tuple[str, ...]
    functions: tuple[Function, ...] = field(default=())


def load_domains(folder: Path = TABLES) -> list[Domain]:
    """All domains of all tables, in file order."""
    return [
        domain for path in sorted(folder.glob("*.txt")) for domain in parse_table(path.read_text("utf-8"), path.name)
    ]


def parse_table(text: str, name: str) -> list[Domain]:
    """The domains of one table; ConfigError names the block that is wrong."""
    domains: list[Domain] = []
    for chunk in re.split(r"(?m)^== ", text)[1:]:
        header, *blocks = re.split(r"\n\s*\n", chunk.strip())
        title, *contexts = header.splitlines()
        domain, *marks = title.split()
        functions = tuple(_function(block.splitlines(), domain, name) for block in blocks if block.strip())
        opening = tuple(line.removeprefix(">").strip() for line in contexts)
        domains.append(Domain(domain, "!dev" in marks, opening, functions))
    return domains


def _function(lines: list[str], domain: str, table: str) -> Function:
    head, *descriptions = (part.strip() for part in lines[0].split("|"))
    names, *tags = head.split()
    where = f"{table}: {names}"
    parameters: list[Parameter] = []
    templates: list[str] = []
    for line in lines[1:]:
        if line.startswith("- "):
            templates.append(line[2:].strip())
            continue
        match = _PARAMETER.match(line.strip())
        if match is None:
            raise ConfigError(f"{where}: cannot read {line!r}", hint='write "name :kind: description" or "- template"')
        forms, marks, kind, description = match.groups()
        parameters.append(
            Parameter(tuple(forms.split("/")), parse_kind(kind), description.strip(), "*" in marks, "+" in marks)
        )
    function = Function(
        tuple(names.split("/")),
        tuple(descriptions),
        tuple(parameters),
        tuple(templates),
        domain,
        frozenset(tag.removeprefix("~") for tag in tags),
    )
    _check(function, where)
    return function


def _check(function: Function, where: str) -> None:
    known = {parameter.slot for parameter in function.parameters}
    required = {parameter.slot for parameter in function.parameters if parameter.required}
    if not function.descriptions or len(function.templates) < 3:
        raise ConfigError(f"{where}: a function needs a description and three templates", hint="add what is missing")
    for template in function.templates:
        if template.split(" ")[0] in _NO_ORDER:
            raise ConfigError(f"{where}: {template!r} is no order", hint="begin it with a capital letter or with ~")
        used = SLOT.findall(template)
        always = set(SLOT.findall(re.sub(r"\[[^\]]*\]", "", template)))
        if not set(used) <= known or len(used) != len(set(used)):
            raise ConfigError(f"{where}: unknown or repeated slot in {template!r}", hint=f"slots are {sorted(known)}")
        if not required <= always:
            missing = sorted(required - always)
            raise ConfigError(
                f"{where}: {template!r} may leave out {missing}", hint="name every required slot outside [..]"
            )
