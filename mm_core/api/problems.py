"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from bottle import HTTPError, HTTPResponse, request

from mm_core import strict_json
from mm_core.errors import AskAgain, ModelManagerError, PredictorBusy, Unauthorized

REQUEST_ID = "mm.request_id"

_ROUTER_DETAILS = {
    400: "The request could not be parsed. Send a complete HTTP request with a path of UTF-8 text.",
    404: "Nothing is served at this path. GET /api/openapi.json lists every path.",
    405: "This path does not take this method. The Allow header lists those that it takes.",
    413: "The body is larger than this server takes. Send a smaller one.",
}
_UNEXPECTED = "The server made a mistake that is now in its log under this request id. Try again, then report the id."


def problem_answer(error: ModelManagerError) -> HTTPResponse:
    """Return the problem document of one of our errors."""
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="model-manager"'
    if isinstance(error, (PredictorBusy, AskAgain)):
        headers["Retry-After"] = "1"
    return _answer(error.status, error.title, error.detail, headers, error.members)


def router_answer(error: HTTPError) -> bytes:
    """Give one of bottle's own errors (no route, wrong method, crash) the form of a problem document."""
    status = error.status_code
    detail = _ROUTER_DETAILS.get(status, _UNEXPECTED if status >= 500 else "The request was refused.")
    answer = _answer(status, HTTPStatus(status).phrase, detail, {}, {})
    for name, value in answer.headers.items():
        error.set_header(name, value)
    body: bytes = answer.body
    return body


class ProblemPlugin:
    """Turns every `ModelManagerError` that a route raises into its problem document."""

    name = "problems"
    api = 2

    def apply(self, callback: Callable[..., Any], _route: Any) -> Callable[..., Any]:
        """Return ``callback`` with its errors answered."""

        def answered(*arguments: Any, **named: Any) -> Any:
            try:
                return callback(*arguments, **named)
            except ModelManagerError as error:
                return problem_answer(error)

        return answered


def problem_parts(
    status: int, title: str, detail: str, instance: str, request_id: str, extra: Mapping[str, Any] | None = None
) -> tuple[bytes, dict[str, str]]:
    """Return the body of a problem document and the headers that go with it."""
    body = strict_json.encode(
        {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "instance": instance,
            "request_id": request_id,
            **(extra or {}),
        }
    )
    return body, {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }


def _answer(status: int, title: str, detail: str, headers: dict[str, str], extra: Mapping[str, Any]) -> HTTPResponse:
    request_id = request.environ.get(REQUEST_ID, "")
    body, usual = problem_parts(status, title, detail, quote(request.path), request_id, extra)
    return HTTPResponse(body, status=status, headers={**usual, **headers})
