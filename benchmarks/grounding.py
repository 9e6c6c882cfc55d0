"""`python -m benchmarks.grounding --rows runs/data/tool_call/dev.jsonl.gz`: of how many right calls the grammar that is
narrowed to what was said (decisions 055, 060) forbids something, and which. The rows are made by
`python -m training.data tool_call`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import jsonschema
from lora_agent.training.data.origins import origin_of
from lora_agent.training.data.rows import read_rows

from lora_agent.render import read_tools
from lora_agent.structured import candidates, grounded, split_request

SHOWN = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grounding", description=__doc__)
    parser.add_argument("--rows", type=Path, required=True)
    options = parser.parse_args()
    calls: Counter[str] = Counter()
    forbidden: list[str] = []
    single = kept = left = 0
    for row in read_rows(options.rows):
        tools, messages = read_tools(row.input["tools"]), row.input["messages"]
        asked = [m["content"] for m in messages if m["role"] == "user"]
        one = None if split_request(asked[-1], tools) else asked[-1]
        narrow = {tool.name: tool.parameters for tool in grounded(tools, [m["content"] or "" for m in messages], one)}
        for call in row.output["calls"]:
            calls[origin_of(row.source)] += 1
            if not _fits(call["arguments"], narrow[call["name"]]):
                forbidden.append(f"{call['name']}({call['arguments']}): {asked[-1]!r}")
        if len(row.output["calls"]) == 1 and len(tools) > 1:
            near = [tool.name for tool in candidates(asked, tools)]
            single += 1
            kept, left = kept + (row.output["calls"][0]["name"] in near), left + len(near)
    print(f"{len(forbidden)} of {sum(calls.values())} right calls are forbidden ({dict(calls)})")
    print("\n".join(forbidden[:SHOWN]))
    if single:
        share = f"{kept} of {single}, {left / single:.1f} of them"
        print(f"right tool of a request for one call among the candidates: {share}")
    return 0


def _fits(arguments: dict[str, object], schema: dict[str, object]) -> bool:
    closed = {**schema, "additionalProperties": False} if "properties" in schema else schema
    return bool(jsonschema.Draft202012Validator(closed).is_valid(arguments))


if __name__ == "__main__":
    sys.exit(main())
