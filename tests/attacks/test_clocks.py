"""Clocks that are set back, stand still or were never set: nothing that is served or kept may depend on them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mm_core.domain.moments import utc_text
from mm_core.registry import Registry, activity, configs, registration
from mm_core.settings import Settings
from mm_core.store import BlobDirectory, NoteDirectory, TinyDBStore
from mm_core.store.scans import ScanFiles
from mm_core.wiring import open_registry
from tests.attacks.in_process import served_here
from tests.attacks.raw_http import answers_in, ask, connect, request, rest_of
from tests.conftest import save_config
from tests.store.test_contract import MODEL, make_scan, record

NOW = time.time()
HOUR = 3600.0


class WallClock:
    """A wall clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = NOW
        monkeypatch.setattr("mm_core.store.durable.time.time", lambda: self.seconds)
        monkeypatch.setattr("mm_core.store.durable.time.time_ns", lambda: int(self.seconds * 1e9))
        for module in (configs, registration):
            monkeypatch.setattr(module, "utc_now", lambda: utc_text(self.seconds))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """The wall clock of every part that writes."""
    return WallClock(monkeypatch)


@pytest.mark.parametrize("step", [0.0, -1.0, -HOUR], ids=["stands still", "goes back", "goes back by hours"])
def test_every_commit_has_a_stamp_of_its_own_and_every_reader_sees_it(
    tmp_path: Path, clock: WallClock, step: float
) -> None:
    writer, reader, stamps = TinyDBStore(tmp_path), TinyDBStore(tmp_path), []
    for number in range(1, 31):
        with writer.transaction() as transaction:
            transaction.save_model(replace(MODEL, updated_at=f"{number:04}"))  # a state of the same size each time
        stamps.append(writer.stamp())
        assert (reader.view().revision, reader.view().model("m").updated_at) == (number, f"{number:04}")
        clock.seconds += step
    assert len(set(stamps)) == 30
    assert [stamp[1] for stamp in stamps] == sorted(stamp[1] for stamp in stamps)


def test_each_note_is_read_as_it_was_written_last(tmp_path: Path, clock: WallClock) -> None:
    writer, reader = NoteDirectory(tmp_path), NoteDirectory(tmp_path)
    for number in range(100):
        writer.write("m", "S", b"%03d" % number)
        clock.seconds -= 1
        assert reader.read("m", "S", int) == number


@pytest.mark.parametrize("of_files", [NOW + 400 * 24 * HOUR, 1.0], ids=["in the future", "never set"])
def test_nothing_that_is_named_goes_whatever_the_times_of_files_are(tmp_path: Path, of_files: float) -> None:
    store = TinyDBStore(tmp_path)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
    for number in range(1, 6):
        with store.transaction() as transaction:
            transaction.save_scan("m", make_scan(number))
            transaction.configs.save(*record(number, float(number)))
        for path in tmp_path.rglob("*.json"):
            os.utime(path, (of_files, of_files))
    view = TinyDBStore(tmp_path).view()
    assert view.configs.record("m", "A000") == record(5, 5.0)[0]
    assert [one.number for one in view.configs.history("m", "A000")] == [1, 2, 3, 4, 5]
    assert view.scan("m") == make_scan(5)
    assert [view.earlier_scan("m", kept.scan_id) for kept in view.model("m").earlier_scans] == [
        make_scan(count) for count in (1, 2, 3, 4)
    ]
    assert TinyDBStore(tmp_path).problems() == ()


def test_what_is_replaced_stays_for_its_minute_after_the_clock_went_back(tmp_path: Path, clock: WallClock) -> None:
    store = TinyDBStore(tmp_path)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.configs.save(*record(1, 1.0))
    held = TinyDBStore(tmp_path).view()
    for number in (2, 3):
        clock.seconds -= HOUR
        with store.transaction() as transaction:
            transaction.configs.save(*record(number, float(number)))
    assert held.configs.record("m", "A000") == record(1, 1.0)[0]


def test_the_newest_scan_is_remembered_though_its_name_is_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, last, ids = ScanFiles(tmp_path), None, []
    for number in range(1, 5):
        monkeypatch.setattr("mm_core.store.scans.time.time_ns", lambda number=number: int(1e18) - number)
        last = files.save("m", make_scan(number), last)
        ids.append(last)
    assert ids == sorted(ids, reverse=True)
    for path in tmp_path.rglob("*.json"):
        path.unlink()
    loaded = files.load("m", ids[-1])
    assert loaded is not None, "it was read from the disk again"
    assert loaded.scan == make_scan(4)


