"""Every error that Model Manager raises on purpose, as one tree.

    ModelManagerError                       500
    ├── SettingsError                       500  the start is refused
    ├── BadRequest                          400
    │   ├── InvalidName                     400
    │   ├── InvalidRoot                     400
    │   ├── DuplicateSymbols                400
    │   ├── InvalidFactorConfig             400  lists every problem at once
    │   ├── InvalidVersion                  400  lists every problem at once
    │   ├── NothingToUpdate                 400
    │   ├── InvalidRows                     400  rows to predict for; lists every problem at once
    │   └── BackupRefused                   400  a file that is no whole backup
    ├── Unauthorized                        401
    ├── Forbidden                           403
    ├── NotFound                            404
    │   ├── ModelNotFound                   404
    │   ├── SymbolNotFound                  404
    │   ├── GroupNotFound                   404
    │   ├── AmbiguousSymbol                 404  lists the groups
    │   ├── RevisionNotFound                404
    │   ├── RunNotFound                     404
    │   ├── VersionNotFound                 404  says which: not registered, not deployed, on disk or not
    │   └── PayloadUnavailable              404  says why
    ├── Conflict                            409
    │   ├── RootNotManaged                  409  says how it becomes one
    │   ├── RunProtected                    409  lists the reasons
    │   ├── ModelUnusable                   409  a version that cannot predict as it is
    │   ├── AlreadyExists                   409  has what exists
    │   ├── IllegalMove                     409  says which moves there are
    │   └── CannotPredict                   409  lists what is wrong
    ├── RevisionConflict                    412
    ├── BodyTooLarge                        413
    ├── UnsupportedMediaType                415
    ├── ExtraMissing                        501  names the extra to install
    ├── StoreError                          500
    │   ├── StoreCorrupt                    500
    │   ├── StoreTooNew                     500
    │   ├── StoreFull                       507
    │   └── StoreBusy                       503
    ├── RootNotWritten                      500  a root of runs that cannot be changed
    │   └── RootBusy                        503
    ├── ConversionFailed                    502
    ├── PredictionFailed                    502  the process that predicts died, took too long or grew too large
    ├── PredictorBusy                       503  ask again
    ├── ServiceAway                         503  another process of ours does not answer
    ├── ReaderNotStarted                    503  no process is left to read artifacts with
    ├── ServiceUnwell                       503  another process of ours answers that it cannot work
    ├── BoosterNotUnderstood                500  a model that can be served, not drawn
    └── UnreadableArtifact                  never leaves ``artifacts``: it becomes a finding

A message says what happened, where, and what to do next. ``status`` is the HTTP status an edge should
answer with; ``title`` is the short, constant name of the problem, ``code`` its name for programs where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


class SettingsError(ModelManagerError):
    """A setting is unknown or does not parse."""

    title = "Settings refused"


class BadRequest(ModelManagerError):
    """What was asked for does not make sense as written."""

    status = 400
    title = "Bad request"


class InvalidName(BadRequest):
    """A model name is not of the allowed form."""

    title = "Invalid model name"


class InvalidRoot(BadRequest):
    """A root is missing, no directory, unreadable or outside the allowed roots."""

    title = "Invalid root"


class DuplicateSymbols(BadRequest):
    """One symbol maps to several groups of a root."""

    title = "Duplicate symbols"

    def __init__(self, model_name: str, groups_by_symbol: dict[str, tuple[str, ...]]) -> None:
        self.groups_by_symbol = groups_by_symbol
        listed = "; ".join(f"{symbol}: {', '.join(groups)}" for symbol, groups in groups_by_symbol.items())
        super().__init__(
            f"Model '{model_name}' maps {len(groups_by_symbol)} symbol(s) to several groups ({listed}). "
            "Keep one group a symbol below the root, or register the others as a model of their own."
        )


class InvalidFactorConfig(BadRequest):
    """A factor config breaks at least one rule; ``problems`` has all of them."""

    title = "Invalid factor config"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(map(visible, problems))
        super().__init__(
            f"The factor config has {len(self.problems)} problem(s), nothing was stored: {'; '.join(self.problems)}."
        )

    @property
    def members(self) -> dict[str, object]:
        return {"problems": self.problems}


class InvalidVersion(BadRequest):
    """What is said of a version breaks at least one rule; ``problems`` has all of them."""

    title = "Invalid version"
    code = "INVALID_VERSION"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(map(visible, problems))
        super().__init__(
            f"The version has {len(self.problems)} problem(s), nothing was stored: {'; '.join(self.problems)}."
        )

    @property
    def members(self) -> dict[str, object]:
        return {"code": self.code, "problems": self.problems}


class NothingToUpdate(BadRequest):
    """An update that names no field."""

    title = "No fields to update"
    code = "NO_FIELDS_TO_UPDATE"


class InvalidRows(BadRequest):
    """Rows that cannot be predicted for; ``problems`` has all that is wrong, ``missing`` the features that are."""

    title = "Invalid rows"

    def __init__(self, problems: Sequence[str], missing: Sequence[str] = ()) -> None:
        self.problems = tuple(map(visible, problems))
        self.missing = tuple(map(visible, missing))
        super().__init__(
            f"The rows have {len(self.problems)} problem(s), nothing was predicted: {'; '.join(problems)}."
        )

    @property
    def members(self) -> dict[str, object]:
        return {"problems": self.problems, "missing": self.missing}


class BackupRefused(BadRequest):
    """A backup cannot be written there, or a file is no whole backup of a state."""

    title = "Backup refused"


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


class ModelNotFound(NotFound):
    title = "Model not found"


class SymbolNotFound(NotFound):
    title = "Symbol not found"


class GroupNotFound(NotFound):
    title = "Group not found"


class AmbiguousSymbol(NotFound):
    """A payload was asked for by a symbol that has several groups."""

    title = "Symbol has several groups"


class RevisionNotFound(NotFound):
    title = "Revision not found"


class RunNotFound(NotFound):
    """No run has that name below a root; ``sentence`` says so, ``remedy`` what to do."""

    title = "Version not found"

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(f"{sentence} {remedy}")
        self.sentence = visible(sentence)
        self.remedy = visible(remedy)


class VersionNotFound(NotFound):
    """No version of that name, or none that is asked for: not registered, not deployed, not for the caller's tier."""

    title = "Model version not found"
    code = "MODEL_NOT_FOUND"


