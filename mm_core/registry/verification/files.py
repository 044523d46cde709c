"""Structure and permissions: whether the files of a version are whole, fit together, and can be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.verification import Check, CheckName, Notice, Outcome
from mm_core.domain.versions import REQUIRED, VersionLayout
from mm_core.registry.verification.subject import (
    MEND_FIRST,
    SHOWN,
    Subject,
    ambiguous,
    fail,
    nowhere,
    quoted,
    some,
)
from mm_core.registry.version_refusals import MISSING_FILES, NORMALIZER_CODES


def check_structure(subject: Subject) -> Check:
    """Find out whether everything is there that a prediction needs, and fits together."""
    name = CheckName.STRUCTURE
    if len(subject.places) > 1:
        return ambiguous(name, subject)
    place = subject.place
    if place is None:
        return nowhere(name, subject)
    version = place.version
    warnings = tuple(_notice(one) for one in version.findings if one.severity is Severity.WARNING)
    warnings += tuple(_notice(one) for one in subject.passed_over)
    errors = [one for one in version.findings if one.severity is Severity.ERROR]
    if version.layout is VersionLayout.RUNS:
        models = [os.path.basename(file.path) for file in version.files if _is_model_of_run(file)]
        if not models:
            return fail(
                name, "MODEL_FILE_MISSING", f"Failed to load model: no file of a model in the run '{place.directory}'.",
                "Publish the run again, or deprecate it.", warnings=warnings,
            )  # fmt: skip
        given = f"; bots are given '{version.run_model}'" if version.run_model is not None else ""
        found = f"{len(models)} models: {', '.join(models[:SHOWN])}{given}."
    else:
        booster = version.booster
        found = f"{len(version.files)} files, the {len(REQUIRED)} required ones among them"
        if booster is not None:
            found += f"; {booster.num_trees} trees on {len(booster.feature_names)} features"
        found += "."
    if not errors:
        return Check(name, Outcome.PASSED, found, warnings=warnings)
    missing = [os.path.basename(one.file) for one in errors if one.code in MISSING_FILES]
    sentences = [one.sentence for one in (*errors, *subject.passed_over)]
    if missing:
        return fail(
            name, "MODEL_FILE_MISSING",
            f"Failed to load model: {place.directory / missing[0]} not found. Missing: {', '.join(missing)}.",
            f"Copy {', '.join(missing)} of the same training into {place.directory}.", sentences, warnings,
        )  # fmt: skip
    normalizer = next((one for one in errors if one.code in NORMALIZER_CODES), None)
    first = normalizer or errors[0]
    code = "CANNOT_PREDICT" if normalizer is None else "NORMALIZER_INVALID"
    told = [f"{one.place}: {one.detail}" for one in (first, *(one for one in errors if one is not first))]
    return fail(name, code, some(told, " "), first.remedy, sentences, warnings)


def check_permissions(subject: Subject) -> Check:
    """Find out whether directory and files can be read, by whoever runs the service, and changed by few."""
    name = CheckName.PERMISSIONS
    place = subject.place
    closed = [*map(str, subject.closed)]
    if closed:
        what = f"{len(closed)} directories cannot be listed: {some(closed)}."
        return fail(name, "PERMISSION_DENIED", what, _chmod(closed), closed)
    if place is None:
        return fail(name, "", "There are no files of one directory to look at.", MEND_FIRST)
    unreadable: list[str] = []
    owners_alone: list[str] = []
    open_to_all: list[str] = []
    paths = [place.directory, *(place.root / file.path for file in place.version.files)]
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            return fail(
                name, "MODEL_FILE_MISSING", f"{path} cannot be looked at any more ({error.strerror}).",
                "Verify again when nobody writes there.",
            )  # fmt: skip
        wanted = os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK
        if not os.access(path, wanted) or not mode & (stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH):
            unreadable.append(str(path))
        elif not mode & stat.S_IROTH:
            owners_alone.append(str(path))
        if mode & stat.S_IWOTH:
            open_to_all.append(str(path))
    if unreadable:
        return fail(
            name, "PERMISSION_DENIED", f"{len(unreadable)} of {len(paths)} cannot be read: {some(unreadable)}.",
            _chmod(unreadable), unreadable,
        )  # fmt: skip
    warnings = []
    if owners_alone:
        what = f"{len(owners_alone)} are not readable by all: {some(owners_alone)}. A service of another user fails."
        warnings.append(Notice("NOT_READABLE_BY_ALL", what, _chmod(owners_alone)))
    if open_to_all:
        what = f"Anybody on this machine may change {some(open_to_all)}."
        warnings.append(Notice("WRITABLE_BY_ALL", what, _chmod(open_to_all)))
    return Check(
        name, Outcome.PASSED, f"The directory and {len(paths) - 1} files can be read.", warnings=tuple(warnings)
    )


def _notice(finding: Finding) -> Notice:
    return Notice(finding.code, f"{finding.place}: {finding.detail}", finding.remedy)


def _is_model_of_run(file: ModelFile) -> bool:
    return file.role is FileRole.RUN_MODEL and file.size_bytes > 0


def _chmod(paths: Sequence[str]) -> str:
    """Return the command that gives directories and files the modes of the guide."""
    listed = paths[:SHOWN]
    folders = [path for path in listed if os.path.isdir(path)]
    files = [path for path in listed if path not in folders]
    commands = [f"chmod {mode} {quoted(*named)}" for mode, named in (("755", folders), ("644", files)) if named]
    return "; ".join(commands)
