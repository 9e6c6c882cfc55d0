"""`python -m benchmarks.grounding --rows runs/data/tool_call/dev.jsonl.gz`: of how many right calls the grammar that is
narrowed to what was said (decisions 055, 060, 066) forbids something, and which. The rows are made by
`python -m training.data tool_call`; `--tables training/data/tool_call/written/train/*.txt` reads those that were
written one by one. With --strict what nobody seems to speak of is forbidden too, as on servers."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema
from lora_agent.training.data.origins import origin_of
from lora_agent.training.data.rows import Row, read_rows
from lora_agent.training.data.tool_call.schema import make_row
from lora_agent.training.data.tool_call.sources.written import parse_table

from lora_agent.render import read_tools
from lora_agent.structured import candidates, grounded, split_request

SHOWN = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grounding", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--rows", type=Path)
    source.add_argument("--tables", type=Path, nargs="+")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    calls: Counter[str] = Counter()
    why: Counter[str] = Counter()
    forbidden: list[str] = []
    single = kept = left = 0
    for row in read_rows(options.rows) if options.rows else _written(options.tables):
        tools, messages = read_tools(row.input["tools"]), row.input["messages"]
        asked = [m["content"] for m in messages if m["role"] == "user"]
        one = None if len(row.output["calls"]) > 1 or split_request(asked[-1], tools) else asked[-1]
        texts = [m["content"] or "" for m in messages]
        narrowed = grounded(tools, texts, one, doubtful=None if options.strict else {})
        narrow = {tool.name: tool.parameters for tool in narrowed}
        for call in row.output["calls"]:
            calls[origin_of(row.source)] += 1
            if faults := _faults(call["arguments"], narrow[call["name"]]):
                why.update(faults)
                forbidden.append(f"{call['name']}({call['arguments']}): {asked[-1]!r}")
        if len(row.output["calls"]) == 1 and len(tools) > 1:
            near = [tool.name for tool in candidates(asked, tools)]
            single += 1
            kept, left = kept + (row.output["calls"][0]["name"] in near), left + len(near)
    print(f"{len(forbidden)} of {sum(calls.values())} right calls are forbidden ({dict(calls)})")
    print(", ".join(f"{kind} {count}" for kind, count in why.most_common()))
    print("\n".join(forbidden[:SHOWN]))
    if single:
        share = f"{kept} of {single}, {left / single:.1f} of them"
        print(f"right tool of a request for one call among the candidates: {share}")
    return 0


def _faults(arguments: dict[str, object], schema: dict[str, object]) -> list[str]:
    """Kinds of the values that the schema does not let through; "left out" is a parameter that it has not."""
    closed = {**schema, "additionalProperties": False} if "properties" in schema else schema
    errors = jsonschema.Draft202012Validator(closed).iter_errors(arguments)
    return [type(error.instance).__name__ if error.path else "left out" for error in errors]


def _written(tables: list[Path]) -> Iterator[Row]:
    """Every request of the tables with all tools of its list."""
    for path in tables:
        for one in parse_table(path.read_text("utf-8"), path.name):
            for request in one.requests:
                if request.calls:
                    yield make_row(request.text, one.tools, request.calls, "written/all", one.name, "train")


if __name__ == "__main__":
    sys.exit(main())
