"""What the files of one group say of each other: its factors, taus and booster must be of one training."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mm_core.artifacts.layouts import GroupFiles
from mm_core.artifacts.model_checks import first_difference, is_numbered, stopped_early
from mm_core.artifacts.readers.model_json import CheckedBooster
from mm_core.domain.factors import IcTable
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity

ONE_TRAINING = "See whether all files of the group are of one training run: bots pair columns and factors by place."
FORBIDDEN = frozenset("[]<")
"""Characters that XGBoost takes in no name, so that trainings write something else for them."""

OLDER = timedelta(minutes=10)
"""A model's JSON that is older than the pickle beside it by more is of another training: one writes both at once."""


class GroupChecks:
    """Adds to ``findings`` what is wrong with a group, in the order in which it is asked for."""

    def __init__(self, listed: GroupFiles, findings: list[Finding]) -> None:
        self._listed = listed
        self._findings = findings
        self._by_role = {file.role: file for file in listed.files}

    def missing(self) -> None:
        """Find each file that is not there."""
        for role, name in (
            (FileRole.FACTORS, "_factors.txt"),
            (FileRole.IC, "_ic.csv"),
            (FileRole.INFO, "_info.pkl"),
        ):
            if role not in self._by_role:
                self._warn(
                    "missing-file",
                    self._listed.group_key + name,
                    "The file is missing.",
                    "Copy it beside the others; the rest of the group is used.",
                )
        if FileRole.MODEL_JSON not in self._by_role and FileRole.MODEL_PICKLE not in self._by_role:
            self._add(
                Severity.ERROR,
                "missing-model",
                self._listed.group_key + "_model.json",
                "The group has neither _model.json nor _model.pkl, so bots cannot be served.",
                "Copy one of them beside the other files.",
            )

    def booster(self, booster: CheckedBooster, names: Sequence[str]) -> None:
        """Find a booster that has other features than the factor list, and one that stopped early."""
        path, own = booster.summary.source, booster.feature_names
        if booster.summary.feature_dim != len(names):
            self._warn(
                "dimension-mismatch",
                path,
                f"The model has {booster.summary.feature_dim} features, the factor list {len(names)} names.",
                "Write the factor list of the same training run: bots pair columns and dimensions by it.",
            )
        elif own and not is_numbered(own) and not is_numbered(own, ""):
            written = [mine if FORBIDDEN & set(name) else name for mine, name in zip(own, names, strict=True)]
            self._compare("The booster was trained with", path, own, written)
        self._findings += stopped_early(path, booster)

    def selected(self, selected: Sequence[str], names: Sequence[str], booster: CheckedBooster | None) -> None:
        """Find a training info that selected other factors than the list has, or the same in another order.

        The order is right where the booster was trained with the names of the list.
        """
        if not selected or FileRole.FACTORS not in self._by_role:
            return
        same = sorted(selected) == sorted(names)
        if not (same and booster is not None and tuple(booster.feature_names) == tuple(names)):
            self._compare("The training info selected", self._by_role[FileRole.INFO].path, selected, names)

    def taus(self, ic: IcTable, role: FileRole, factors: Sequence[str], symbol: str, return_name: str) -> None:
        """Find factors whose tau, in the file of ``role``, is of another symbol or return than the group's."""
        rows = ic.row_by_factor(symbol, return_name)
        others = [name for name in factors if name in rows and ic.is_of_others(rows[name], symbol, return_name)]
        if not others:
            return
        row = rows[others[0]]
        self._warn(
            "ic-of-others",
            self._by_role[role].path,
            f"For {len(others)} of {len(factors)} factors there is no row of symbol {symbol[:60]!r} and return "
            f"{return_name[:60]!r}, as which the group is served: the tau of {others[0][:60]!r} is of "
            f"{ic.symbols[row][:60]!r} and {ic.return_names[row][:60]!r}.",
            "See whether the IC table is of the training run that made the model, and so are the other files.",
        )

    def models(self) -> None:
        """Find a model's JSON that counts though it is older than the pickle beside it."""
        counting, passed_over = self._by_role.get(FileRole.MODEL_JSON), self._by_role.get(FileRole.MODEL_PICKLE)
        if counting is None or passed_over is None:
            return
        age = timedelta(microseconds=(passed_over.modified_ns - counting.modified_ns) // 1000)
        if age > OLDER:
            self._warn(
                "older-model-json",
                counting.path,
                f"_model.json counts, and is older than _model.pkl by {_told(age)}: bots are given the older model.",
                "Write both in each training, or delete the one that it no longer writes.",
            )

    def _compare(self, what: str, path: str, theirs: Sequence[str], names: Sequence[str]) -> None:
        if sorted(theirs) != sorted(names):
            strange = next(iter(sorted(set(theirs) - set(names))), None)
            lacking = next(iter(sorted(set(names) - set(theirs))), None)
            said = [f"has {strange[:60]!r}" if strange else "", f"lacks {lacking[:60]!r}" if lacking else ""]
            detail = f"{what} other factors than the list names: it {' and '.join(filter(None, said))}."
        elif (at := first_difference(theirs, names)) is not None:
            detail = (
                f"{what} the factors of the list in another order: place {at} has {theirs[at][:60]!r}, "
                f"in the list {names[at][:60]!r}."
            )
        else:
            return
        self._warn("factors-mismatch", path, detail, ONE_TRAINING)

    def _warn(self, code: str, file: str, detail: str, remedy: str) -> None:
        self._add(Severity.WARNING, code, file, detail, remedy)

    def _add(self, severity: Severity, code: str, file: str, detail: str, remedy: str) -> None:
        self._findings.append(Finding(severity, code, file, detail, remedy))


def _told(age: timedelta) -> str:
    minutes = age // timedelta(minutes=1)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 48 * 60 else f"{minutes // 1440} days"
