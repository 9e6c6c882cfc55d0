"""Guaranteed output: JSON Schema → grammar → token masks, and the full check of what came out.

Knows schemas, tokens and JSON text; nothing of models or adapters. torch and llguidance are loaded on first
use.
"""

from __future__ import annotations

from lora_agent.structured.bounds import Bound, bound
from lora_agent.structured.calls import calls_schema, normalise_parameters, without_quotes
from lora_agent.structured.candidates import candidates
from lora_agent.structured.compile import compile_choice, compile_regex, compile_schema
from lora_agent.structured.constraint import Constraint
from lora_agent.structured.explain import Explanation, explain
from lora_agent.structured.faults import Note
from lora_agent.structured.grammar import MARKER, Grammar
from lora_agent.structured.grounding import grounded
from lora_agent.structured.output_type import schema_of
from lora_agent.structured.partial import parse_partial
from lora_agent.structured.parts import split_request
from lora_agent.structured.validate import Validation, validate
from lora_agent.structured.vocabulary import Vocabulary
from lora_agent.structured.way_out import way_out

__all__ = [
    "MARKER",
    "Bound",
    "Constraint",
    "Explanation",
    "Grammar",
    "Note",
    "Validation",
    "Vocabulary",
    "bound",
    "calls_schema",
    "candidates",
    "compile_choice",
    "compile_regex",
    "compile_schema",
    "explain",
    "grounded",
    "normalise_parameters",
    "parse_partial",
    "schema_of",
    "split_request",
    "validate",
    "way_out",
    "without_quotes",
]
