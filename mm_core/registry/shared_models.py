"""The same model below several registered roots: byte for byte what another version has."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.models import RegisteredModel
from mm_core.domain.versions import Version
from mm_core.store import StoreView

Shared = Mapping[tuple[str, str], Finding]
"""Findings by registration and path of a version below its root."""


def shared_elsewhere(view: StoreView) -> Shared:
    """Return a finding for each version of which the model is also that of a version below another root.

    What a root shares within itself is for its scan. A directory that several registrations reach is one.
    """
    roots: dict[str, str] = {}
    by_digest: dict[str, list[tuple[RegisteredModel, Version]]] = {}
    for model in view.models():
        summary = view.scan_summary(model.name)
        scan = view.scan(model.name) if summary is not None and summary.versions else None
        for version in scan.versions.values() if scan is not None else ():
            if version.model is not None:
                roots.setdefault(model.name, os.path.realpath(model.root_path))
                by_digest.setdefault(version.model.sha256, []).append((model, version))
    found = {}
    for sharing in by_digest.values():
        firsts = {roots[model.name]: f"{roots[model.name]}/{version.path}" for model, version in reversed(sharing)}
        if len(firsts) < 2:
            continue
        for model, version in sharing:
            root = roots[model.name]
            own = f"{root}/{version.path}"
            other = next((place for of, place in firsts.items() if of != root and place != own), None)
            if other is not None:
                found[model.name, version.path] = _same_model(version, other)
    return found


def _same_model(version: Version, other: str) -> Finding:
    file = next((file.path for file in version.files if file.role is FileRole.BOOSTER_TEXT), version.path)
    return Finding(
        Severity.WARNING,
        "duplicate-model-file",
        file,
        f"'{other}' has the same model, byte for byte.",
        "Copy the model of this version's own training.",
    )
