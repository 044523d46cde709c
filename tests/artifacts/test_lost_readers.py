"""A reader that dies says nothing about the files: what was in service stays, whole and of one reading."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.preprocessing import MinMaxScaler

from mm_core.artifacts import reading_defects, reading_pool
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import Known, known_by_key, list_groups
from mm_core.artifacts.scan import scan_root
from mm_core.domain.groups import Group, Scan
from tests.artifacts.runs.training import RUN, about, trained, write_trained_run
from tests.artifacts.versions.conftest import FEATURES, WriteVersion, lightgbm_booster, write_version

__all__ = ["lightgbm_booster", "write_version"]

LIMITS = ReadingLimits()
GROUP = "SOLUSDT_mid_chg_1m"
VERSION = "sentiment-fusion/v1.1.0"
Write = Callable[..., Path]
Die = Callable[[], ReadingLimits]


@dataclass(frozen=True)
class Served:
    """A group, a version or a run that bots are given: where it is, and how one of its files becomes another one."""

    root: Path
    key: str
    file: Path
    newer: str

    def change(self) -> None:
        self.file.write_text(self.newer)

    def of(self, scan: Scan) -> Known:
        return known_by_key(scan)[self.key]


@pytest.fixture(params=["group", "version", "run"])
def served(request: pytest.FixtureRequest, write_group: Write, write_version: WriteVersion, tmp_path: Path) -> Served:
    if request.param == "group":
        root = write_group()
        return Served(root, GROUP, root / f"{GROUP}_factors.txt", "x\ny\nz\n")
    if request.param == "version":
        root = write_version()
        normalizer = json.dumps({name: {"mean": 9, "std": 1} for name in FEATURES})
        return Served(root, f"{VERSION}/", root / VERSION / "normalizer.json", normalizer)
    directory = write_trained_run(tmp_path / "runs")
    metadata = json.dumps(about(prediction_threshold=0.75))
    return Served(directory.parent, f"{RUN}/", directory / "training_metadata.json", metadata)


@pytest.fixture(params=["out of memory", "out of time", "killed"])
def die(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Die:
    """Have each reader end from now on, until the patches are undone, under the limits that are returned."""

    def no_memory(*_: Any) -> None:
        raise MemoryError

    def killed(worker: Any, *_: Any) -> None:
        worker._process.kill()

    def begin() -> ReadingLimits:
        if request.param == "out of memory":
            monkeypatch.setattr(reading_defects, "read_group", no_memory)
            monkeypatch.setattr(reading_defects, "read_version", no_memory)
            return LIMITS
        monkeypatch.setattr(reading_pool, "LARGEST_READ_HERE", 0)
        if request.param == "out of time":
            return replace(LIMITS, group_seconds=0.001)
        monkeypatch.setattr(reading_pool._Worker, "read", killed)
        return LIMITS

    return begin


def _is_usable(known: Known) -> bool:
    return known.payload_ready if isinstance(known, Group) else known.can_predict


def _content(known: Known) -> Known:
    """Return all that files said, without which files they were and what became of them."""
    return replace(known, files=(), findings=())


def _codes(known: Known) -> list[str]:
    return [finding.code for finding in known.findings]


def test_what_was_in_service_stays_whole_while_its_readers_die_and_says_so(
    served: Served, die: Die, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scan_root(served.root)
    before = served.of(first)
    assert (_is_usable(before), _codes(before)) == (True, [])
    served.change()
    limits = die()
    scan = first
    for _ in range(3):
        scan = scan_root(served.root, scan, limits=limits)
        known = served.of(scan)
        assert _is_usable(known)
        assert _content(known) == _content(before), "nothing of it is of the newer files"
        (finding,) = known.findings
        assert finding.code == "reader-ended"
        assert f"What was read at {before.read_at}, before its files changed, stays in service" in finding.remedy
        assert not list_groups(served.root, LIMITS).differs_from(scan), "nothing new to put into service at each poll"
    monkeypatch.undo()
    after = served.of(scan_root(served.root, scan))
    assert (_is_usable(after), _codes(after)) == (True, [])
    assert _content(after) == replace(_content(served.of(scan_root(served.root))), read_at=after.read_at)
    assert _content(after) != replace(_content(before), read_at=after.read_at)


def test_what_was_never_served_has_no_model_while_its_readers_die(
    served: Served, die: Die, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = die()
    scan = scan_root(served.root, limits=limits)
    known = served.of(scan_root(served.root, scan, limits=limits))
    assert (known.model, _codes(known), _is_usable(known)) == (None, ["reader-ended"], False)
    assert "stays in service" not in known.findings[0].remedy
    monkeypatch.undo()
    assert _is_usable(served.of(scan_root(served.root, scan)))


def test_what_older_rules_took_is_not_kept_while_its_readers_die(
    served: Served, die: Die, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scan_root(served.root)
    before = served.of(first)
    older: Known = replace(before, rules=before.rules - 1)
    if isinstance(older, Group):
        first = replace(first, groups={older.group_key: older})
    else:
        first = replace(first, versions={older.path: older})
    scan = scan_root(served.root, first, limits=die())
    known = served.of(scan)
    assert (known.model, _is_usable(known), known.rules) == (None, False, before.rules)
    (finding,) = known.findings
    assert finding.remedy.endswith("has no model: it was read by rules that no longer hold.")
    monkeypatch.undo()
    assert _is_usable(served.of(scan_root(served.root, scan)))


@pytest.mark.parametrize("is_unread", [True, False])
def test_whether_the_scaler_of_what_stays_was_read_is_not_told_by_newer_files(
    tmp_path: Path, die: Die, is_unread: bool
) -> None:
    scaler = pickle.dumps(MinMaxScaler().fit(trained().rows))
    directory = write_trained_run(tmp_path / "runs", scalers_pkl=scaler if is_unread else None)
    first = scan_root(directory.parent)
    assert (first.versions[RUN].normalizer, first.versions[RUN].has_unread_scaler) == (None, is_unread)
    if is_unread:
        (directory / "scalers.pkl").unlink()
    else:
        (directory / "scalers.pkl").write_bytes(scaler)
    kept = scan_root(directory.parent, first, limits=die()).versions[RUN]
    assert (kept.can_predict, kept.has_unread_scaler) == (True, is_unread)


def test_content_that_is_known_to_be_bad_takes_the_place_of_what_stayed(
    served: Served, die: Die, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scan_root(served.root)
    served.change()
    scan = scan_root(served.root, first, limits=die())
    monkeypatch.undo()
    for model in (*served.file.parent.glob("*model.json"), *served.file.parent.glob("*model.[tp][xk]*")):
        model.write_bytes(b"no model")
    known = served.of(scan_root(served.root, scan))
    assert (known.model, _is_usable(known)) == (None, False)
    assert "reader-ended" not in _codes(known)
