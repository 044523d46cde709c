"""All files of one group become one `Group`, with the bytes that bots will be given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mm_core.artifacts.group_checks import GroupChecks
from mm_core.artifacts.layouts import GroupFiles
from mm_core.artifacts.limits import READING_RULES, ReadingLimits
from mm_core.artifacts.pickles import read_model_json
from mm_core.artifacts.readers.factors_txt import read_factors
from mm_core.artifacts.readers.ic_csv import read_ic
from mm_core.artifacts.readers.info_pkl import read_training_info
from mm_core.artifacts.readers.model_json import CheckedBooster, read_booster
from mm_core.artifacts.readers.names import is_symbol, symbol_of_key
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.stable_file import STILL_BEING_WRITTEN, identity_of, is_as_listed, read_stable
from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, TrainingInfo
from mm_core.domain.moments import utc_now
from mm_core.errors import UnreadableArtifact
from mm_core.spelling import code_points, mixes_look_alikes

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class GroupReading:
    """A group with the JSON text of its booster and the content of its ONNX file, where it has them."""

    group: Group
    model_json: bytes | None
    onnx: bytes | None


def read_group(root: Path, listed: GroupFiles, limits: ReadingLimits) -> GroupReading:
    """Return what the files of one group say; whatever cannot be used is a finding, never an exception.

    A group of which a file is not as listed when the last one was read has no model: its files may be of two runs.
    """
    return _GroupReader(root, listed, limits).read()


class _GroupReader:
    def __init__(self, root: Path, listed: GroupFiles, limits: ReadingLimits) -> None:
        self.root = root
        self.listed = listed
        self.limits = limits
        self.by_role = {file.role: file for file in listed.files}
        self.findings: list[Finding] = []

    def read(self) -> GroupReading:
        names = self._use(FileRole.FACTORS, read_factors) or ()
        ic, ic_role = self._use(FileRole.IC, read_ic) or IcTable(), FileRole.IC
        training, info_ic = self._use(FileRole.INFO, read_training_info) or (TrainingInfo(), IcTable())
        booster, model_json = self._model()
        onnx = self._use(FileRole.MODEL_ONNX, lambda data, _: data)
        self._report_changed()
        if is_torn(self.findings):
            booster, model_json, onnx = None, None, None
        if not len(ic):
            ic, ic_role = info_ic, FileRole.INFO
        named, return_name = self._named(training, ic)
        symbol = self._symbol(named)
        checks = GroupChecks(self.listed, self.findings)
        checks.missing()
        checks.models()
        checks.selected(training.selected_factors, names, booster)
        names = names or training.selected_factors
        if booster is not None:
            checks.booster(booster, names)
        checks.taus(ic, ic_role, names, named, return_name)
        group = Group(
            group_key=self.listed.group_key,
            symbol=symbol,
            return_name=return_name,
            files=self.listed.files,
            factors=FactorTable.joined(names, ic.tau_by_factor(named, return_name)),
            ic=ic,
            training=training,
            model=booster.summary if booster is not None else None,
            onnx_sha256=hashlib.sha256(onnx).hexdigest() if onnx is not None else None,
            findings=tuple(self.findings),
            read_at=utc_now(),
            rules=READING_RULES,
        )
        return GroupReading(group, model_json, onnx)

    def _model(self) -> tuple[CheckedBooster | None, bytes | None]:
        for role in (FileRole.MODEL_JSON, FileRole.MODEL_PICKLE):
            if role in self.by_role:
                return self._use(role, self._booster) or (None, None)
        return None, None

    def _booster(self, data: bytes, report: FileReport) -> tuple[CheckedBooster, bytes]:
        model_json = model_json_of(data, is_pickle=report.file == self._path(FileRole.MODEL_PICKLE))
        return read_booster(model_json, report), model_json

    def _use(self, role: FileRole, reader: Callable[[bytes, FileReport], Value]) -> Value | None:
        """Read the file of ``role`` if there is one; its problems become findings."""
        file = self.by_role.get(role)
        if file is None:
            return None
        report = FileReport(file.path)
        try:
            value = reader(self._bytes_of(file), report)
        except UnreadableArtifact as error:
            report.add(Severity.ERROR, error.code, error.detail, error.remedy, error.line)
            value = None
        self.findings += report.findings()
        return value

    def _bytes_of(self, file: ModelFile) -> bytes:
        return read_stable(self.root, file.path, self.limits.bytes_for(file.role), identity_of(file))

    def _named(self, training: TrainingInfo, ic: IcTable) -> tuple[str, str]:
        """Return symbol and return as the files call them."""
        before, _, after = self.listed.group_key.partition("_")
        named = training.symbol or next((text for text in ic.symbols if text), "") or before
        return named, training.return_name or next((text for text in ic.return_names if text), "") or after

    def _symbol(self, named: str) -> str:
        """Return ``named``, or what stands for it where it cannot be part of an address."""
        symbol = named if named and is_symbol(named) else symbol_of_key(self.listed.group_key)
        if not is_symbol(named):
            self._add(
                Severity.ERROR,
                "bad-symbol",
                self.listed.files[0].path,
                f"Symbol {named[:60]!r} cannot be part of an address; {symbol[:60]!r} is used.",
                "Write a symbol of at most 128 visible characters without '/', and begin the files' names with it.",
            )
        if mixes_look_alikes(symbol):
            self._add(
                Severity.WARNING,
                "look-alike-name",
                self.listed.files[0].path,
                f"Symbol '{symbol}' has letters that look Latin and are not: {code_points(symbol)}.",
                "Write the symbol with the letters that bots ask with.",
            )
        return symbol

    def _report_changed(self) -> None:
        known = {finding.file for finding in self.findings if finding.code == STILL_BEING_WRITTEN}
        for file in self.listed.files:
            if file.path not in known and not is_as_listed(self.root, file):
                self._add(
                    Severity.ERROR,
                    STILL_BEING_WRITTEN,
                    file.path,
                    "The file changed while its group was read, so the files may be of two runs.",
                    "Nothing to do if a run is writing it: the group is read again when it is quiet.",
                )

    def _add(self, severity: Severity, code: str, file: str, detail: str, remedy: str) -> None:
        self.findings.append(Finding(severity, code, file, detail, remedy))

    def _path(self, role: FileRole) -> str | None:
        file = self.by_role.get(role)
        return file.path if file is not None else None


def model_json_of(data: bytes, *, is_pickle: bool) -> bytes:
    """Return the JSON text of the booster in a file, not yet checked; raise `UnreadableArtifact` for no booster."""
    return (read_model_json(data) if is_pickle else data).removeprefix(b"\xef\xbb\xbf")


def is_torn(findings: Iterable[Finding]) -> bool:
    """Return whether a group was read while somebody wrote it: its files need not belong together."""
    return any(finding.code == STILL_BEING_WRITTEN for finding in findings)
