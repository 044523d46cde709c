"""What can keep a bot from its payload; the tree is drawn in the package's docstring."""

from __future__ import annotations


class PayloadError(Exception):
    """What kept a bot from its payload; ``status`` and ``detail`` are the server's, where it refused."""

    def __init__(self, message: str, status: int = 0, detail: str = "", retry_in: float | None = None) -> None:
        super().__init__(message)
        self.status, self.detail = status, detail
        self.retry_in = retry_in  # seconds at least; None where another attempt would end the same way

    @property
    def is_withdrawal(self) -> bool:
        """Whether the server itself has it no more, or not one alone: an outage later must not bring a copy back."""
        return self.status in {404, 409, 422} and self.detail != ""


class ServerAway(PayloadError):
    """The server gave no usable answer, and no local copy may stand in."""


class PayloadNotFound(PayloadError):
    """The server knows no such payload, or cannot serve it; ``detail`` says why."""


class RequestRefused(PayloadError):
    """The server, or something before it, refuses the request."""


class BadAnswer(PayloadError):
    """The server answered with something that must not be used."""


class DigestMismatch(BadAnswer):
    """The body is not the one that its ETag names."""


class NoLocalCopy(PayloadError):
    """There is no whole local copy, or it is older than allowed, or the disk took none."""


class BadRow(PayloadError):
    """A row lacks factors or holds values that are not numbers; the message names all of them."""
