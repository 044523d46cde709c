"""Runs as they are read: what is there, how large, in which format, and what the metadata says of it.

No file of a model is opened here: a pickle runs the code of whoever wrote it, and so may a loader of Keras or Torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.training_metadata import (
    CORRUPT,
    read_training_metadata,
    report_weights_without_file,
)
from mm_core.artifacts.stable_file import read_stable
from mm_core.domain.findings import Finding
from mm_core.domain.runs import LATEST, TRAINING_METADATA, RunId, RunMetadata, model_of
from mm_core.errors import RunNotFound, UnreadableArtifact
from mm_core.versions.directories import content_of, is_run, run_ids
from mm_core.versions.latest import Latest, resolve_latest
from mm_core.versions.managed import real_root
from mm_core.versions.pins import not_found


@dataclass(frozen=True, slots=True)
class RunFile:
    """One model's file; ``format`` is told from its name."""

    model: str
    name: str
    format: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """One version of a root: ``path`` is absolute, ``created_at`` ISO 8601 in UTC, from the directory's name.

    ``files`` are those of models that are not empty, ``metadata`` None where it is missing or corrupt.
    """

    version: str
    path: Path
    created_at: str
    size_bytes: int
    files: tuple[RunFile, ...]
    metadata: RunMetadata | None
    findings: tuple[Finding, ...]

    @property
    def available_models(self) -> tuple[str, ...]:
        """The models that have a file, each once, by name."""
        return tuple(sorted({file.model for file in self.files}))

    @property
    def missing_models(self) -> tuple[str, ...]:
        """The models that were trained, or have a weight, and have no file."""
        if self.metadata is None:
            return ()
        present = set(self.available_models)
        named = dict.fromkeys((*self.metadata.trained_models, *self.metadata.ensemble_weights))
        return tuple(model for model in named if model not in present)

    @property
    def ensemble_shares(self) -> dict[str, float]:
        """The ensemble weights of the models that have a file, scaled so that their sum is 1."""
        return self.metadata.shares_of([file.name for file in self.files]) if self.metadata is not None else {}


def list_versions(root: str | os.PathLike[str]) -> tuple[Run, ...]:
    """Return the runs of a root, newest first; whatever is wrong with one is a finding of that one.

    Raises `InvalidRoot`.
    """
    path = real_root(root)
    runs = (_read(path, run) for run in run_ids(path))
    return tuple(run for run in runs if is_run(path, run.version))  # one that was removed meanwhile is not half there


def current_version(root: str | os.PathLike[str]) -> Latest:
    """Return the run that ``latest`` stands for; raise `InvalidRoot`."""
    path = real_root(root)
    return resolve_latest(path, run_ids(path))


def show_version(root: str | os.PathLike[str], version: str) -> Run:
    """Return one run by its name, or the latest by that word; raise `InvalidRoot`, `RunNotFound`."""
    path = real_root(root)
    name = version
    if version == LATEST:
        found = resolve_latest(path, run_ids(path)).version
        if found is None:
            raise RunNotFound("No model versions found.", f"'{path}' has no directory such as 20250724_150837.")
        name = found
    run = RunId.parse(name)
    if run is None or not is_run(path, name):
        raise not_found(path, version)
    return _read(path, run)


def load_version(root: str | os.PathLike[str], version: str = LATEST) -> Run:
    """Return a run of which at least one model is there; `Run.missing_models` are those that are not.

    Nothing is switched to it and no model is opened: whoever does that has the paths. Raises `InvalidRoot`,
    `RunNotFound`.
    """
    run = show_version(root, version)
    if not run.files:
        raise RunNotFound(
            f"Version {run.version} has no model to load.", f"Copy the files of its models into '{run.path}'."
        )
    return run


def _read(root: Path, run: RunId) -> Run:
    directory = root / str(run)
    content = content_of(directory)
    report = FileReport(f"{run}/{TRAINING_METADATA}")
    files = []
    for name, size in sorted(content.files.items()):
        found = model_of(name)
        if found is not None and size:
            files.append(RunFile(found[0], name, found[1], size))
    metadata = _metadata(root, report, TRAINING_METADATA in content.files)
    if metadata is not None:
        report_weights_without_file(metadata, [file.name for file in files], report)
    return Run(
        version=str(run),
        path=directory,
        created_at=run.created_at,
        size_bytes=content.size_bytes,
        files=tuple(files),
        metadata=metadata,
        findings=report.findings(),
    )


def _metadata(root: Path, report: FileReport, is_there: bool) -> RunMetadata | None:
    if not is_there:
        report.warn(CORRUPT, "The file is missing, or is no regular file.", "Publish runs: it is written with them.")
        return None
    try:
        return read_training_metadata(read_stable(root, report.file, ReadingLimits().file_bytes), report)
    except UnreadableArtifact as error:
        report.warn(error.code, error.detail, error.remedy, error.line)
        return None
