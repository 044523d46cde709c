"""``verify``: whether registered versions can do what bots expect of them, check by check."""

from __future__ import annotations

from typing import Annotated

import typer

from mm_core.cli.output import print_json, print_table, print_text, shown_progress
from mm_core.cli.session import FAILED, AsJson, errors_as_sentences
from mm_core.domain.verification import CheckName, Outcome, Verification, VerificationReport
from mm_core.registry.verification.documents import report_document


def verify(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument()] = None,
    version: Annotated[str | None, typer.Argument()] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every registered version, of NAME or of all; deprecated ones are left out.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end with 1 too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check VERSION of NAME: structure, permissions, registration, path, a test prediction; 1 where one fails."""
    if every == (version is not None):
        raise typer.BadParameter("Give NAME and VERSION, or --all.")
    with errors_as_sentences(as_json), shown_progress("verifying versions") as progress:
        verifier = context.obj.registry.verifier
        try:
            if name is not None and version is not None:
                report = verifier.verify(name, version)
            else:
                report = verifier.verify_all(name, progress)
        finally:
            verifier.close()
    if as_json:
        print_json(report_document(report, strict=strict))
    else:
        _print(report)
    if not report.passed(strict=strict):
        raise typer.Exit(FAILED)


def _print(report: VerificationReport) -> None:
    if len(report.versions) == 1:
        _print_one(report.versions[0])
    elif report.versions:
        _print_several(report)
    warned = [
        (f"{one.model_name} {one.model_version}", check.name, notice.code, notice.detail, notice.remedy)
        for one in report.versions
        for check in one.checks
        for notice in check.warnings
    ]
    if warned:
        print_table("Warnings", ["version", "check", "code", "what", "remedy"], warned)
    for sentence in report.unread:
        print_text(f"warning: {sentence}")
    if report.unregistered:
        print_text(f"Not registered: {', '.join(report.unregistered)}.")
    if report.out_of_use:
        print_text(f"Deprecated, so not verified: {report.out_of_use}.")
    failed = sum(not one.passed for one in report.versions)
    print_text(f"{len(report.versions)} verified, {failed} failed, {len(warned)} warnings.")


def _print_one(one: Verification) -> None:
    stands = f"{one.status} ({one.status.stage})" if one.status is not None else "not registered"
    title = f"{one.model_name} {one.model_version}, {stands}: {_outcome(one)}"
    rows = [(check.name, check.outcome, check.code or None, check.detail, check.remedy or None) for check in one.checks]
    print_table(title, ["check", "outcome", "code", "what", "remedy"], rows)


def _print_several(report: VerificationReport) -> None:
    rows = [
        (one.model_name, one.model_version, one.status, *(check.outcome for check in one.checks), _outcome(one))
        for one in report.versions
    ]
    print_table("Verified", ["model", "version", "status", *CheckName, "all"], rows)
    failed = [
        (f"{one.model_name} {one.model_version}", check.name, check.code or None, check.detail, check.remedy)
        for one in report.versions
        for check in one.checks
        if check.outcome is Outcome.FAILED
    ]
    if failed:
        print_table("Failed", ["version", "check", "code", "what", "remedy"], failed)


def _outcome(one: Verification) -> Outcome:
    return Outcome.PASSED if one.passed else Outcome.FAILED
