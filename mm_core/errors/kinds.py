"""What kinds of refusals and failures there are, each with its HTTP status."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.spelling import visible


class ModelManagerError(Exception):
    """An error with a sentence for people and a status for machines.

    Names of others that stand in ``detail`` show the characters that they hide.
    """

    status = 500
    title = "Internal error"
    code: str | None = None

    def __init__(self, detail: str) -> None:
        super().__init__(visible(detail))
        self.detail = visible(detail)

    @property
    def members(self) -> dict[str, object]:
        """What programs are told beside the sentence, by name: ``code``, and what each error adds."""
        return {"code": self.code} if self.code is not None else {}


class WithReasons(ModelManagerError):
    """An error that has every reason for itself: ``problems`` are sentences."""

    def __init__(self, detail: str, problems: Sequence[str]) -> None:
        super().__init__(detail)
        self.problems = tuple(map(visible, problems))

    @property
    def members(self) -> dict[str, object]:
        return {"code": self.code, "problems": self.problems}


class SettingsError(ModelManagerError):
    """A setting is unknown or does not parse."""

    title = "Settings refused"


class BadRequest(ModelManagerError):
    """What was asked for does not make sense as written."""

    status = 400
    title = "Bad request"


class Unauthorized(ModelManagerError):
    """A write without the token that this server asks for."""

    status = 401
    title = "Token needed"


class Forbidden(ModelManagerError):
    """A write that a page of another site sent through somebody's browser."""

    status = 403
    title = "Forbidden"


class NotFound(ModelManagerError):
    """Nothing is known under that name."""

    status = 404
    title = "Not found"


class Conflict(ModelManagerError):
    """What was asked for makes sense, only not as things stand."""

    status = 409
    title = "Conflict"


class RevisionConflict(ModelManagerError):
    """Somebody else saved first."""

    status = 412
    title = "Revision conflict"


class BodyTooLarge(ModelManagerError):
    status = 413
    title = "Body too large"


class UnsupportedMediaType(ModelManagerError):
    status = 415
    title = "Unsupported media type"


class ExtraMissing(ModelManagerError):
    """An optional dependency is not installed."""

    status = 501
    title = "Optional extra not installed"