class PayloadUnavailable(NotFound):
    """The group exists, but no model that bots could be given."""

    title = "No payload"


class Conflict(ModelManagerError):
    """What was asked for makes sense, only not as things stand."""

    status = 409
    title = "Conflict"


class RootNotManaged(Conflict):
    """A change was asked for below a directory that nobody gave into our hands."""

    title = "Root not managed"


class RunProtected(Conflict):
    """A run that must not go was to be removed."""

    title = "Version protected"


class ModelUnusable(Conflict):
    """A version's files are damaged, changed, or do not fit each other, so that it cannot predict."""

    title = "Version cannot predict"


class AlreadyExists(Conflict):
    """A version, or another name of a family, is taken; ``existing`` tells by what."""

    title = "Already exists"
    code = "ALREADY_EXISTS"

    def __init__(self, detail: str, existing: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.existing = dict(existing)

    @property
    def members(self) -> dict[str, object]:
        return {"code": self.code, "existing": self.existing}


class IllegalMove(Conflict):
    """A status that cannot be reached from the present one."""

    title = "No such move"
    code = "ILLEGAL_MOVE"


class CannotPredict(Conflict):
    """A version that is to be deployed lacks what a prediction needs."""

    title = "Version cannot predict"

    def __init__(self, detail: str, problems: Sequence[str], *, is_missing: bool) -> None:
        super().__init__(detail)
        self.problems = tuple(map(visible, problems))
        self.code = "MODEL_FILE_MISSING" if is_missing else "CANNOT_PREDICT"

    @property
    def members(self) -> dict[str, object]:
        return {"code": self.code, "problems": self.problems}


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


class StoreError(ModelManagerError):
    """The state on disk cannot be read or written."""

    title = "Store error"


class StoreCorrupt(StoreError):
    title = "Store file damaged"


class StoreTooNew(StoreError):
    title = "Store file of a newer version"


class StoreFull(StoreError):
    """The disk has no space left for a change; what is stored is served on."""

    status = 507
    title = "Disk full"


class StoreBusy(StoreError):
    """Another process held the write lock for too long."""

    status = 503
    title = "Store busy"


class RootNotWritten(ModelManagerError):
    """A run cannot be published into, or removed from, its root."""

    title = "Root not written"


class RootBusy(RootNotWritten):
    """Another process changed the same root for too long."""

    status = 503
    title = "Root busy"


class ConversionFailed(ModelManagerError):
    """The child process that converts a model failed, ran too long or grew too large."""

    status = 502
    title = "Conversion failed"


class PredictionFailed(ModelManagerError):
    """The child process that predicts died, ran too long or grew too large."""

    status = 502
    title = "Prediction failed"


class PredictorBusy(ModelManagerError):
    """Too many predictions wait already, or the model rests after it ended the process that predicts."""

    status = 503
    title = "Predictor busy"


class ServiceAway(ModelManagerError):
    """A payload server that was asked how it is does not answer."""

    status = 503
    title = "Payload server away"


class ReaderNotStarted(ModelManagerError):
    """The system starts no more processes just now, so nothing is known of the artifacts that were to be read."""

    status = 503
    title = "No process for reading"


class ServiceUnwell(ModelManagerError):
    """A payload server that was asked how it is says that it cannot work."""

    status = 503
    title = "Payload server unwell"


class BoosterNotUnderstood(ModelManagerError):
    """A booster's JSON has another form than the figures of trees and gain are made from."""

    title = "Booster not understood"


class UnreadableArtifact(ModelManagerError):
    """A file, or part of one, that cannot be used: the scan turns it into a finding.

    ``code`` is the finding's code, ``remedy`` what the researcher can do, ``line`` the 1-based line if there is one.
    """

    title = "Unreadable artifact"
    code: str

    def __init__(self, code: str, detail: str, remedy: str, line: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.remedy = remedy
        self.line = line
