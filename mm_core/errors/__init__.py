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
    │   ├── NormalizerNotFound              404  a version that was trained without one
    │   └── PayloadUnavailable              404  says why
    ├── Conflict                            409
    │   ├── RootNotManaged                  409  says how it becomes one
    │   ├── RunProtected                    409  lists the reasons
    │   ├── AlreadyExists                   409  has what exists
    │   ├── IllegalMove                     409  says which moves there are
    │   └── VersionUnusable                 409  lists what is wrong
    │       ├── CannotPredict               409
    │       │   └── ModelUnusable           409  files that are damaged, changed, or do not fit each other
    │       │       └── ModelFileUnusable   409  the file that is read is none, or of another digest
    │       ├── AmbiguousVersion            409  names the directories
    │       ├── AmbiguousModel              409  names the models of a run
    │       └── InvalidNormalizer           422
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
    ├── AskAgain                            503
    │   ├── ScanMissing                     503  a model of which nobody knows just now what it has
    │   └── PayloadChanged                  503
    ├── ServiceAway                         503  another process of ours does not answer
    ├── ReaderNotStarted                    503  no process is left to read artifacts with
    ├── ServiceUnwell                       503  another process of ours answers that it cannot work
    ├── BoosterNotUnderstood                500  a model that can be served, not drawn
    └── UnreadableArtifact                  never leaves ``artifacts``: it becomes a finding

A message says what happened, where, and what to do next. ``status`` is the HTTP status an edge should
answer with; ``title`` is the short, constant name of the problem, ``code`` its name for programs where it has one.
"""

from __future__ import annotations

from mm_core.errors.kinds import (
    BadRequest,
    BodyTooLarge,
    Conflict,
    ExtraMissing,
    Forbidden,
    ModelManagerError,
    NotFound,
    RevisionConflict,
    SettingsError,
    Unauthorized,
    UnsupportedMediaType,
)
from mm_core.errors.models import (
    AmbiguousSymbol,
    AskAgain,
    BoosterNotUnderstood,
    DuplicateSymbols,
    GroupNotFound,
    InvalidFactorConfig,
    InvalidName,
    InvalidRoot,
    ModelNotFound,
    PayloadChanged,
    PayloadUnavailable,
    RevisionNotFound,
    ScanMissing,
    SymbolNotFound,
    UnreadableArtifact,
)
from mm_core.errors.problems import MOST_SHOWN, Problems, in_short
from mm_core.errors.services import (
    BackupRefused,
    ConversionFailed,
    ReaderNotStarted,
    ServiceAway,
    ServiceUnwell,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreTooNew,
)
from mm_core.errors.versions import (
    AlreadyExists,
    AmbiguousModel,
    AmbiguousVersion,
    CannotPredict,
    IllegalMove,
    InvalidNormalizer,
    InvalidRows,
    InvalidVersion,
    ModelFileUnusable,
    ModelUnusable,
    NormalizerNotFound,
    NothingToUpdate,
    PredictionFailed,
    PredictorBusy,
    RootBusy,
    RootNotManaged,
    RootNotWritten,
    RunNotFound,
    RunProtected,
    VersionNotFound,
    VersionUnusable,
)

__all__ = [
    "MOST_SHOWN",
    "AlreadyExists",
    "AmbiguousModel",
    "AmbiguousSymbol",
    "AmbiguousVersion",
    "AskAgain",
    "BackupRefused",
    "BadRequest",
    "BodyTooLarge",
    "BoosterNotUnderstood",
    "CannotPredict",
    "Conflict",
    "ConversionFailed",
    "DuplicateSymbols",
    "ExtraMissing",
    "Forbidden",
    "GroupNotFound",
    "IllegalMove",
    "InvalidFactorConfig",
    "InvalidName",
    "InvalidNormalizer",
    "InvalidRoot",
    "InvalidRows",
    "InvalidVersion",
    "ModelFileUnusable",
    "ModelManagerError",
    "ModelNotFound",
    "ModelUnusable",
    "NormalizerNotFound",
    "NotFound",
    "NothingToUpdate",
    "PayloadChanged",
    "PayloadUnavailable",
    "PredictionFailed",
    "PredictorBusy",
    "Problems",
    "ReaderNotStarted",
    "RevisionConflict",
    "RevisionNotFound",
    "RootBusy",
    "RootNotManaged",
    "RootNotWritten",
    "RunNotFound",
    "RunProtected",
    "ScanMissing",
    "ServiceAway",
    "ServiceUnwell",
    "SettingsError",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreTooNew",
    "SymbolNotFound",
    "Unauthorized",
    "UnreadableArtifact",
    "UnsupportedMediaType",
    "VersionNotFound",
    "VersionUnusable",
    "in_short",
]
