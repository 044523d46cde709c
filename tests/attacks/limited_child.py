"""A process with limits that reads attacks and says what each did: ``python -m tests.attacks.limited_child CATEGORY``.

It runs in an empty directory. One JSON line an attack goes to standard output, after a line with its name.
"""

from __future__ import annotations

import codecs
import os
import resource
import signal
import sys
import tempfile
import time
import zoneinfo
from collections.abc import Callable
from pathlib import Path

from mm_core import strict_json
from mm_core.artifacts.layouts import GroupFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import list_groups
from mm_core.artifacts.pickles import read_model_json
from mm_core.artifacts.read_group import read_group
from mm_core.artifacts.readers.info_pkl import read_training_info
from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.reading_worker import Answer as WorkerAnswer
from mm_core.domain.groups import Group
from mm_core.errors import UnreadableArtifact
from tests.attacks.hostile_pickles import BY_HAND, attacks_of, write_attacks
from tests.honest_pickles import GOLDEN

MEBIBYTE = 1 << 20
MORE_MEMORY = 512 * MEBIBYTE
SECONDS = 5.0
"""What one file may cost: address space on top of what the modules take, and processor time."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MOST_TEXT = 2000
ZONES = tuple(
    os.path.realpath(entry) for entry in (*zoneinfo.TZPATH, *(f"{path}/tzdata/zoneinfo" for path in sys.path))
)


class Ear:
    """Hears every audit event while something is read."""

    def __init__(self) -> None:
        self.ours: frozenset[str] = frozenset()
        """Paths that the readers are told to open."""
        self._events: list[str] = []
        self._listening = False
        sys.addaudithook(self._hear)

    def heard(self, read: Callable[[], object]) -> list[str]:
        """Return the first events that ``read`` makes; what it returns or raises goes the usual way."""
        self._events = []
        self._listening = True
        try:
            read()
        finally:
            self._listening = False
        return self._events

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._listening and len(self._events) < 20 and not self._is_ours(event, arguments):
            self._events.append(f"{event} {arguments!r}"[:200].encode("ascii", "replace").decode())

    def _is_ours(self, event: str, arguments: tuple[object, ...]) -> bool:
        """Whether this is a reader that opens the very file it was told to, or a zone of the system's database."""
        if event != "open":
            return False
        place, mode, flags = arguments
        if isinstance(place, int):
            return bool(self.ours)  # the descriptor of a file whose opening was heard
        if mode is None and isinstance(flags, int) and flags & os.O_NOFOLLOW and not flags & WRITING:
            parts = {part for path in self.ours for part in Path(path).parts[: -1 if flags & os.O_PATH else None]}
            if str(place) in parts:  # one step of the way to such a file
                return True
        path = os.path.realpath(str(place))
        return path in self.ours or path.startswith(ZONES)


def _measured(ear: Ear, read: Callable[[], dict[str, object]]) -> dict[str, object]:
    said: dict[str, object] = {}
    _forget_peak()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    started = time.process_time()
    events = ear.heard(lambda: said.update(read()))
    seconds = time.process_time() - started
    signal.setitimer(signal.ITIMER_PROF, 0)
    return {**said, "events": events, "seconds": round(seconds, 3), "peak_mib": _peak() // MEBIBYTE}


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("Linux says the peak")


def _load_what_readers_load_late() -> None:
    """Load codecs, NumPy and types of answers, which honest files need as well, by names that stand in our own code."""
    for codec in ("latin-1", "ascii", "utf-16", "utf-32-le", "utf-32-be", "raw-unicode-escape", "unicode-escape"):
        codecs.lookup(codec)
    limits = ReadingLimits()
    (files,) = list_groups(GOLDEN, limits).groups[:1]
    said = _read_one(GOLDEN, files, limits)
    assert said["model_bytes"]
    assert not said["info"]


def _limit_memory() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MORE_MEMORY, size + MORE_MEMORY))


def _said(group: Group, model_json: bytes | None) -> dict[str, object]:
    said: dict[str, object] = {}
    for kind in ("info", "model"):
        found = [
            finding
            for finding in group.findings
            if finding.file.endswith(f"_{kind}.pkl") and finding.severity == "error"
        ]
        said[kind] = [[finding.code, finding.detail, finding.remedy] for finding in found]
    config = strict_json.encode(group.training.config)
    said["config"] = group.training.config if len(config) <= MOST_TEXT else None
    said["model_bytes"] = None if model_json is None else len(model_json)
    said["longest_sentence"] = max((len(finding.sentence) for finding in group.findings), default=0)
    return said


def _read_files(ear: Ear, category: str) -> None:
    """Read what was written by hand as files of groups, up to the line that a reading worker would send."""
    limits = ReadingLimits()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(os.path.realpath(directory))
        names = write_attacks(root, category)
        listed = {files.group_key: files for files in list_groups(root, limits).groups}
        _limit_memory()
        for number, name in enumerate(names):
            files = listed[f"{number:05d}"]
            ear.ours = frozenset(str(root / file.path) for file in files.files)
            _tell({"name": name})
            _tell(_measured(ear, lambda files=files: _read_one(root, files, limits)))  # type: ignore[misc]


def _read_one(root: Path, files: GroupFiles, limits: ReadingLimits) -> dict[str, object]:
    reading = read_group(root, files, limits)
    line = strict_json.encode(WorkerAnswer(reading.group, None, None))
    return _said(strict_json.decode_as(line, WorkerAnswer).group, reading.model_json)


def _read_bytes(ear: Ear, category: str) -> None:
    """Read damaged bytes with the readers themselves: they are many."""
    _limit_memory()
    for attack in attacks_of(category):
        _tell({"name": attack.name})
        _tell(_measured(ear, lambda data=attack.data: _read_both(data)))  # type: ignore[misc]


def _read_both(data: bytes) -> dict[str, object]:
    said: dict[str, object] = {"info": [], "model": [], "config": None, "model_bytes": None, "longest_sentence": 0}
    report = FileReport("X_info.pkl")
    try:
        strict_json.encode([read_training_info(data, report), report.findings()])
    except UnreadableArtifact as error:
        said["info"] = [[error.code, error.detail, error.remedy]]
    try:
        model = read_model_json(data)
        read_booster(model, FileReport("X_model.pkl"))
        said["model_bytes"] = len(model)
    except UnreadableArtifact as error:
        said["model"] = [[error.code, error.detail, error.remedy]]
    return said


def _tell(said: dict[str, object]) -> None:
    sys.stdout.buffer.write(strict_json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Read the attacks of one category."""
    category = sys.argv[1]
    _load_what_readers_load_late()
    ear = Ear()
    if category in BY_HAND:
        _read_files(ear, category)
    else:
        _read_bytes(ear, category)


if __name__ == "__main__":
    main()
