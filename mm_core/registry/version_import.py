"""Versions that a `model-registry.json` tells of, brought into the registry in one transaction."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from mm_core.artifacts.readers.model_registry_json import RegistryEntry, read_model_registry
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.lifecycle import Action, ModelType, Status
from mm_core.domain.version_records import NewVersion, VersionRecord, parse_new_version
from mm_core.errors import BadRequest, InvalidVersion, UnreadableArtifact, VersionUnusable
from mm_core.registry.deploy_checks import check_one_directory, check_predicts
from mm_core.registry.lifecycle_changes import Author, created, now_stamp, saved_with
from mm_core.registry.lifecycle_lookups import find_family, names_of
from mm_core.registry.lookups import check_all_scans
from mm_core.registry.version_roots import VersionRoots
from mm_core.store import RegistryStore, StoreTransaction

FILE = "model-registry.json"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import left in the registry, in the order of the file, and what was odd, a sentence each."""

    records: tuple[VersionRecord, ...]
    warnings: tuple[str, ...]


def imported_registry(
    store: RegistryStore, roots: VersionRoots, name: str, data: bytes, beside: Mapping[str, Any], author: Author
) -> Imported:
    """Register the versions of a file; what is there already gets what file and ``beside`` tell, and keeps the rest.

    The version that the whole file calls active is deployed, unless another one of the family is or it cannot predict;
    every other one is ``validated``. What no root holds though roots hold others of the family is a warning. Raises
    `AmbiguousVersion` where registered roots hold one of them twice, `ScanMissing` where nobody knows that just now.
    """
    report = FileReport(FILE)
    try:
        file = read_model_registry(data, report)
    except UnreadableArtifact as error:
        raise BadRequest(f"The file is no {FILE}: {error.detail} {error.remedy} Nothing was stored.") from error
    warnings = [finding.sentence for finding in report.findings()]
    documents = [_document(name, entry, beside) for entry in file.entries]
    new = _parsed(documents)
    deployable = file.active
    with store.transaction() as transaction:
        paths = roots.paths(transaction, names_of(transaction, name))
        for version in new:
            check_one_directory(paths, name, version.model_version)
        unheld = [version.model_version for version in new if paths and version.model_version not in paths]
        if unheld:
            check_all_scans(transaction)
        if deployable is not None:
            try:
                deploy = shlex.join(("lifecycle", "deploy", name, deployable))
                or_else = f"force it: `python -m mm_core {deploy} --force --note …`."
                check_predicts(roots, transaction, name, deployable, author, force=False, or_else=or_else)
            except VersionUnusable as error:
                warnings.append(f"{deployable} is active in the file and is validated, not deployed: {error.detail}")
                unheld = [version for version in unheld if version != deployable]
                deployable = None
        warnings += [
            f"No registered root holds {name} {version}, though there are roots with other versions of it: put its "
            "directory there, or correct the file."
            for version in unheld
        ]
        found = []
        for version, document, entry in zip(new, documents, file.entries, strict=True):
            status = Status.DEPLOYED if entry.version == deployable else Status.VALIDATED
            told = {field for field, value in document.items() if value is not None}
            found.append(_stored(transaction, replace(version, status=status), told, entry, author, warnings))
    return Imported(tuple(found), tuple(warnings))


def _parsed(documents: Sequence[Mapping[str, Any]]) -> list[NewVersion]:
    """Return what the entries register; raise `InvalidVersion` that says of each problem which entries have it."""
    found: list[NewVersion] = []
    problems: dict[str, list[str]] = {}
    for document in documents:
        try:
            found.append(parse_new_version(document))
        except InvalidVersion as error:
            for problem in error.problems:
                way_out = ": the file tells none, give it beside the file (--type)" if "model_type" in problem else ""
                problems.setdefault(problem + way_out, []).append(document["model_version"])
    if problems:
        raise InvalidVersion([f"{', '.join(versions)}: {problem}" for problem, versions in problems.items()])
    return found


def _document(name: str, entry: RegistryEntry, beside: Mapping[str, Any]) -> dict[str, Any]:
    document = {
        **beside,
        "model_name": name,
        "model_version": entry.version,
        "validation_score": entry.validation_score,
        "test_score": entry.test_score,
    }
    if entry.algorithm in set(ModelType):
        document["model_type"] = entry.algorithm
    return document


def _stored(
    transaction: StoreTransaction,
    new: NewVersion,
    told: Set[str],
    entry: RegistryEntry,
    author: Author,
    warnings: list[str],
) -> VersionRecord:
    """Register a version; of one that is there, only what was ``told`` of it is replaced."""
    family = find_family(transaction, new.model_name)
    new = replace(new, model_name=family.name) if family is not None else new
    known = transaction.lifecycle.record(new.model_name, new.model_version)
    now = now_stamp()
    if known is not None:
        fields = {name: getattr(new, name) for name in told - {"model_name", "model_version", "status"}}
        saved = saved_with(transaction, known, fields, Action.UPDATE, author, now)
        if saved is not known:
            warnings.append(f"{known.title} was registered already: the entry replaced what was known of it.")
        return saved
    if new.status is Status.DEPLOYED:
        others = [one for one in transaction.lifecycle.records(new.model_name) if one.status is Status.DEPLOYED]
        if others:
            warnings.append(f"{others[0].title} stays deployed: {new.model_version} is active in the file alone.")
            new = replace(new, status=Status.VALIDATED)
    return created(transaction, new, author, now, entry.registered_at)
