"""When what ended its reader is read again: it may have been the machine's doing, and it may end every reader."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from mm_core.artifacts.listing import Known, known_by_key
from mm_core.artifacts.reading_defects import LOST_READER
from mm_core.artifacts.version_files import that_are_read
from mm_core.domain.files import ModelFile
from mm_core.domain.findings import Finding
from mm_core.domain.groups import Scan

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Rest:
    """Files that ended a reader: how long they rest, and until when."""

    files: tuple[ModelFile, ...]
    pause: float
    until: float


class LostReaders:
    """Remembers, for as long as the process runs, which groups and versions ended their readers, and when.

    They rest for a minute, then for twice as long each time, at most an hour: a machine that had no memory for a moment
    costs nobody the newer files, and a file that ends every reader costs one an hour. What changed rests no more.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rests: dict[str, dict[str, _Rest]] = {}

    def resting(self, name: str, scan: Scan | None) -> frozenset[str]:
        """Return the keys of what ended its reader in the scan of a model, and is not to be read again yet."""
        now = self._clock()
        rests = self._rests.get(name, {})
        return frozenset(
            key
            for key, known, _ in _lost(scan)
            if key in rests and rests[key].files == _files(known) and now < rests[key].until
        )

    def is_due(self, name: str, scan: Scan | None) -> bool:
        """Return whether something that ended its reader in the scan of a model is to be read again."""
        resting = self.resting(name, scan)
        return any(key not in resting for key, *_ in _lost(scan))

    def note(
        self, name: str, scan: Scan, rested: Collection[str], registered: Collection[str]
    ) -> list[tuple[Known, Finding]]:
        """Note what ended its reader in a new scan, but for what ``rested``, and return it with the finding of it.

        What other models than these ``registered`` ones had is forgotten, whoever deleted them.
        """
        now = self._clock()
        before = self._rests.get(name, {})
        rests: dict[str, _Rest] = {}
        ended = []
        for key, known, finding in _lost(scan):
            files = _files(known)
            rest = before.get(key)
            if rest is None or rest.files != files:
                rest = _Rest(files, FIRST_PAUSE_SECONDS, now + FIRST_PAUSE_SECONDS)
                ended.append((known, finding))
            elif key not in rested:
                pause = min(rest.pause * 2, LONGEST_PAUSE_SECONDS)
                rest = _Rest(files, pause, now + pause)
                ended.append((known, finding))
            rests[key] = rest
        for known_name in list(self._rests):
            if known_name not in registered:
                self._rests.pop(known_name, None)
        if rests:
            self._rests[name] = rests
        else:
            self._rests.pop(name, None)
        return ended


def _lost(scan: Scan | None) -> Iterator[tuple[str, Known, Finding]]:
    for key, known in known_by_key(scan).items() if scan is not None else ():
        for finding in known.findings:
            if finding.code == LOST_READER:
                yield key, known, finding


def _files(known: Known) -> tuple[ModelFile, ...]:
    """Return the files that a reader opens: a log beside them changes nothing."""
    return tuple(that_are_read(known.files))
