"""Versions verified: files, registration, path and a test prediction, as they are just now; nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mm_core.artifacts.limits import ReadingLimits
from mm_core.domain.lifecycle import Status
from mm_core.domain.verification import Verification, VerificationReport
from mm_core.domain.version_records import FAMILY_NAME, VersionRecord, version_id
from mm_core.prediction import Predictor
from mm_core.registry.lifecycle_lookups import find_family, names_of, require_family, require_whole
from mm_core.registry.verification.files import check_permissions, check_structure
from mm_core.registry.verification.names import check_path, check_registration
from mm_core.registry.verification.places import VersionPlaces
from mm_core.registry.verification.predicting import check_prediction, with_equal_confidences
from mm_core.registry.verification.subject import Subject
from mm_core.store import RegistryStore, StoreView

SAME_CONFIDENCE = 1e-9
FEWEST_ALIKE = 3
"""So many models of one confidence are told: two may be by chance, as with round numbers."""

Progress = Callable[[int, int], object]


class Verifier:
    """Verifies versions by name; predictions are made by a predictor's child process."""

    def __init__(
        self,
        store: RegistryStore,
        limits: ReadingLimits,
        allowed_roots: tuple[Path, ...] | None,
        predictor: Predictor,
    ) -> None:
        self._store = store
        self._limits = limits
        self._allowed_roots = allowed_roots
        self._predictor = predictor

    def verify(self, name: str, version: str) -> VerificationReport:
        """Verify one version, registered or not; whatever its name is, the answer is a report."""
        view = self._store.view()
        places = VersionPlaces(view, self._limits, self._allowed_roots)
        return VerificationReport((self._verified(view, places, name, version),), unread=places.unread)

    def verify_all(self, name: str | None = None, progress: Progress | None = None) -> VerificationReport:
        """Verify every registered version that is not deprecated, of one family or of all.

        ``progress(done, total)`` counts versions. Raises `VersionNotFound` for an unknown family.
        """
        view = self._store.view()
        places = VersionPlaces(view, self._limits, self._allowed_roots)
        if name is None:
            require_whole(view)
        families = (require_family(view, name),) if name is not None else view.lifecycle.families()
        records = [record for family in families for record in view.lifecycle.records(family.name)]
        wanted = [record for record in records if record.status is not Status.DEPRECATED]
        found = []
        for done, record in enumerate(wanted, 1):
            found.append(self._verified(view, places, record.model_name, record.model_version))
            if progress is not None:
                progress(done, len(wanted))
        return VerificationReport(
            tuple(_with_confidences_compared(found)),
            _unregistered(view, places, records, name),
            len(records) - len(wanted),
            places.unread,
        )

    def close(self) -> None:
        """End the process that predicts."""
        self._predictor.close()

    def _verified(self, view: StoreView, places: VersionPlaces, name: str, version: str) -> Verification:
        subject = _subject(view, places, name, version)
        prediction, confidence = check_prediction(view, subject, self._predictor.predict)
        checks = (
            check_structure(subject),
            check_permissions(subject),
            check_registration(subject),
            check_path(subject),
            prediction,
        )
        place = subject.place
        return Verification(
            subject.name,
            subject.version,
            subject.record.status if subject.record is not None else None,
            str(place.directory) if place is not None else None,
            checks,
            confidence,
        )


def _subject(view: StoreView, places: VersionPlaces, name: str, version: str) -> Subject:
    canonical = version_id(version)
    if FAMILY_NAME.fullmatch(name) is None or canonical is None:
        what = f"{version[:80]!r} names no version." if canonical is None else f"{name[:80]!r} can name no model."
        return Subject(name[:255], version[:80], (name,), None, None, (), wrong=what)
    family = find_family(view, name)
    names = names_of(view, name)
    records = view.lifecycle.records(family.name) if family is not None else ()
    by_version = {record.model_version: record for record in records}
    found = places.find(names, canonical)
    model = found[0].version.model if len(found) == 1 else None
    same = places.with_model(model.sha256) if model is not None else ()
    return Subject(
        name=names[0],
        version=canonical,
        names=names,
        record=by_version.get(canonical),
        deployed=next((one.model_version for one in records if one.status is Status.DEPLOYED), None),
        places=found,
        expected=places.expected(names, canonical) if not found else (),
        passed_over=places.passed_over(names, canonical),
        closed=places.closed(names, canonical),
        unread=places.unread,
        same_model=tuple(path for path in same if path != found[0].directory),
    )


def _unregistered(
    view: StoreView, places: VersionPlaces, records: Sequence[VersionRecord], name: str | None
) -> tuple[str, ...]:
    """Return the directories of versions that no record names."""
    wanted = names_of(view, name) if name is not None else None
    known = {(one, record.model_version) for record in records for one in names_of(view, record.model_name)}
    return tuple(
        os.fspath(directory)
        for family, version, directory in places.all_versions()
        if (family, version) not in known and (wanted is None or family in wanted)
    )


def _with_confidences_compared(found: Sequence[Verification]) -> list[Verification]:
    """Return the verifications, with a warning where several models are as sure of the means of their features."""
    compared = list(found)
    order = sorted((one.confidence, at) for at, one in enumerate(found) if one.confidence is not None)
    begin = 0
    for end in range(1, len(order) + 1):
        if end < len(order) and order[end][0] - order[end - 1][0] <= SAME_CONFIDENCE:
            continue
        alike = [at for _, at in order[begin:end]]
        begin = end
        if len(alike) < FEWEST_ALIKE:
            continue
        for at in alike:
            one = found[at]
            others = [f"{found[other].model_name} {found[other].model_version}" for other in alike if other != at]
            checks = (*one.checks[:-1], with_equal_confidences(one.checks[-1], others))
            compared[at] = replace(one, checks=checks)
    return compared
