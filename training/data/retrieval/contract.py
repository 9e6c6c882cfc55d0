"""The adapter's contract as training sees it: what a target may be, and whether a row keeps to it.

The schema proper ships in the adapter's folder; this one must accept the same values. Beyond JSON Schema a
target cites only documents of its input, and no answer means no citation.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from lora_agent.types import Document, Message

from ..rows import Row

OUTPUT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "answerable": {"type": "boolean"},
        "answer": {"type": "string"},
        "citations": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["answerable", "answer", "citations"],
    "additionalProperties": False,
}
_VALIDATOR = Draft202012Validator(OUTPUT_SCHEMA)


def problem(row: Row) -> str | None:
    """Why the row breaks the contract, or None."""
    error = next(_VALIDATOR.iter_errors(row.output), None)
    if error is not None:
        return f"target not valid: {error.message}"
    messages = [Message.model_validate(message) for message in row.input["messages"]]
    documents = {d.id: d for d in (Document.model_validate(value) for value in row.input["documents"])}
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        return "last message is not the user's"
    if not documents or len(documents) != len(row.input["documents"]):
        return "document ids not unique"
    answer, citations = row.output["answer"], row.output["citations"]
    if not row.output["answerable"]:
        return "unanswerable with answer or citation" if answer or citations else None
    if not answer or not citations or not set(citations) <= documents.keys():
        return "no answer, no citation, or a citation of no document"
    if answer not in ("yes", "no") and not all(answer in documents[c].text for c in citations):
        return "answer not verbatim in a cited document"
    return None
