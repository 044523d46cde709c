"""The watcher: events, polls, quiet roots, and roots that fail."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import watchfiles

from mm_core.artifacts import listing
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.tree import list_tree
from mm_core.errors import DuplicateSymbols
from mm_core.registry import Registry
from mm_core.registry.watching import Watcher
from tests.conftest import FACTORS
from tests.waiting import wait_until

KEY = "SOLUSDT_mid_chg_1m"


@pytest.fixture
def watch(registry: Registry) -> Iterator[Callable[..., Watcher]]:
    """Start watchers with short times; they are stopped at the end."""
    running: list[Watcher] = []

    def start(interval: float = 0.1, debounce: float = 0.2) -> Watcher:
        watcher = Watcher(registry.store, registry.registrations, interval=interval, debounce=debounce)
        watcher.start()
        running.append(watcher)
        return watcher

    yield start
    for watcher in running:
        watcher.stop()


@pytest.fixture
def root(registry: Registry, write_group: Callable[..., Path]) -> Path:
    """The root of model ``m``, with one whole group."""
    root = write_group()
    registry.registrations.register("m", str(root))
    return root


def _factors(registry: Registry) -> tuple[str, ...]:
    return registry.group("m", "SOLUSDT")[2].factors.names


def _write_factors(root: Path, *names: str) -> None:
    (root / f"{KEY}_factors.txt").write_text("".join(f"{name}\n" for name in names))


def _rewrite(root: Path) -> None:
    _write_factors(root, "x", "y", "z")


def _wait_until_rewritten(registry: Registry) -> None:
    """Wait until what `_rewrite` wrote is in service."""
    wait_until(lambda: _factors(registry) == ("x", "y", "z"))


def _told_of_events(watcher: Watcher) -> Watcher:
    """Return a watcher as soon as it is told of what happens."""
    wait_until(lambda: watcher.state().mode == "events")
    return watcher


def test_a_change_is_read_by_events(registry: Registry, root: Path, watch: Callable[..., Watcher]) -> None:
    watcher = _told_of_events(watch(interval=60.0))
    _rewrite(root)
    _wait_until_rewritten(registry)
    wait_until(lambda: watcher.state().refreshes == 1)


def test_a_new_version_directory_is_put_into_service_whole(
    registry: Registry, watch: Callable[..., Watcher], tmp_path: Path
) -> None:
    root = tmp_path / "models"
    (root / "early-signal" / "v1.0.0").mkdir(parents=True)
    (root / "early-signal" / "v1.0.0" / "model.txt").write_text("tree\n")
    registry.registrations.register("m", str(root))
    watcher = watch(interval=60.0, debounce=0.6)
    wait_until(lambda: watcher.state().mode == "events")
    seen: set[int] = set()

    def files() -> int:
        version = registry.model("m")[1].versions.get("early-signal/v1.1.0")
        seen.add(len(version.files) if version is not None else 0)
        return len(version.files) if version is not None else 0

    (root / "early-signal" / "v1.1.0").mkdir()
    for name in ("model.txt", "normalizer.json", "metadata.json"):
        (root / "early-signal" / "v1.1.0" / name).write_text("{}")
        time.sleep(0.05)
        files()
    (root / "early-signal" / "latest").symlink_to("v1.1.0")
    wait_until(lambda: files() == 3)
    assert seen == {0, 3}
    wait_until(lambda: registry.model("m")[1].latest == {"early-signal": "early-signal/v1.1.0"})


def test_a_change_that_events_tell_costs_no_listing_of_the_root(
    registry: Registry,
    root: Path,
    watch: Callable[..., Watcher],
    write_group: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed: list[Path] = []
    monkeypatch.setattr(listing, "list_tree", lambda root, limits: listed.append(root) or list_tree(root, limits))
    _told_of_events(watch(interval=60.0))
    wait_until(lambda: listed == [root])
    _rewrite(root)
    _wait_until_rewritten(registry)
    write_group("BTCUSDT_mid_chg_1m")
    wait_until(lambda: len(registry.model("m")[1].groups) == 2)
    assert listed == [root], "once, when it began to watch"


def test_paths_that_changed_do_not_hide_what_made_the_last_refresh_fail(
    registry: Registry, root: Path, write_group: Callable[..., Path]
) -> None:
    write_group("SOLUSDT_mid_chg_5m")
    other = write_group("BTCUSDT_mid_chg_1m") / "BTCUSDT_mid_chg_1m_ic.csv"
    with pytest.raises(DuplicateSymbols):
        registry.registrations.refresh_changed("m")
    with pytest.raises(DuplicateSymbols):
        registry.registrations.refresh_changed("m", [str(other)])


def test_a_file_whose_name_hides_a_character_is_passed_over_when_an_event_tells_of_it_too(
    registry: Registry, root: Path, write_group: Callable[..., Path]
) -> None:
    write_group("BTC\u200bUSDT_mid_chg_1m")
    new = [str(path) for path in root.iterdir() if path.name.startswith("BTC")]
    registry.registrations.refresh_changed("m", new)
    scan = registry.model("m")[1]
    assert (scan.symbols(), {finding.code for finding in scan.findings}) == (("SOLUSDT",), {"file-name"})


def test_a_look_at_what_did_not_change_stores_nothing(registry: Registry, root: Path) -> None:
    before = registry.view().revision
    assert registry.registrations.refresh_changed("m").registered is None
    assert registry.registrations.refresh_changed("m", [str(root / f"{KEY}_ic.csv")]).registered is None
    assert registry.view().revision == before


def test_a_change_is_read_by_polls_where_events_are_not_available(
    registry: Registry,
    root: Path,
    watch: Callable[..., Watcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> Iterator[object]:
        raise OSError("OS file watch limit reached")
        yield

    monkeypatch.setattr(watchfiles, "watch", refuse)
    watcher = watch()
    wait_until(lambda: watcher.state().mode == "polling")
    _rewrite(root)
    _wait_until_rewritten(registry)


def test_a_change_made_before_the_watch_began_is_found(
    registry: Registry, root: Path, watch: Callable[..., Watcher]
) -> None:
    _rewrite(root)
    watch(interval=60.0)
    _wait_until_rewritten(registry)


def test_a_root_that_is_being_written_is_left_until_it_rests(
    registry: Registry, root: Path, watch: Callable[..., Watcher]
) -> None:
    watcher = _told_of_events(watch(interval=60.0, debounce=0.6))
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        _rewrite(root)
        time.sleep(0.05)
    assert watcher.state().refreshes == 0
    wait_until(lambda: watcher.state().refreshes == 1)


def test_a_group_that_is_being_replaced_is_left_while_others_are_read(
    registered: Registry, model_root: Path, write_group: Callable[..., Path]
) -> None:
    _rewrite(model_root)
    time.sleep(0.5)
    half = model_root / "BTCUSDT_mid_chg_1m_factors.txt"
    half.write_text("x\ny\nz\n")
    write_group("NEWUSDT_mid_chg_1m")
    done = registered.registrations.refresh_changed("m", quiet_seconds=0.4)
    assert done.registered is not None
    assert sorted(done.waiting) == ["BTCUSDT_mid_chg_1m", "NEWUSDT_mid_chg_1m"]
    assert str(half) in done.waiting["BTCUSDT_mid_chg_1m"]
    assert _factors(registered) == ("x", "y", "z")
    assert registered.group("m", "BTCUSDT")[2].factors.names == FACTORS
    assert registered.model("m")[1].symbols() == ("BTCUSDT", "SOLUSDT")
    again = registered.registrations.refresh_changed("m", quiet_seconds=0.4, impatient_of={"BTCUSDT_mid_chg_1m"})
    assert sorted(again.waiting) == ["NEWUSDT_mid_chg_1m"]
    assert registered.group("m", "BTCUSDT")[2].factors.names == ("x", "y", "z")
    time.sleep(0.4)
    assert registered.registrations.refresh_changed("m", quiet_seconds=0.4).waiting == {}
    assert registered.model("m")[1].symbols() == ("BTCUSDT", "NEWUSDT", "SOLUSDT")


def test_a_group_that_changes_while_the_root_is_listed_is_left_too(
    registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.25)  # what was written for the registration rests

    def list_late(root: Path, limits: ReadingLimits) -> object:
        time.sleep(0.05)
        _rewrite(root)
        time.sleep(0.05)
        return list_tree(root, limits)

    monkeypatch.setattr(listing, "list_tree", list_late)
    assert list(registry.registrations.refresh_changed("m", quiet_seconds=0.2).waiting) == [KEY]
    assert _factors(registry) == FACTORS


def test_a_file_whose_time_is_in_the_future_does_not_keep_its_group_back(
    registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _rewrite(root)
    an_hour_ago = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr("mm_core.registry.registration.time.time_ns", lambda: an_hour_ago)
    assert registry.registrations.refresh_changed("m", quiet_seconds=60.0).waiting == {}
    assert _factors(registry) == ("x", "y", "z"), "clocks of file servers differ from ours"


def test_in_a_root_that_never_rests_whole_groups_are_read_and_one_that_never_rests_later_all_the_same(
    registered: Registry, model_root: Path, watch: Callable[..., Watcher]
) -> None:
    _told_of_events(watch(interval=60.0, debounce=0.3))
    _rewrite(model_root)
    restless, ended = model_root / "BTCUSDT_mid_chg_1m_factors.txt", threading.Event()

    def write_on() -> None:
        while not ended.wait(0.1):  # time for a read between two writes
            restless.write_text("x\ny\nz\n")

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        _wait_until_rewritten(registered)
        assert registered.group("m", "BTCUSDT")[2].factors.names == FACTORS
        wait_until(lambda: registered.group("m", "BTCUSDT")[2].factors.names == ("x", "y", "z"), seconds=30)
    finally:
        ended.set()
        writer.join()


def test_a_refresh_that_fails_keeps_the_last_scan_and_says_why(
    registry: Registry, root: Path, watch: Callable[..., Watcher], write_group: Callable[..., Path]
) -> None:
    watcher = _told_of_events(watch())
    write_group("SOLUSDT_mid_chg_5m")
    wait_until(lambda: registry.model("m")[0].refresh_error is not None)
    wait_until(lambda: "SOLUSDT_mid_chg_5m" in str(watcher.state().last_error))
    assert len(registry.model("m")[1].groups) == 1
    for path in root.glob("SOLUSDT_mid_chg_5m*"):
        path.unlink()
    wait_until(lambda: registry.model("m")[0].refresh_error is None)


def test_a_root_that_vanishes_and_comes_back_is_read_again(
    registry: Registry, root: Path, watch: Callable[..., Watcher]
) -> None:
    _told_of_events(watch())
    away = root.rename(root.with_name("away"))
    wait_until(lambda: "does not exist" in str(registry.model("m")[0].refresh_error))
    assert len(registry.model("m")[1].groups) == 1
    _rewrite(away)
    away.rename(root)
    _wait_until_rewritten(registry)
    assert registry.model("m")[0].refresh_error is None


def _swapped(root: Path) -> None:
    other = root.with_name("other")
    shutil.copytree(root, other)
    _rewrite(other)
    root.rename(root.with_name("before"))
    other.rename(root)


def _swapped_with_the_directory_around_it(root: Path) -> None:
    around, other = root.parent, root.parent.with_name("other")
    shutil.copytree(around, other)
    _rewrite(other / root.name)
    around.rename(around.with_name("before"))
    other.rename(around)


def _removed_and_made_again(root: Path) -> None:
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    shutil.rmtree(root)
    root.mkdir()  # as a rule of the same inode
    for path in kept.iterdir():
        shutil.copy(path, root)
    _rewrite(root)


@pytest.mark.parametrize("replaced", [_swapped, _swapped_with_the_directory_around_it, _removed_and_made_again])
def test_a_directory_that_takes_the_place_of_a_root_is_followed_by_events(
    registry: Registry,
    write_group: Callable[..., Path],
    watch: Callable[..., Watcher],
    monkeypatch: pytest.MonkeyPatch,
    replaced: Callable[[Path], None],
) -> None:
    root = write_group(folder="in-service") / "in-service"
    registry.registrations.register("m", str(root))
    listed: list[Path] = []
    monkeypatch.setattr(listing, "list_tree", lambda root, limits: listed.append(root) or list_tree(root, limits))
    watcher = watch(interval=60.0)
    wait_until(lambda: listed == [root])  # that is done once the watch is there
    replaced(root)
    _wait_until_rewritten(registry)
    _write_factors(root, "a", "b", "c")
    wait_until(lambda: _factors(registry) == ("a", "b", "c"))
    assert watcher.state().mode == "events"


def test_a_root_that_became_a_link_is_followed_to_wherever_it_leads(
    registry: Registry, root: Path, watch: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = root.with_name("release-1"), root.with_name("release-2")
    root.rename(first)
    shutil.copytree(first, second)
    _write_factors(second, "second_1", "second_2", "second_3")
    root.symlink_to(first)
    _told_of_events(watch(interval=60.0))
    _rewrite(first)
    _wait_until_rewritten(registry)
    root.with_name("new").symlink_to(second)
    root.with_name("new").rename(root)
    wait_until(lambda: _factors(registry) == ("second_1", "second_2", "second_3"))
    listed: list[Path] = []
    monkeypatch.setattr(listing, "list_tree", lambda root, limits: listed.append(root) or list_tree(root, limits))
    _write_factors(second, "a", "b", "c")
    wait_until(lambda: _factors(registry) == ("a", "b", "c"))
    assert listed == [], "events name the files behind a link as a scan does"


def test_a_root_that_comes_back_is_followed_by_events_again_beside_others(
    registry: Registry, root: Path, write_group: Callable[..., Path], watch: Callable[..., Watcher], tmp_path: Path
) -> None:
    other = write_group(folder="../other").with_name("other")
    registry.registrations.register("other", str(other))
    away = root.rename(tmp_path / "away")
    watcher = _told_of_events(watch(interval=60.0))
    wait_until(lambda: "does not exist" in str(registry.model("m")[0].refresh_error))
    away.rename(root)
    wait_until(lambda: registry.model("m")[0].refresh_error is None)
    _rewrite(root)
    _wait_until_rewritten(registry)
    assert watcher.state().mode == "events"


def test_a_root_that_is_away_keeps_no_other_one_from_being_listed_for_safety(
    registry: Registry, root: Path, write_group: Callable[..., Path], watch: Callable[..., Watcher], tmp_path: Path
) -> None:
    other = write_group(folder="../other").with_name("other")
    registry.registrations.register("other", str(other))
    root.rename(tmp_path / "away")
    asked: list[str] = []
    has_changed = registry.registrations.has_changed
    registry.registrations.has_changed = lambda name: asked.append(name) or has_changed(name)  # type: ignore[method-assign]
    watch(interval=0.05)
    wait_until(lambda: asked.count("other") > 2)
    assert asked.count("m") > asked.count("other"), "what is away is looked for more often"


def test_a_model_that_is_registered_while_it_watches_is_watched_too(
    registry: Registry, watch: Callable[..., Watcher], write_group: Callable[..., Path]
) -> None:
    watcher = watch()
    wait_until(lambda: watcher.state().mode == "polling")
    root = write_group()
    registry.registrations.register("m", str(root))
    wait_until(lambda: watcher.state().mode == "events")
    _rewrite(root)
    _wait_until_rewritten(registry)


def test_nothing_new_is_no_refresh(registry: Registry, root: Path, watch: Callable[..., Watcher]) -> None:
    revision = registry.view().revision
    watcher = watch()
    time.sleep(1.0)
    assert (watcher.state().refreshes, registry.view().revision) == (0, revision)
