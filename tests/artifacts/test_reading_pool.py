"""Who reads a group, and what it costs the others when that fails."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from mm_core.artifacts import read_group, reading_pool
from mm_core.artifacts.layouts import GroupFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import list_groups
from mm_core.artifacts.read_group import GroupReading
from mm_core.artifacts.readers.info_pkl import read_training_info
from mm_core.artifacts.readers.model_json import CheckedBooster, read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.reading_defects import read_or_lose
from mm_core.artifacts.scan import scan_root
from mm_core.domain.factors import IcTable
from mm_core.domain.groups import TrainingInfo
from mm_core.errors import ReaderNotStarted
from mm_core.registry import Registry
from tests.waiting import wait_until

Write = Callable[..., Path]
Fail = Callable[[BaseException], None]


@pytest.fixture
def fail_on_bad(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Have the reader of models raise for those of groups whose key begins with BAD."""

    def fail(error: BaseException) -> None:
        def read(data: bytes, report: FileReport) -> CheckedBooster:
            if report.file.startswith("BAD"):
                raise error
            return read_booster(data, report)

        monkeypatch.setattr(read_group, "read_booster", read)

    return fail


@pytest.mark.parametrize(
    "error",
    [
        IndexError("list index out of range"),
        ZeroDivisionError("division by zero"),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        type("ErrorOfALibrary", (Exception,), {})("\x1b[31mred"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_reader_that_fails_unexpectedly_costs_its_group_a_finding_that_names_the_defect(
    write_group: Write, fail_on_bad: Fail, error: Exception
) -> None:
    write_group("BAD_r")
    root = write_group("GOOD_r")
    fail_on_bad(error)
    scan = scan_root(root)
    (finding,) = scan.groups["BAD_r"].findings
    assert finding.code == "reader-ended"
    assert f"{type(error).__name__} in test_reading_pool.py, line " in finding.detail
    assert finding.detail.isprintable()
    assert not scan.groups["BAD_r"].payload_ready
    assert scan.groups["GOOD_r"].payload_ready
    again = scan_root(root, scan).groups
    assert again["BAD_r"] is not scan.groups["BAD_r"], "it is read again at every scan"
    assert again["GOOD_r"] is scan.groups["GOOD_r"]


def test_a_group_that_cannot_be_written_costs_itself_alone(
    write_group: Write, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    def read(data: bytes, report: FileReport) -> tuple[TrainingInfo, IcTable]:
        training, ic = read_training_info(data, report)
        return (replace(training, config={"key": object()}) if report.file.startswith("BAD") else training), ic

    monkeypatch.setattr(read_group, "read_training_info", read)
    write_group("BAD_r")
    root = write_group("GOOD_r")
    scan = registry.registrations.register("m", str(root)).scan
    assert [finding.code for finding in scan.groups["BAD_r"].findings] == ["reader-ended"]
    assert registry.payload("m", "GOOD") is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__)
def test_who_ends_the_process_is_not_held_up_by_a_scan(
    write_group: Write, fail_on_bad: Fail, error: BaseException
) -> None:
    root = write_group("BAD_r")
    fail_on_bad(error)
    with pytest.raises(type(error)):
        scan_root(root)


def test_a_defect_of_a_reader_ends_no_scan_no_watcher_and_no_start(
    write_group: Write, fail_on_bad: Fail, registry: Registry, tmp_path: Path
) -> None:
    fail_on_bad(IndexError("list index out of range"))
    root = write_group("GOOD_r")
    registry.registrations.register("m", str(root))
    registry.watcher.start()
    try:
        write_group("BAD_r")
        wait_until(lambda: "BAD_r" in registry.model("m")[1].groups)
        write_group("LATER_r")
        wait_until(lambda: "LATER_r" in registry.model("m")[1].groups)
    finally:
        registry.watcher.stop()
    with structlog.testing.capture_logs() as lines:
        registry.registrations.refresh("m")
    (line,) = [line for line in lines if line["event"] == "reader_ended"]
    assert (line["model"], line["group"]) == ("m", "BAD_r")
    assert "IndexError in test_reading_pool.py" in line["reason"]
    for path in (tmp_path / "data" / "scans").rglob("*"):
        if path.is_file():
            path.unlink()
    assert registry.registrations.restore_missing_scans() == ()
    assert registry.payload("m", "LATER") is not None


def test_a_group_with_a_large_file_is_read_by_a_child_and_the_others_here(
    write_group: Write, monkeypatch: pytest.MonkeyPatch, booster_json: bytes
) -> None:
    document = json.loads(booster_json)
    document["learner"]["attributes"]["note"] = "x" * reading_pool.LARGEST_READ_HERE
    large = json.dumps(document).encode()
    write_group("LARGE_r", model_json=large)
    root = write_group("SMALL_r")
    here: list[str] = []

    def read(root: Path, files: GroupFiles, limits: ReadingLimits) -> GroupReading:
        here.append(files.group_key)
        return read_or_lose(root, files, limits)

    monkeypatch.setattr(reading_pool, "read_or_lose", read)
    kept: list[bytes] = []
    scan = scan_root(root, keep=lambda data, _: kept.append(data))
    assert here == ["SMALL_r"]
    assert list(scan.groups) == ["LARGE_r", "SMALL_r"]
    assert sorted(kept, key=len) == [booster_json, large]
    (listed,) = [files for files in list_groups(root, ReadingLimits()).groups if files.group_key == "LARGE_r"]
    alone = read_or_lose(root, listed, ReadingLimits()).group
    assert replace(scan.groups["LARGE_r"], read_at="") == replace(alone, read_at="")
    assert alone.payload_ready


def test_a_child_that_may_take_less_memory_than_a_file_needs_costs_that_group_alone(write_group: Write) -> None:
    write_group("LARGE_r")
    root = write_group("SMALL_r")
    os.truncate(root / "LARGE_r_model.json", 450 << 20)
    scan = scan_root(root, limits=ReadingLimits(worker_memory_bytes=400 << 20))
    (finding,) = scan.groups["LARGE_r"].findings
    assert (finding.code, "MemoryError" in finding.detail) == ("reader-ended", True)
    assert scan.groups["SMALL_r"].payload_ready


@pytest.mark.parametrize("groups", [1, reading_pool.FEWEST_FOR_CHILDREN])
def test_a_machine_that_starts_no_more_processes_keeps_what_is_in_service_and_no_scan_waits(
    write_group: Write, registry: Registry, monkeypatch: pytest.MonkeyPatch, groups: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    for number in range(groups):
        root = write_group(f"S{number}_r")
    registered = registry.registrations.register("m", str(root)).scan
    monkeypatch.setattr(reading_pool, "LARGEST_READ_HERE", 1)
    monkeypatch.setattr(reading_pool.subprocess, "Popen", refuse)
    for path in root.iterdir():
        os.utime(path)
    with pytest.raises(ReaderNotStarted, match="Cannot allocate memory"):
        registry.registrations.refresh("m")
    assert registry.view().scan("m") == registered
    monkeypatch.undo()
    assert all(group.payload_ready for group in registry.registrations.refresh("m").scan.groups.values())
