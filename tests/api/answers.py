"""What tests ask of every answer of the application: status, strict JSON, whole problem documents, described fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from tests.api.test_openapi import DOCUMENT


def json_of(answer: TestResponse, status: int = 200) -> dict[str, Any]:
    """Return the document of an answer; fail where it has another status, is no strict JSON or tells too little."""
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = json.loads(answer.data, parse_constant=lambda token: pytest.fail(f"{token} in JSON"))
    if status >= 400:
        assert answer.mimetype == "application/problem+json"
        assert set(document) >= {"type", "title", "status", "detail", "request_id"}
        assert document["status"] == status
        assert document["detail"].rstrip().endswith((".", "…"))
    return document


def check_described(document: object, schema: str) -> None:
    """Fail where a document is not what the OpenAPI document says of it."""
    Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}).validate(
        document
    )
