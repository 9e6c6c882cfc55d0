"""One spelling for every schema: draft 2020-12 keywords, and every `$ref` points to a flat `$defs`.

`read_document` follows `#`, JSON pointers (also outside `$defs`), anchors and embedded `$id`s, translates the
keywords of older drafts and refuses what would have to be fetched. The steps after it (lowering, closing,
bounding, grammar) then see one kind of reference only. `origin` remembers where each definition stood.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from lora_agent.structured.faults import keyword_error
from lora_agent.structured.walk import ANNOTATIONS, Place, children, descend, is_schema, pointer_of, replace_children
from lora_agent.types import JsonSchema

_IDENTITY = frozenset("$schema $id $anchor $dynamicAnchor $defs definitions $vocabulary x-guidance".split())
PREFIX = "#/$defs/"


@dataclass
class Document:
    root: Any
    defs: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Place] = field(default_factory=dict)
    """Where each definition stood in the schema that was read."""
    formats: frozenset[str] | None = None
    """The formats that the schema's draft checks; None: all that are known."""

    def schema(self) -> JsonSchema:
        root = dict(self.root) if isinstance(self.root, dict) else ({} if self.root else {"not": {}})
        if self.defs:
            root["$defs"] = dict(self.defs)
        return root

    def parts(self) -> Iterator[tuple[str | None, Place, Any]]:
        """The root (name None) and every definition, with the place where each stood."""
        yield None, (), self.root
        for name, node in self.defs.items():
            yield name, self.origin[name], node

    def target(self, node: dict[str, Any]) -> str:
        return str(node["$ref"]).removeprefix(PREFIX)

    def copy_with(self, parts: dict[str | None, Any]) -> Document:
        defs = {name: parts[name] for name in self.defs}
        return Document(parts[None], defs, dict(self.origin), self.formats)


def references(node: Any) -> set[str]:
    """Names of the definitions that `node` refers to."""
    return {
        str(sub["$ref"]).removeprefix(PREFIX)
        for _, sub in descend(node)
        if isinstance(sub, dict) and isinstance(sub.get("$ref"), str)
    }


def read_document(schema: Any, *, old_refs: bool = False) -> Document:
    """`old_refs`: up to draft 7 the keywords beside a `$ref` have no effect."""
    return _Reader(schema, old_refs).read()


class _Reader:
    def __init__(self, schema: Any, old_refs: bool) -> None:
        self.schema = schema
        self.old_refs = old_refs
        self.named: dict[str, Place] = {}
        """Absolute URI (with anchor) → place."""
        self.bases: dict[Place, str] = {}
        self._index(schema, (), "")
        self.names: dict[Place, str] = {}
        self.document = Document(True)

    def read(self) -> Document:
        self.document.root = self._rewrite(self.schema, (), "")
        done: set[Place] = set()
        while pending := [place for place in self.names if place not in done]:
            for place in pending:
                done.add(place)
                name = self.names[place]
                self.document.defs[name] = self._rewrite(self._at(place), place, self._base(place))
                self.document.origin[name] = place
        return self.document

    def _index(self, node: Any, place: Place, base: str) -> None:
        if not isinstance(node, dict):
            return
        own = node.get("$id", node.get("id"))
        if self.old_refs and isinstance(node.get("$ref"), str):
            own = None  # up to draft 7 nothing beside a reference counts
        if isinstance(own, str):
            base = urljoin(base, own)
            self.named.setdefault(base.rstrip("#"), place)
            self.bases[place] = base.rstrip("#")
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(node.get(keyword), str):
                self.named.setdefault(f"{urldefrag(base).url}#{node[keyword]}", place)
        for relative, child in children(node, definitions=True):
            self._index(child, place + relative, base)

    def _base(self, place: Place) -> str:
        for length in range(len(place), -1, -1):
            if place[:length] in self.bases:
                return self.bases[place[:length]]
        return ""

    def _at(self, place: Place) -> Any:
        node = self.schema
        for part in place:
            node = node[int(part)] if isinstance(node, list) else node[part]
        return node

    def _resolve(self, ref: str, base: str, place: Place) -> Place:
        full = urljoin(base, ref)
        if full in self.named:
            return self.named[full]
        resource, fragment = urldefrag(full)
        start = self.named.get(resource) if resource else ()
        if start is None:
            raise keyword_error(
                pointer_of(place), "$ref", f"{ref!r} lies outside this schema and is never fetched",
                'Copy the referenced schema into "$defs" and refer to it as "#/$defs/NAME".',
            )  # fmt: skip
        target = start
        if fragment and not fragment.startswith("/"):
            target = self.named.get(f"{resource}#{fragment}") or self._missing(ref, place)
        for part in unquote(fragment).split("/")[1:] if fragment.startswith("/") else []:
            target = (*target, part.replace("~1", "/").replace("~0", "~"))
        try:
            found = self._at(target)
        except (KeyError, IndexError, ValueError, TypeError):
            self._missing(ref, place)
        return target if is_schema(found) else self._missing(ref, place)

    def _missing(self, ref: str, place: Place) -> Place:
        raise keyword_error(
            pointer_of(place), "$ref", f"{ref!r} points to nothing in this schema",
            "Add the definition, or correct the pointer.",
        )  # fmt: skip

    def _name(self, target: Place) -> str:
        if target not in self.names:
            name = "".join(c if c.isalnum() or c in "_-." else "_" for c in (target[-1] if target else "root"))
            taken = set(self.names.values())
            number = 2
            unique = name
            while unique in taken:
                unique, number = f"{name}_{number}", number + 1
            self.names[target] = unique
        return self.names[target]

    def _rewrite(self, node: Any, place: Place, base: str) -> Any:
        if not isinstance(node, dict):
            return node
        base = self.bases.get(place, base)
        reference: str | None = None
        if isinstance(node.get("$ref"), str):
            reference = PREFIX + self._name(self._resolve(node["$ref"], base, place))
            if self.old_refs:
                return {"$ref": reference}
        kept = {k: v for k, v in node.items() if k not in _IDENTITY and not (k == "id" and isinstance(v, str))}
        if reference is not None:
            # A description beside a recursive $ref is common, and llguidance refuses any keyword there.
            kept = {keyword: value for keyword, value in kept.items() if keyword not in ANNOTATIONS}
            kept["$ref"] = reference
        out = replace_children(kept, lambda child, relative: self._rewrite(child, place + relative, base))
        return _modern(out)


def _modern(node: dict[str, Any]) -> dict[str, Any]:
    """Keywords of drafts 4 to 2019-09 in the words of 2020-12."""
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(exclusive), bool) and node.pop(exclusive) and limit in node:
            node[exclusive] = node.pop(limit)
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
        if "additionalItems" in node:
            node["items"] = node["additionalItems"]
    if "prefixItems" in node or "items" in node:
        node.pop("additionalItems", None)
    for name, needs in (node.pop("dependencies", None) or {}).items():
        keyword = "dependentRequired" if isinstance(needs, list) else "dependentSchemas"
        node[keyword] = {**node.get(keyword, {}), name: needs}
    return node
