"""Requests made from the OpenAPI document, sound and broken, to real servers: every answer is one that is described.

In continuous integration few and always the same; by hand, as many as wanted and always others:
``ATTACK_EXAMPLES=2000 pytest tests/attacks/test_described_answers.py``.
"""

from __future__ import annotations

import itertools
import os
from functools import cache

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode

from tests.api.test_openapi import DOCUMENT, OPERATIONS
from tests.attacks.conftest import Target

BY_HAND = os.environ.get("ATTACK_EXAMPLES")
BOUNDED = settings(
    max_examples=int(BY_HAND or 12),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=BY_HAND is None,
    database=None,
)
SETTINGS = {"WRITE_TOKEN": "a-token-of-the-tests"}
TOKEN = {"Authorization": f"Bearer {SETTINGS['WRITE_TOKEN']}"}
KNOWN = {"model_name": "m", "symbol": "SOLUSDT"}
BREAKABLE = [
    (path, method)
    for path, method in OPERATIONS
    if "requestBody" in DOCUMENT["paths"][path][method] or path.endswith("/changes")
]
NOT_SAID_BY_THE_SCHEMA = [schemathesis.checks.positive_data_acceptance]
"""Whether a root exists or a config fits the model."""


@cache
def _schema_at(url: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(url + "/api/openapi.json")


def _check(case: schemathesis.Case, number: int, *, lead_to_known: bool) -> None:
    """Ask, every fourth time without the token, every other time for a compressed answer."""
    if "model_onnx" in case.path:
        lead_to_known = False  # each would be a conversion; tests/api asks for them
    for name, known in KNOWN.items() if lead_to_known else ():
        if name in case.path_parameters:
            case.path_parameters[name] = known
    if case.method == "DELETE" and case.path_parameters.get("model_name") == "m":
        case.path_parameters["model_name"] = "gone"  # the others still need it
    headers = {"Accept-Encoding": "gzip" if number % 2 else "identity", **(TOKEN if number % 4 else {})}
    case.call_and_validate(headers=headers, excluded_checks=NOT_SAID_BY_THE_SCHEMA, timeout=30)


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda part: str(part))
def test_sound_requests_are_answered_as_described(target: Target, path: str, method: str) -> None:
    numbers = itertools.count()

    @BOUNDED
    @given(case=_schema_at(target.url)[path][method].as_strategy())
    def answered(case: schemathesis.Case) -> None:
        _check(case, next(numbers), lead_to_known=len(str(case.path_parameters)) % 2 == 0)

    answered()


@pytest.mark.parametrize(("path", "method"), BREAKABLE, ids=lambda part: str(part))
def test_broken_requests_are_refused_as_described(target: Target, path: str, method: str) -> None:
    numbers = itertools.count(1)

    @BOUNDED
    @given(case=_schema_at(target.url)[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def refused(case: schemathesis.Case) -> None:
        case.headers.pop("If-Match", None)  # 412 would come first
        _check(case, next(numbers), lead_to_known=True)

    refused()
