"""Equal schemas that a grammar can hold more of: the same values fit before and after.

`rewrite_equal` turns conditions, negations, dependencies, disjoint oneOf, small uniqueItems and contains into anyOf and
plain keywords, and merges the parts of an allOf. What has no equal form stays as it is and is checked after. Knows JSON
Schema; nothing of grammars or tokens.
"""

from __future__ import annotations

from lora_agent.structured.equivalent.rewriting import rewrite_equal

__all__ = ["rewrite_equal"]
