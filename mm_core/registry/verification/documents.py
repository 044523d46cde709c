"""A verification as the plain document that edges answer with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mm_core.domain.verification import Check, Verification, VerificationReport


def report_document(report: VerificationReport, *, strict: bool = False) -> dict[str, Any]:
    """Return every version with its checks; ``passed`` counts warnings too where it is ``strict``."""
    return {
        "passed": report.passed(strict=strict),
        "versions": [_version(one) for one in report.versions],
        "unregistered": report.unregistered,
        "deprecated_left_out": report.out_of_use,
        "unread_roots": report.unread,
    }


def _version(one: Verification) -> dict[str, Any]:
    return {
        "model_name": one.model_name,
        "model_version": one.model_version,
        "status": one.status,
        "stage": one.status.stage if one.status is not None else None,
        "path": one.path,
        "passed": one.passed,
        "checks": [_check(check) for check in one.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "check": check.name,
        "outcome": check.outcome,
        "code": check.code or None,
        "detail": check.detail,
        "remedy": check.remedy or None,
        "problems": check.problems,
        "warnings": [asdict(notice) for notice in check.warnings],
    }
