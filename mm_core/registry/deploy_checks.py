"""Whether a version may be deployed: it must be able to predict, as far as registered roots tell."""

from __future__ import annotations

from mm_core.domain.findings import Severity
from mm_core.errors import CannotPredict
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import names_of
from mm_core.registry.version_roots import VersionRoots
from mm_core.store import StoreView

MISSING_FILES = frozenset({"model-file-missing", "normalizer-missing", "metadata-missing"})


def check_predicts(
    roots: VersionRoots, view: StoreView, name: str, version: str, author: Author, *, force: bool
) -> None:
    """Let a version pass that can predict, one that is forced with a note, and one of which no root tells anything.

    Raises `CannotPredict` with every reason, and `BadRequest` for force without a note.
    """
    if force:
        author.require_note(f"{name} {version} is deployed though it may not predict")
        return
    names = names_of(view, name)
    paths = roots.paths(view, names)
    if not paths:
        return
    if version not in paths:
        raise CannotPredict(
            f"Failed to load model: no registered root holds {name} {version} any more. Restore its directory, deploy "
            "another version, or force it with a note; nothing was changed.",
            [f"{name}/{version}/model.txt: the file is missing."],
            is_missing=True,
        )
    errors = [one for one in roots.findings(view, names, version) if one.severity is Severity.ERROR]
    if errors:
        missing = [one.file for one in errors if one.code in MISSING_FILES]
        lost = f" Missing: {', '.join(missing)}." if missing else ""
        raise CannotPredict(
            f"{name} {version} in '{paths[version]}' cannot predict, for {len(errors)} reason(s): {errors[0].sentence}"
            f"{lost} Mend its files, or force it with a note; nothing was changed.",
            [one.sentence for one in errors],
            is_missing=bool(missing),
        )
