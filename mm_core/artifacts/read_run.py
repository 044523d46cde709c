"""The files of one training run become a `Version`: its metadata, and the XGBoost model that bots can be given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mm_core.artifacts.model_checks import stopped_early
from mm_core.artifacts.pickles import Scaler, read_scaler
from mm_core.artifacts.read_group import model_json_of
from mm_core.artifacts.readers.model_facts import booster_facts
from mm_core.artifacts.readers.model_json import CheckedBooster, read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.training_metadata import read_training_metadata, report_weights_without_file
from mm_core.artifacts.run_checks import RunChecks
from mm_core.artifacts.stable_file import STILL_BEING_WRITTEN, identity_of, open_stable
from mm_core.artifacts.version_files import VersionFilesReader, VersionReading, version_of
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Severity
from mm_core.domain.predictions import ModelFormat
from mm_core.domain.runs import PICKLE, XGBOOST_JSON, RunMetadata, model_of
from mm_core.domain.versions import UNKNOWN_SCALER, BoosterText, ModelContent, Normalizer
from mm_core.errors import UnreadableArtifact

SNIFFED_BYTES = 64 << 10
"""Of a model's file that is not called after XGBoost: whether it is mentioned there."""

TELLING: Mapping[str, bytes] = {PICKLE: b"xgboost", XGBOOST_JSON: b'"learner"'}
"""What the files of XGBoost's models begin with, by format; no other ones are read."""

UNSAFE = "unsafe-pickle"


@dataclass(frozen=True, slots=True)
class Found:
    """A model of a run that XGBoost can load: its file and format, its text, and what it is."""

    file: ModelFile
    text: bytes
    checked: CheckedBooster
    booster: BoosterText

    @property
    def content(self) -> ModelContent:
        """What names the text."""
        digest = hashlib.sha256(self.text).hexdigest()
        return ModelContent(digest, len(self.text), ModelFormat.XGBOOST_JSON, self.file.path)


class RunReader(VersionFilesReader):
    """Reads one run: no model but those of XGBoost is opened, and of no pickle anything is run."""

    def read(self) -> VersionReading:
        """Return what the files say, with the text of the model that bots are given."""
        run = self.use(FileRole.TRAINING_METADATA, self._run)
        checks = RunChecks(self.listed, self.findings)
        checks.metadata(FileRole.TRAINING_METADATA in self.by_role)
        models = self._models()
        name = checks.served(models.keys(), run)
        found = models.get(name or "")
        scaler = self._scaler(name)
        normalizer: Normalizer | None = None
        if found is not None:
            self.findings += stopped_early(found.file.path, found.checked)
            normalizer = checks.fitting(found.file.path, found.booster, scaler, run)
        if self.is_torn():
            found = None
        version = replace(
            version_of(self.listed, self.findings),
            run=run,
            model=found.content if found is not None else None,
            booster=found.booster if found is not None else None,
            normalizer=normalizer,
        )
        return VersionReading(version, found.text if found is not None else None)

    def _run(self, data: bytes, report: FileReport) -> RunMetadata:
        run = read_training_metadata(data, report)
        report_weights_without_file(run, self.listed.names_of(FileRole.RUN_MODEL), report)
        return run

    def _models(self) -> dict[str, Found]:
        """Return the models of XGBoost by name; of a pickle and a JSON file of one name the JSON file counts."""
        chosen: dict[str, tuple[ModelFile, str]] = {}
        for file in self.listed.files:
            named = model_of(file.path.rpartition("/")[2]) if file.role is FileRole.RUN_MODEL else None
            if named is None or named[1] not in TELLING or not file.size_bytes:
                continue
            if named[0] not in chosen or named[1] == XGBOOST_JSON:
                chosen[named[0]] = (file, named[1])
        found = {name: self._model(name, file, form) for name, (file, form) in chosen.items()}
        return {name: model for name, model in found.items() if model is not None}

    def _model(self, name: str, file: ModelFile, form: str) -> Found | None:
        is_named = "xgb" in name.casefold()
        report = FileReport(file.path)
        try:
            if not is_named and not self._mentions(file, TELLING[form]):
                return None
            text = model_json_of(self.bytes_of(file), is_pickle=form == PICKLE)
            checked = read_booster(text, report)
            booster = booster_facts(text)
        except UnreadableArtifact as error:
            if is_named or error.code == STILL_BEING_WRITTEN:
                self.refuse(file.role, report, error)
            elif error.code != "unsupported-model":
                report.warn(error.code, error.detail, error.remedy)
                self.findings += report.findings()
            return None
        self.findings += report.findings()
        return Found(file, text, checked, booster)

    def _mentions(self, file: ModelFile, word: bytes) -> bool:
        with open_stable(self.root, file.path, file.size_bytes, identity_of(file)) as content:
            return word in content.read(SNIFFED_BYTES)

    def _scaler(self, name: str | None) -> Scaler | None:
        """Return the scaler of a model's features; without a model, find out whether the file is safe."""
        file = self.by_role.get(FileRole.SCALERS)
        if file is None:
            return None
        report = FileReport(file.path)
        try:
            data = self.bytes_of(file)
        except UnreadableArtifact as error:
            self.refuse(file.role, report, error)
            return None
        try:
            return read_scaler(data, name or "")
        except UnreadableArtifact as error:
            if error.code == UNSAFE:
                severity = Severity.ERROR if name is not None else Severity.WARNING
                report.add(severity, error.code, error.detail, error.remedy)
            elif name is not None:
                report.warn(
                    UNKNOWN_SCALER,
                    f"The features of '{name}' were normalized by what cannot be read: {error.detail}",
                    "Pickle a fitted StandardScaler, or a dict with one by the model's name, with pickle.dump.",
                )
        self.findings += report.findings()
        return None