def test_history_stands_in_the_order_of_revisions(settings: Settings, clock: WallClock, registered: Registry) -> None:
    for number in range(1, 5):
        clock.seconds -= HOUR
        assert save_config(registered, float(number)) == number + 1
    history = open_registry(settings).configs.history("m", "SOLUSDT")
    assert [one.number for one in history] == [1, 2, 3, 4, 5]
    assert [one.at for one in history] == sorted((one.at for one in history), reverse=True)
    assert registered.configs.at_revision("m", "SOLUSDT", 4).mean_values == (3.0,) * 3


def test_every_save_is_a_payload_of_its_own_and_a_change_that_is_told(clock: WallClock, registered: Registry) -> None:
    registered.publisher.publish_all()
    since, digests = registered.view().revision, set()
    for number in range(5):
        save_config(registered, number / 4)
        registered.publisher.publish_all()
        clock.seconds -= HOUR * (number % 2)
        found = registered.published.find("m", "SOLUSDT")
        assert found is not None
        digests.add(found.digest)
        changes = registered.changes.since("m", since)
        assert changes.symbols == ("SOLUSDT",)
        since = changes.revision
    assert len(digests) == 5


def test_a_refresh_after_the_clock_went_back_takes_files_that_are_newer_and_older(
    registered: Registry, model_root: Path
) -> None:
    for moment in (NOW + 400 * 24 * HOUR, 1.0, NOW - HOUR):
        before = registered.view().scan("m").groups["SOLUSDT_mid_chg_1m"].read_at
        path = model_root / "SOLUSDT_mid_chg_1m_ic.csv"
        path.write_bytes(path.read_bytes())
        os.utime(path, (moment, moment))
        time.sleep(0.002)
        assert registered.registrations.refresh_changed("m") is not None
        assert registered.view().scan("m").groups["SOLUSDT_mid_chg_1m"].read_at > before


def test_what_changed_since_is_told_though_later_scans_have_earlier_times(
    registry: Registry, model_root: Path, write_group: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=hours) for hours in (0, 2, -3, -2)]
    keys = ["AAA_r", "BBB_r", "CCC_r", "DDD_r"]
    for moment, key in zip(moments, keys, strict=True):
        write_group(key)
        monkeypatch.setattr("mm_core.artifacts.scan.utc_now", lambda moment=moment: utc_text(moment.timestamp()))
        if key == keys[0]:
            registry.registrations.register("m", str(model_root))
        else:
            registry.registrations.refresh("m")
    told = [event.what for event in activity.events_since(registry.view(), moments[0] + timedelta(hours=1))]
    assert "Groups: 1 new (BBB_r)." in told
    assert "Groups: 1 new (CCC_r)." not in told


def test_blobs_of_a_clock_that_was_never_set_are_made_again_and_nothing_is_served_wrong(
    settings: Settings, registered: Registry
) -> None:
    registered.publisher.publish_all()
    before = registered.published.find("m", "SOLUSDT")
    blobs = settings.data_dir / "blobs"
    for path in blobs.rglob("*"):
        os.utime(path, (1, 1))
    registered.housekeeping.execute(registered.housekeeping.plan_cleanup())
    assert registered.published.find("m", "SOLUSDT") == before == registered.payload("m", "SOLUSDT")
    assert list(BlobDirectory(blobs / "models").entries()), "what a scan names stays"


@pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
@pytest.mark.parametrize("step", [-HOUR, HOUR], ids=["goes back", "goes forward"])
def test_slow_and_silent_connections_end_in_their_time_whatever_the_clock_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"{}"]

    impatient = replace(settings, request_seconds=1.0, idle_seconds=2.5)
    as_it_is = time.time
    with served_here(application, impatient) as url, connect(url) as slow, connect(url) as silent, connect(url) as bot:
        began = time.monotonic()
        slow.sendall(request("/")[:10])
        assert ask(bot, request("/")).status == 200
        monkeypatch.setattr(time, "time", lambda: as_it_is() + step)
        (answer,) = answers_in(rest_of(slow))
        assert (answer.status, time.monotonic() - began > 0.9) == (408, True)
        assert rest_of(silent) == b""
        assert time.monotonic() - began < 2.4, "the bot has spoken, and may stay longer"
        assert rest_of(bot) == b""
        assert 2.4 < time.monotonic() - began < 6
