"""The OpenAPI document is true: whatever it allows, and whatever it does not, gets an answer that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from lora_agent.server.reference import reference

ROOT = Path(__file__).resolve().parents[2]
# `positive_data_acceptance` is not among them: a request that fits the document may still ask for a model that is
# not here, or bring a JSON Schema that is none.
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
OPERATIONS = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
    ("POST", "/v1/schema/explain"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="session")
def document(address: str) -> Any:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_breaks_the_contract(document: Any, method: str, path: str, mode: GenerationMode) -> None:
    if method == "GET" and mode == GenerationMode.NEGATIVE:
        pytest.skip("nothing in it can be wrong")

    @given(case=document[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    def check(case: Any) -> None:
        if mode == GenerationMode.POSITIVE and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "base"  # else all would end at "there is no such model"
        case.call_and_validate(checks=CHECKS, timeout=60)

    check()


def test_every_route_is_documented_with_its_refusals(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    found = [(verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs]
    assert sorted(found) == sorted(OPERATIONS)
    for path, verbs in document["paths"].items():
        for verb, described in verbs.items():
            assert described["description"], f"{verb} {path} has no description"
            assert path in ("/health", "/ready", "/metrics") or "429" in described["responses"]


def test_the_page_in_docs_is_that_of_this_code() -> None:
    written = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m lora_agent.server.reference > docs/api.md"
