"""Whether a version may be registered or deployed, or its family be called otherwise, as registered roots tell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import Family, VersionRecord
from mm_core.errors import CannotPredict, VersionNotFound
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import SHOWN, names_of
from mm_core.registry.lookups import check_all_scans
from mm_core.registry.version_refusals import SHARED_MODEL, ambiguous_version, directory_gone, refusal, what_keeps
from mm_core.registry.version_roots import VersionRoots, expected_directories
from mm_core.store import StoreView


def check_held(roots: VersionRoots, view: StoreView, name: str, version: str) -> None:
    """Let a version pass that one directory holds, and one of a family of which no root tells anything.

    Raises `VersionNotFound` where roots hold other versions of the family alone, `AmbiguousVersion` where several
    directories hold this one.
    """
    paths = roots.paths(view, names_of(view, name))
    if paths and version not in paths:
        check_all_scans(view)
        raise VersionNotFound(
            f"Model not found: registered roots hold {', '.join(list(paths)[:SHOWN])} of '{name}', not {version}. Put "
            "its directory there, or correct the version; nothing was stored."
        )
    check_one_directory(paths, name, version)


def check_one_directory(paths: Mapping[str, tuple[Path, ...]], name: str, version: str) -> None:
    """Raise `AmbiguousVersion` where several directories hold a version; ``paths`` are those of its family's."""
    places = paths.get(version, ())
    if len(places) > 1:
        raise ambiguous_version(
            f"{name} {version}", places, "Keep one of them, refresh its root, then register it; nothing was stored."
        )


def check_predicts(
    roots: VersionRoots,
    view: StoreView,
    name: str,
    version: str,
    author: Author,
    *,
    force: bool,
    or_else: str = "force it with a note; nothing was changed.",
) -> None:
    """Let a version pass that can predict, one that is forced with a note, and one of which no root tells anything.

    ``or_else`` ends the sentence that says what to do about one that may not. Raises `VersionUnusable` with every
    reason, and `BadRequest` for force without a note.
    """
    if force:
        author.require_note(f"{name} {version} is deployed though it may not predict")
        return
    names = names_of(view, name)
    paths = roots.paths(view, names)
    if version not in paths:
        check_all_scans(view)
    if not paths:
        return
    places = paths.get(version, ())
    if not any(place.is_dir() for place in places):  # a scan may be older than what became of it
        raise directory_gone(
            f"no registered root holds {name} {version} any more",
            version,
            places or expected_directories(view, names, version),
            f"Restore its directory, deploy another version, or {or_else}",
        )
    if len(places) > 1:
        way_out = f"Keep one of them and refresh its root, or {or_else}"
        raise ambiguous_version(f"{name} {version}", places, way_out)
    reasons = what_keeps(roots.findings(view, names, version), scaler_needed=True)
    if reasons:
        way_out = f"Mend its files, or {or_else}"
        raise refusal(f"{name} {version}", places[0], reasons, "cannot predict", way_out)


def check_stays_found(roots: VersionRoots, view: StoreView, family: Family, changed: Family, alias: str) -> None:
    """Let a family get or lose the name ``alias`` where whatever runs of it is as easily found as before.

    Raises `AmbiguousVersion` for what would lie in several directories, `CannotPredict` for what would lie in none, and
    `ScanMissing` where nobody knows just now what a root holds.
    """
    running = [record for record in view.lifecycle.records(family.name) if record.status.runs]
    if not running:
        return
    check_all_scans(view)
    paths = roots.paths(view, (family.name, *family.aliases))
    paths_then = roots.paths(view, (changed.name, *changed.aliases))
    for record in running:
        places, places_then = paths.get(record.model_version, ()), paths_then.get(record.model_version, ())
        if len(places_then) > max(1, len(places)):
            raise ambiguous_version(
                f"Called '{alias}' as well, {record.title}",
                places_then,
                f"It is {record.status}: keep one of them, refresh its root, then repeat it; nothing was changed.",
            )
        if places and not places_then:
            raise CannotPredict(
                f"Not called '{alias}' any more, {record.title} would be in no directory. It is {record.status}, in "
                f"'{places[0]}': let that be called '{family.name}' and refresh its root, or deprecate the version "
                "first; nothing was changed.",
                [f"No registered root would hold {record.title}."],
                is_missing=True,
            )


def way_to_deploy(record: VersionRecord) -> str:
    """Return the commands that lead a version to being deployed from where it stands, without a full stop."""
    name = shlex.join((record.model_name, record.model_version))
    deploy = f"deploy it: `python -m mm_core lifecycle deploy {name} --note …`"
    before = {Status.TRAINING: "validate", Status.DEPRECATED: "restore"}.get(record.status)
    if before is None:
        return deploy
    return f"{before} it: `python -m mm_core lifecycle {before} {name} --note …`, then {deploy}"


def shared_models(roots: VersionRoots, view: StoreView, name: str, version: str) -> list[str]:
    """Return a sentence for each version before this one that has the same model, byte for byte."""
    return [one.sentence for one in roots.findings(view, names_of(view, name), version) if one.code == SHARED_MODEL]
