"""Errors about versions, training runs and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mm_core.errors.kinds import BadRequest, Conflict, ModelManagerError, NotFound, WithReasons
from mm_core.errors.problems import Problems
from mm_core.spelling import visible


class InvalidVersion(BadRequest):
    """What is said of a version breaks at least one rule; ``problems`` has all of them, as `Problems.told` tells."""

    title = "Invalid version"
    code = "INVALID_VERSION"

    def __init__(self, problems: Iterable[str]) -> None:
        found = Problems(problems)
        self.problems = found.told()
        super().__init__(f"The version has {len(found):,} problem(s), nothing was stored: {'; '.join(self.problems)}.")

    @property
    def members(self) -> dict[str, object]:
        return {"code": self.code, "problems": self.problems}


class NothingToUpdate(BadRequest):
    """An update that names no field."""

    title = "No fields to update"
    code = "NO_FIELDS_TO_UPDATE"


class InvalidRows(BadRequest):
    """Rows that cannot be predicted for; ``problems`` tells what is wrong, ``missing`` names the features that are."""

    title = "Invalid rows"

    def __init__(self, problems: Sequence[str], missing: Sequence[str] = ()) -> None:
        found = Problems(problems)
        self.problems = found.told()
        self.missing = tuple(map(visible, missing))
        super().__init__(f"The rows have {len(found):,} problem(s), nothing was predicted: {'; '.join(self.problems)}.")

    @property
    def members(self) -> dict[str, object]:
        return {"problems": self.problems, "missing": self.missing}


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


class RootNotManaged(Conflict):
    """A change was asked for below a directory that nobody gave into our hands."""

    title = "Root not managed"


class RunProtected(Conflict):
    """A run that must not go was to be removed."""

    title = "Version protected"


class NormalizerNotFound(NotFound):
    """A version was trained without a normalizer, or the one of its training is not among its files."""

    title = "Version without a normalizer"
    code = "NORMALIZER_NOT_FOUND"


class VersionUnusable(WithReasons, Conflict):
    """A version that is neither given to bots, nor asked, nor deployed as it is; ``problems`` has every reason."""

    title = "Version cannot be used"


class CannotPredict(VersionUnusable):
    """A version lacks what a prediction needs, here or in bots."""

    title = "Version cannot predict"

    def __init__(self, detail: str, problems: Sequence[str], *, is_missing: bool = False) -> None:
        super().__init__(detail, problems)
        self.code = "MODEL_FILE_MISSING" if is_missing else "CANNOT_PREDICT"


class ModelUnusable(CannotPredict):
    """A version's files are damaged, changed, or do not fit each other; the sentence is the one reason."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, [detail])


class ModelFileUnusable(ModelUnusable):
    """The file that a model is read from is none, or not the one of its digest: another copy of it may be."""


class AmbiguousVersion(VersionUnusable):
    """A version lies in several directories, and nobody can tell which one is meant; ``problems`` names them."""

    title = "Version in several directories"
    code = "AMBIGUOUS_VERSION"


class AmbiguousModel(VersionUnusable):
    """A run has several models that bots could be given, and does not say which; ``problems`` names them."""

    title = "Run with several models"
    code = "AMBIGUOUS_MODEL"


class InvalidNormalizer(VersionUnusable):
    """The normalizer of a version cannot be used."""

    status = 422
    title = "Invalid normalizer"
    code = "NORMALIZER_INVALID"


class AlreadyExists(Conflict):
    """A version, another name of a family, or what is set under it, is there; ``existing`` tells which."""

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


class RootNotWritten(ModelManagerError):
    """A run cannot be published into, or removed from, its root."""

    title = "Root not written"


class RootBusy(RootNotWritten):
    """Another process changed the same root for too long."""

    status = 503
    title = "Root busy"


class PredictionFailed(ModelManagerError):
    """The child process that predicts died, ran too long or grew too large."""

    status = 502
    title = "Prediction failed"


class PredictorBusy(ModelManagerError):
    """Too many predictions wait already, or the model rests after it ended the process, or questions as large do."""

    status = 503
    title = "Predictor busy"
