"""Versions: ``sentiment-fusion/v1.1.0/model.txt`` and what belongs to it, wherever below the root it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.versions import VersionNumber

NAMES: dict[str, FileRole] = {
    "model.txt": FileRole.BOOSTER_TEXT,
    "normalizer.json": FileRole.NORMALIZER,
    "metadata.json": FileRole.METADATA,
    "feature_importance.csv": FileRole.IMPORTANCE,
    "test_evaluation.json": FileRole.EVALUATION,
}


@dataclass(frozen=True, slots=True)
class VersionFiles:
    """The files of one version directory; ``others`` are the names beside them that are not of this convention."""

    model_name: str
    number: VersionNumber
    path: str
    files: tuple[ModelFile, ...]
    others: tuple[str, ...]


def version_directories(files: Sequence[ListedFile]) -> tuple[VersionFiles, ...]:
    """Return each directory that is named as a version, below a model's, and holds one of the five files.

    In the order of their paths. A file further below such a directory belongs to it as one of the ``others``.
    """
    by_directory: dict[str, list[ListedFile]] = defaultdict(list)
    for file in files:
        parts = file.path.split("/")
        for depth in range(1, len(parts) - 1):
            if VersionNumber.parse(parts[depth]) is not None:
                by_directory["/".join(parts[: depth + 1])].append(file)
                break
    found = []
    for path, listed in sorted(by_directory.items()):
        own = {file.name: file for file in listed if file.path == f"{path}/{file.name}"}
        if not NAMES.keys() & own.keys():
            continue
        model_name, version = path.split("/")[-2:]
        number = VersionNumber.parse(version)
        assert number is not None
        found.append(
            VersionFiles(
                model_name=model_name,
                number=number,
                path=path,
                files=tuple(_model_file(own[name], role) for name, role in NAMES.items() if name in own),
                others=tuple(
                    sorted(file.path.removeprefix(f"{path}/") for file in listed if own.get(file.name) is not file)
                    + sorted(own.keys() - NAMES.keys())
                ),
            )
        )
    return tuple(found)


def _model_file(file: ListedFile, role: FileRole) -> ModelFile:
    return ModelFile(role, file.path, file.size_bytes, file.modified_ns, file.changed_ns, file.inode)
