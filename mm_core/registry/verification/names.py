"""Registration and path: whether a version's names lead to its record, its directory, and what is in service."""

from __future__ import annotations

import os

from mm_core.artifacts.reading_defects import is_unread
from mm_core.domain.files import FileRole
from mm_core.domain.lifecycle import Status
from mm_core.domain.verification import Check, CheckName, Notice, Outcome
from mm_core.domain.versions import ALL_FIVE, VersionLayout
from mm_core.registry.deploy_checks import way_to_deploy
from mm_core.registry.verification.places import Place
from mm_core.registry.verification.subject import (
    SHARED,
    USUAL_NAMES,
    Subject,
    ambiguous,
    fail,
    nowhere,
    quoted,
    some,
)

LOADED = (FileRole.BOOSTER_TEXT, FileRole.NORMALIZER)
"""What bots load from the path."""

THAT_PREDICT = ("model", "normalizer", "metadata", "run")
"""The parts of a version on which its predictions depend."""


def check_registration(subject: Subject) -> Check:
    """Find out whether the version is registered, and whether bots find it or another one deployed."""
    name = CheckName.REGISTRATION
    record = subject.record
    if subject.wrong:
        return fail(name, "MODEL_NOT_FOUND", f"Model not found: {subject.wrong}", USUAL_NAMES)
    if record is None:
        is_run = bool(subject.places) and subject.places[0].version.layout is VersionLayout.RUNS
        kind = ("…" if subject.places[0].version.model is None else "xgboost") if is_run else "lightgbm"
        where = f"Its directory exists, '{subject.places[0].directory}'." if subject.places else "It has no directory."
        return fail(
            name, "MODEL_NOT_FOUND", f"Model not found: {subject.title} is not registered. {where}",
            f"Register it: python -m mm_core lifecycle register {quoted(subject.name, subject.version)} "
            f"--type {kind} --objective … --target … --horizon …",
        )  # fmt: skip
    stands = f"Registered as '{record.status}' ({record.status.stage}), id {record.model_id}."
    if record.status is Status.DEPLOYED:
        return Check(name, Outcome.PASSED, stands)
    if subject.deployed is not None:
        return Check(name, Outcome.PASSED, f"{stands} {subject.deployed} is the one that is deployed.")
    notice = Notice(
        "MODEL_NOT_FOUND",
        f"Model not found: {record.title} is '{record.status}', and no other version of {record.model_name} is "
        "deployed: bots that ask for what is deployed find none.",
        f"To have it found, {way_to_deploy(record)}.",
    )
    return Check(name, Outcome.PASSED, stands, warnings=(notice,))


def check_path(subject: Subject) -> Check:
    """Find out whether name and version lead to one directory of theirs, and to the bytes that are in service."""
    name = CheckName.PATH_RESOLUTION
    if len(subject.places) > 1:
        return ambiguous(name, subject)
    place = subject.place
    if place is None:
        return nowhere(name, subject)
    refresh = f"python -m mm_core refresh {quoted(place.registration)}"
    leads = f"{subject.title} leads to {place.directory}"
    served = place.served
    warnings = _shared(subject, place)
    there = {file.role for file in place.version.files}
    absent = [ALL_FIVE[role] for role in LOADED if role not in there]
    if absent and place.version.layout is VersionLayout.VERSIONS:
        return fail(
            name, "MODEL_FILE_MISSING", f"{leads}, where {' and '.join(absent)} is not found.",
            f"Copy {', '.join(absent)} of the same training there.", warnings=warnings,
        )  # fmt: skip
    if served is None:
        return fail(
            name, "NOT_IN_SERVICE", f"{leads}, which the last scan of '{place.registration}' does not have.", refresh,
            warnings=warnings,
        )  # fmt: skip
    others = [what for what in THAT_PREDICT if getattr(served, what) != getattr(place.version, what)]
    if others and not is_unread(place.version.findings):
        return fail(
            name, "NOT_IN_SERVICE",
            f"{leads}, where {' and '.join(others)} changed since {served.read_at}: older files are in service.",
            refresh, warnings=warnings,
        )  # fmt: skip
    return Check(name, Outcome.PASSED, f"{leads}.", warnings=warnings)


def _shared(subject: Subject, place: Place) -> tuple[Notice, ...]:
    found = []
    if subject.same_model:
        what = f"The same model, byte for byte, is in {some([*map(str, subject.same_model)])}."
        found.append(Notice(SHARED, what, "Copy the model of each version's own training."))
    for file in place.version.files:
        path = os.path.realpath(place.root / file.path)
        if file.role is not FileRole.OTHER and not path.startswith(f"{place.directory}/"):
            what = f"{os.path.basename(file.path)} is a link to {path}, which is not of {subject.title}."
            found.append(Notice(SHARED, what, "Put a copy of this version's own file in the place of the link."))
    parts = place.directory.parts
    if not any(one in parts for one in subject.names):
        what = f"The path {place.directory} does not name the model '{subject.name}'."
        remedy = "Rename the directory, or let its name stand for the model: python -m mm_core lifecycle alias."
        found.append(Notice(SHARED, what, remedy))
    return tuple(found)
