"""Whether a version may be registered or deployed, as far as registered roots tell of its files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from mm_core.domain.findings import Finding, Severity
from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionRecord
from mm_core.errors import AmbiguousVersion, CannotPredict, InvalidNormalizer, VersionNotFound
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import SHOWN, names_of
from mm_core.registry.version_roots import VersionRoots
from mm_core.store import StoreView

MISSING_FILES = frozenset({"model-file-missing", "normalizer-missing", "metadata-missing"})
SHARED_MODEL = "duplicate-model-file"
SEVERAL_MODELS = "several-models"
WITHOUT_MODEL = frozenset({"no-model-for-bots", SEVERAL_MODELS})
"""Findings of runs that are whole and have no model, or not one alone, that bots could be given."""

UNKNOWN_SCALER = "scaler-not-read"
NORMALIZER_CODES = frozenset({"normalizer-invalid", "normalizer-length", UNKNOWN_SCALER})


def check_held(roots: VersionRoots, view: StoreView, name: str, version: str) -> None:
    """Let a version pass that one directory holds, and one of a family of which no root tells anything.

    Raises `VersionNotFound` where roots hold other versions of the family alone, `AmbiguousVersion` where several
    directories hold this one.
    """
    paths = roots.paths(view, names_of(view, name))
    if paths and version not in paths:
        raise VersionNotFound(
            f"Model not found: registered roots hold {', '.join(list(paths)[:SHOWN])} of '{name}', not {version}. Put "
            "its directory there, or correct the version; nothing was stored."
        )
    check_one_directory(roots, view, name, version)


def check_one_directory(roots: VersionRoots, view: StoreView, name: str, version: str) -> None:
    """Raise `AmbiguousVersion` where several directories hold a version."""
    places = roots.paths(view, names_of(view, name)).get(version, ())
    if len(places) > 1:
        listed = " and ".join(f"'{path}'" for path in places[:SHOWN])
        raise AmbiguousVersion(
            f"{name} {version} is in {listed}: nobody can tell which one is meant. Keep one of them, refresh its root, "
            "then register it; nothing was stored."
        )


def check_predicts(
    roots: VersionRoots, view: StoreView, name: str, version: str, author: Author, *, force: bool
) -> None:
    """Let a version pass that can predict, one that is forced with a note, and one of which no root tells anything.

    Raises `CannotPredict` or `InvalidNormalizer` with every reason, and `BadRequest` for force without a note.
    """
    if force:
        author.require_note(f"{name} {version} is deployed though it may not predict")
        return
    names = names_of(view, name)
    paths = roots.paths(view, names)
    if not paths:
        return
    places = paths.get(version, ())
    if not any(place.is_dir() for place in places):  # a scan may be older than what became of it
        raise CannotPredict(
            f"Failed to load model: no registered root holds {name} {version} any more. Restore its directory, deploy "
            "another version, or force it with a note; nothing was changed.",
            [f"{name}/{version}/model.txt: the file is missing."],
            is_missing=True,
        )
    if len(places) > 1:
        raise CannotPredict(
            f"{name} {version} is in {len(places)} directories, and nobody can tell which one is meant. Keep one of "
            "them and refresh its root, or force it with a note; nothing was changed.",
            [str(path) for path in places],
            is_missing=False,
        )
    findings = roots.findings(view, names, version)
    errors = [one for one in findings if one.severity is Severity.ERROR]
    errors = errors or [one for one in findings if one.code in (*WITHOUT_MODEL, UNKNOWN_SCALER)]
    if errors:
        invalid = invalid_normalizer(f"{name} {version}", places[0], errors)
        if invalid is not None:
            raise invalid
        missing = [one.file for one in errors if one.code in MISSING_FILES]
        lost = f" Missing: {', '.join(missing)}." if missing else ""
        sentences = [one.sentence for one in errors]
        raise CannotPredict(
            f"{name} {version} in '{places[0]}' cannot predict, for {len(errors)} reason(s): "
            f"{' '.join(sentences[:SHOWN])}{lost} Mend its files, or force it with a note; nothing was changed.",
            sentences,
            is_missing=bool(missing),
        )


def way_to_deploy(record: VersionRecord) -> str:
    """Return the commands that lead a version to being deployed from where it stands, without a full stop."""
    name = shlex.join((record.model_name, record.model_version))
    deploy = f"deploy it: `python -m mm_core lifecycle deploy {name} --note …`"
    before = {Status.TRAINING: "validate", Status.DEPRECATED: "restore"}.get(record.status)
    if before is None:
        return deploy
    return f"{before} it: `python -m mm_core lifecycle {before} {name} --note …`, then {deploy}"


def without_model(findings: Sequence[Finding]) -> Finding | None:
    """Return why a whole run has no model for bots, None where it has one and for what is not whole."""
    return next((one for one in findings if one.code in WITHOUT_MODEL), None)


def invalid_normalizer(title: str, directory: Path, errors: Sequence[Finding]) -> InvalidNormalizer | None:
    """Return the answer about a version whose normalizer alone is wrong; None where more is, or nothing."""
    if not errors or any(one.code not in NORMALIZER_CODES for one in errors):
        return None
    return InvalidNormalizer(
        f"{errors[0].detail} That is the normalizer of {title} in '{directory}'. {errors[0].remedy}",
        [one.sentence for one in errors],
    )


def shared_models(roots: VersionRoots, view: StoreView, name: str, version: str) -> list[str]:
    """Return a sentence for each version before this one that has the same model, byte for byte."""
    return [one.sentence for one in roots.findings(view, names_of(view, name), version) if one.code == SHARED_MODEL]
