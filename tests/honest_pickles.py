"""Pickles that libraries wrote, of eleven generations."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
THREE_GENERATIONS = TESTS / "fixtures" / "pickles.tar.xz"
EIGHT_GENERATIONS = TESTS / "artifacts" / "pickles" / "more_generations.tar.xz"
"""Python 3.7 with pandas 0.25 and XGBoost 1.3 to Python 3.13, with more shapes of data."""

GOLDEN = TESTS / "artifacts" / "golden" / "flat-groups"


def unpack(archive: Path, directory: Path) -> Path:
    """Unpack an archive, a folder for each generation; return ``directory``."""
    with tarfile.open(archive) as files:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and newer
            files.extraction_filter = staticmethod(tarfile.data_filter)
        files.extractall(directory)
    return directory


def archived() -> Iterator[tuple[str, bytes]]:
    """Yield every pickle of both archives, by name."""
    for path in (THREE_GENERATIONS, EIGHT_GENERATIONS):
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".pkl") else None
                if file is not None:
                    yield member.name.removeprefix("./"), file.read()


def honest() -> Iterator[tuple[str, bytes]]:
    """Yield every honest pickle of the tests, by name: three generations, eight more, and the golden tree's."""
    yield from archived()
    for golden in sorted(GOLDEN.rglob("*.pkl")):
        yield golden.name, golden.read_bytes()
