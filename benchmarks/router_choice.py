"""`python -m benchmarks.router_choice`: the base choosing a name next to the head on hidden states, on the hand-written
requests of `benchmarks.agent` whose first step is known.

Both run in process on the same base; a server would be asked the same question. Shares with
n; times are medians of this run.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.agent.__main__ import kind
from lora_agent import Engine
from lora_agent.agent import load_tools
from lora_agent.routing.choice import THRESHOLD, ChoiceRouter

HERE = Path(__file__).resolve().parent
RIGHT = {
    "one call": "tool_call",
    "several calls": "tool_call",
    "checked tool output": "tool_call",
    "answer with citation": "retrieval",
    "unanswerable": "retrieval",
    "small talk": "base",
}
LEGAL = ["tool_call", "retrieval"]


def main() -> int:
    requests = yaml.safe_load((HERE / "agent" / "requests.yaml").read_text())
    rows = [(r, RIGHT[kind(r)]) for r in requests if kind(r) in RIGHT]
    engine = Engine.load()
    files = {"demo": HERE.parent / "examples" / "tools.py", "home": HERE / "agent" / "home_tools.py"}
    tools = {name: load_tools(path).specs for name, path in files.items()}
    choice = ChoiceRouter(engine)
    found: dict[str, list[tuple[str, str, bool, float]]] = {"head": [], "choice": []}
    for request, right in rows:
        session = engine.session(request["text"], tools=tools[request["tools"]])
        session.prefill()
        for name, router in (("head", engine.router), ("choice", choice)):
            started = time.perf_counter()
            route: Any = router.route(session, LEGAL)
            ms = (time.perf_counter() - started) * 1000
            found[name].append((right, route.adapter, route.abstained, ms))
    for name, results in found.items():
        line = [f"{name}: right {sum(r == a for r, a, _, _ in results)}/{len(results)}"]
        for right in ("tool_call", "retrieval", "base"):
            own = [r == a for r, a, _, _ in results if r == right]
            line.append(f"{right} {sum(own)}/{len(own)}")
        line.append(f"abstained {sum(gone for *_, gone, _ in results)}")
        line.append(f"median {statistics.median(ms for *_, ms in results):.1f} ms after the prefill")
        print(", ".join(line))
    print(f"abstains below {THRESHOLD}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
