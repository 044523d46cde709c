"""Why a request is not handed to the application."""

from __future__ import annotations

from waitress.utilities import Error

LARGEST_HEAD = 64 << 10
"""Bytes of a request line and its headers."""

MOST_HEADERS = 100

_SENTENCES = {
    400: ("Bad request", "The request is not HTTP/1.1 as RFC 9112 has it. Send it with an HTTP client library."),
    408: ("Request too slow", "The request did not arrive in time. Send it again, whole."),
    413: ("Body too large", "The body is larger than this server takes. Send a smaller one."),
    421: (
        "Not this server",
        "The Host header names another server. Ask by this machine's address or name, or have its operator add the "
        "name to MODEL_MANAGER_ALLOWED_HOSTS.",
    ),
    431: (
        "Headers too large",
        f"Request line and headers have more than {LARGEST_HEAD >> 10} KiB or {MOST_HEADERS} lines. Send fewer.",
    ),
    500: ("Internal Server Error", "The server made a mistake that is now in its log. Try again."),
    501: ("Not implemented", "Of the transfer codings, chunked alone is understood. Send Content-Length, or chunked."),
    503: ("Service ends", "The server stops, and the request has not arrived whole. Send it again."),
    505: ("HTTP version not supported", "This server speaks HTTP/1.1 and HTTP/1.0. Ask with one of these."),
}


class Refusal(Error):  # type: ignore[misc]
    """Why a request is not handed to the application; repeats nothing of what was sent."""

    def __init__(self, status: int, detail: str | None = None) -> None:
        self.code = status
        self.reason, usual = _SENTENCES.get(status, _SENTENCES[400])
        super().__init__(detail or usual)
