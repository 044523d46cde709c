"""Errors about registered models, their groups, configs and payloads."""

from __future__ import annotations

from mm_core.errors.kinds import BadRequest, ModelManagerError, NotFound
from mm_core.errors.problems import Problems


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
    """A factor config breaks at least one rule; ``problems`` has all of them, as `Problems.told` tells them."""

    title = "Invalid factor config"

    def __init__(self, problems: Problems) -> None:
        self.problems = problems.told()
        super().__init__(
            f"The factor config has {len(problems):,} problem(s), nothing was stored: {'; '.join(self.problems)}."
        )

    @property
    def members(self) -> dict[str, object]:
        return {"problems": self.problems}


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


class PayloadUnavailable(NotFound):
    """The group exists, but no model that bots could be given."""

    title = "No payload"


class AskAgain(ModelManagerError):
    """What was asked for cannot be told just now, and will be: no word on whether it is there."""

    status = 503


class ScanMissing(AskAgain):
    """What the last refresh of a model found is not on disk any more, or damaged: it is read again."""

    title = "Scan missing"


class PayloadChanged(AskAgain):
    """What a payload is made of became something else since it was looked at: the next answer is the new one."""

    title = "Payload changed"


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
