"""``check``: what is wrong with a directory, before it is registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from mm_core.cli.output import print_findings, print_json, print_table, print_text, shown_progress
from mm_core.cli.session import FAILED, AsJson, errors_as_sentences
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Scan
from mm_core.domain.versions import Version, missing_optional_files
from mm_core.errors import DuplicateSymbols
from mm_core.registry.documents import finding_document


def check(
    context: typer.Context,
    directory: Path,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end with 1 too.")] = False,
    strict_all: Annotated[
        bool, typer.Option("--strict-all", help="The same, and a version must have all five files.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the findings of DIRECTORY without registering it; the exit code is 1 when there are errors."""
    with errors_as_sentences(as_json), shown_progress("reading models") as progress:
        scan = context.obj.registry.registrations.preview(str(directory.absolute()), progress)
    duplicates = scan.duplicate_symbols()
    missing = {path: missing_optional_files(version) if strict_all else () for path, version in scan.versions.items()}
    twins = scan.twins_by_path
    own = {path: (*one.findings, *twins.get(path, ()), *missing[path]) for path, one in scan.versions.items()}
    called = Counter((one.model_name, one.name) for one in scan.versions.values())
    findings = (*scan.all_findings(), *(finding for of in missing.values() for finding in of))
    refused = DuplicateSymbols(directory.name, duplicates).detail if duplicates else None
    fatal = {Severity.ERROR, Severity.WARNING} if strict or strict_all else {Severity.ERROR}
    failed = bool(refused) or any(finding.severity in fatal for finding in findings)
    if as_json:
        print_json(
            {
                "root_path": str(directory.absolute()),
                "group_count": len(scan.groups),
                "symbol_count": len(scan.symbols()),
                "version_count": len(scan.versions),
                "duplicate_symbols": duplicates,
                "versions": [
                    _version_document(one, own[path], called[one.model_name, one.name] == 1)
                    for path, one in scan.versions.items()
                ],
                "latest": scan.latest,
                "findings": [finding_document(finding) for finding in findings],
                "passed": not failed,
            }
        )
    else:
        _print(scan, own, findings, refused)
    if failed:
        raise typer.Exit(FAILED)


def _version_document(version: Version, findings: Iterable[Finding], is_alone: bool) -> dict[str, Any]:
    """Return what is told of a version; of one that is not ``is_alone`` in its name, nobody can tell which is meant."""
    return {
        "path": version.path,
        "model_name": version.model_name,
        "version": version.name,
        "layout": version.layout,
        "created_at": version.created_at,
        "size_bytes": version.size_bytes,
        "can_predict": is_alone and version.can_predict and version.model is not None and not version.has_unread_scaler,
        "findings": [finding_document(finding) for finding in findings],
    }


def _print(scan: Scan, own: dict[str, tuple[Finding, ...]], findings: tuple[Finding, ...], refused: str | None) -> None:
    if scan.versions:
        headers = ["directory", "layout", "created at", "# files", "# bytes", "# errors", "# warnings"]
        print_table("Versions", headers, [_row(version, own[path]) for path, version in scan.versions.items()])
    print_findings(findings)
    counts = f"{len(scan.groups)} groups, {len(scan.versions)} versions, {len(findings)} findings."
    print_text(counts + (f" {refused}" if refused else ""))


def _row(version: Version, findings: Iterable[Finding]) -> tuple[object, ...]:
    severities = [finding.severity for finding in findings]
    return (
        version.path,
        version.layout,
        version.created_at,
        len(version.files),
        f"{version.size_bytes:,}",
        severities.count(Severity.ERROR),
        severities.count(Severity.WARNING),
    )
