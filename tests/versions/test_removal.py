"""Nothing is removed that a plan did not show, and no plan shows what must stay."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_core import versions
from mm_core.errors import BadRequest, RootNotWritten, RunNotFound, RunProtected, StoreCorrupt
from mm_core.versions import Protected, RemovalPlan
from mm_core.versions.managed import LOCK, locked
from tests.versions.conftest import WriteRun, names_below, write_run_below

VERSIONS = [f"2025072{day}_150837" for day in range(1, 8)]
OLDEST, NEWEST = VERSIONS[0], VERSIONS[-1]


@pytest.fixture
def week(managed: Path, write_run: WriteRun) -> Path:
    """A managed root of seven runs."""
    for version in VERSIONS:
        write_run(version)
    (managed / "latest").symlink_to(NEWEST)
    return managed


def _removed(plan: RemovalPlan) -> list[str]:
    return [one.version for one in plan.removals]


def test_a_cleanup_keeps_the_newest_and_lists_the_rest_newest_first(week: Path) -> None:
    plan = versions.plan_cleanup(week, 5)
    assert plan.kept == tuple(reversed(VERSIONS[2:]))
    assert _removed(plan) == [VERSIONS[1], OLDEST]
    assert plan.size_bytes == sum(one.size_bytes for one in plan.removals) > 3000
    assert names_below(week) == {*VERSIONS, "latest"}, "a plan changes nothing"
    done = versions.execute(plan)
    assert (done.versions, done.stayed, done.in_trash) == ((VERSIONS[1], OLDEST), (), ())
    assert done.freed_bytes == plan.size_bytes
    assert names_below(week) == {*VERSIONS[2:], "latest", ".trash"}
    assert list((week / ".trash").iterdir()) == []


def test_what_failed_trainings_left_is_not_kept_in_the_place_of_a_version(managed: Path, write_run: WriteRun) -> None:
    for version in VERSIONS[:3]:
        write_run(version)
    for version in VERSIONS[3:]:
        write_run(version, about=False, files={"lstm_model.h5": b""})
    plan = versions.plan_cleanup(managed, 2)
    assert plan.kept == tuple(reversed(VERSIONS[1:]))
    assert _removed(plan) == [OLDEST]


@pytest.mark.parametrize("keep", [0, -1])
def test_a_cleanup_that_would_keep_nothing_is_refused(week: Path, keep: int) -> None:
    with pytest.raises(BadRequest, match="Keep at least 1"):
        versions.plan_cleanup(week, keep)


def test_what_latest_stands_for_is_protected_however_it_says_so(week: Path) -> None:
    def reasons() -> dict[str, str]:
        return {one.version: one.reason for one in versions.plan_cleanup(week, 1).protected}

    assert reasons() == {}
    (week / "latest").unlink()
    (week / "latest").symlink_to(OLDEST)
    assert reasons() == {OLDEST: "'latest' stands for it."}
    (week / "latest.txt").write_text(VERSIONS[2])
    assert reasons().keys() == {OLDEST, VERSIONS[2]}
    (week / "latest").unlink()
    assert reasons().keys() == {VERSIONS[2]}


def test_the_newest_is_protected_where_latest_is_missing_or_dangling(week: Path) -> None:
    (week / "latest").unlink()
    with pytest.raises(RunProtected, match="'latest' stands for it"):
        versions.plan_delete(week, NEWEST)
    (week / "latest").symlink_to("20990101_000000")
    with pytest.raises(RunProtected, match="'latest' stands for it"):
        versions.plan_delete(week, NEWEST)


def test_the_newest_with_metadata_is_protected_whatever_link_and_file_stand_for(
    managed: Path, write_run: WriteRun
) -> None:
    for version in VERSIONS[:4]:
        write_run(version)
    for version in VERSIONS[4:]:
        write_run(version, about=False)
    (managed / "latest").symlink_to(OLDEST)
    (managed / "latest.txt").write_text(VERSIONS[1])
    why = "'latest' would stand for it without a link or file."
    plan = versions.plan_cleanup(managed, 1)
    stays = "'latest' stands for it."
    assert plan.protected == tuple(map(Protected, (VERSIONS[3], VERSIONS[1], OLDEST), (why, stays, stays)))
    assert versions.execute(plan).versions == (VERSIONS[5], VERSIONS[4], VERSIONS[2])
    with pytest.raises(RunProtected, match=f"Version {VERSIONS[3]} stays: {why}"):
        versions.plan_delete(managed, VERSIONS[3])
    for name in ("latest", "latest.txt"):
        (managed / name).unlink()
    assert versions.current_version(managed) == versions.Latest(VERSIONS[3], "newest")


def test_a_version_that_became_the_newest_with_metadata_stays(managed: Path, write_run: WriteRun) -> None:
    for version in VERSIONS:
        write_run(version)
    (managed / "latest").symlink_to(OLDEST)
    plan = versions.plan_delete(managed, VERSIONS[-2])
    (managed / NEWEST / "training_metadata.json").unlink()
    done = versions.execute(plan)
    assert done.stayed == (Protected(VERSIONS[-2], "'latest' would stand for it without a link or file."),)


def test_the_newest_goes_where_latest_is_another_one_if_asked_and_latest_stays(week: Path) -> None:
    versions.move_latest(week, OLDEST)
    plan = versions.plan_delete(week, NEWEST, next_latest=True)
    assert plan.next_latest == OLDEST
    assert versions.execute(plan).versions == (NEWEST,)
    assert versions.current_version(week) == versions.Latest(OLDEST, "link")


def test_a_deployed_or_a_shadow_version_is_protected_by_who_knows(week: Path) -> None:
    statuses = {OLDEST: "deployed", VERSIONS[2]: "shadow"}

    def protect(version: str) -> str | None:
        return f"it is {statuses[version]}." if version in statuses else None

    plan = versions.plan_cleanup(week, 1, protect)
    assert plan.protected == (Protected(VERSIONS[2], "it is shadow."), Protected(OLDEST, "it is deployed."))
    assert not statuses.keys() & set(_removed(plan))
    with pytest.raises(RunProtected, match=f"Version {OLDEST} stays: it is deployed."):
        versions.plan_delete(week, OLDEST, protect)


def test_a_pinned_version_stays_until_it_is_unpinned(week: Path) -> None:
    versions.pin(week, OLDEST, "the audit of March")
    assert versions.plan_cleanup(week, 6).protected == (Protected(OLDEST, "it is pinned: the audit of March"),)
    with pytest.raises(RunProtected, match="pinned"):
        versions.plan_delete(week, OLDEST)
    versions.unpin(week, OLDEST)
    assert _removed(versions.plan_cleanup(week, 6)) == [OLDEST]
    with pytest.raises(RunNotFound, match="has no pin"):
        versions.unpin(week, OLDEST)


@pytest.mark.parametrize("name", ["20990101_000000", "../x", "latest", ""])
def test_only_a_version_can_be_pinned(week: Path, name: str) -> None:
    for change in (versions.pin, versions.unpin):
        with pytest.raises(RunNotFound):
            change(week, name)


def test_a_version_that_is_deployed_just_when_it_is_moved_is_put_back(week: Path) -> None:
    answers = {OLDEST: [None, None, "it is deployed."], VERSIONS[1]: [None, None, None]}
    done = versions.execute(versions.plan_cleanup(week, 5, lambda version: answers[version].pop(0)))
    assert (done.versions, done.stayed) == ((VERSIONS[1],), (Protected(OLDEST, "it is deployed."),))
    assert (week / OLDEST / "lstm_model.h5").exists()
    assert names_below(week) == {OLDEST, *VERSIONS[2:], "latest", ".trash"}
    assert list((week / ".trash").iterdir()) == []


def test_what_was_moved_is_put_back_where_nobody_can_tell_any_more_what_is_deployed(week: Path) -> None:
    asked: list[str] = []

    def protect(version: str) -> None:
        asked.append(version)
        if len(asked) > 4:
            raise StoreCorrupt("The registry is damaged.")

    plan = versions.plan_cleanup(week, 5, protect)
    with pytest.raises(StoreCorrupt):
        versions.execute(plan)
    assert names_below(week) == {*VERSIONS, "latest", ".trash"}
    assert list((week / ".trash").iterdir()) == []


def test_a_pin_that_is_a_link_or_a_pipe_protects_and_says_nothing(week: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a secret")
    (week / ".pins").mkdir()
    (week / ".pins" / OLDEST).symlink_to(tmp_path / "key")
    os.mkfifo(week / ".pins" / VERSIONS[1])
    plan = versions.plan_cleanup(week, 5)
    assert plan.protected == (Protected(VERSIONS[1], "it is pinned."), Protected(OLDEST, "it is pinned."))


def test_pins_behind_a_link_are_neither_read_nor_written(week: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / NEWEST).write_text("a file of somebody else")
    (week / ".pins").symlink_to(outside)
    for change in (
        lambda: versions.pin(week, OLDEST),
        lambda: versions.unpin(week, NEWEST),
        lambda: versions.plan_cleanup(week, 5),
    ):
        with pytest.raises(RootNotWritten, match=r"\.pins"):
            change()
    assert [path.name for path in outside.iterdir()] == [NEWEST]


def test_pins_that_cannot_be_read_stop_every_plan(week: Path) -> None:
    (week / ".pins").write_text("no directory")
    with pytest.raises(RootNotWritten, match=r"\.pins"):
        versions.plan_cleanup(week, 1)


def test_a_version_that_is_being_written_in_place_is_protected(managed: Path, write_run: WriteRun) -> None:
    write_run(NEWEST)
    write_run(VERSIONS[3], files={".lock": b"", "lstm_model.h5": b"x"})
    write_run(VERSIONS[2], about=False, age_hours=0.5)
    write_run(OLDEST, about=False, age_hours=2)
    plan = versions.plan_cleanup(managed, 1)
    assert _removed(plan) == [OLDEST]
    assert [one.version for one in plan.protected] == [VERSIONS[3], VERSIONS[2]]
    assert "'.lock' is in it" in plan.protected[0].reason
    assert "within the last hour" in plan.protected[1].reason


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "../models/" + OLDEST,
        "./" + OLDEST,
        OLDEST + "/",
        "{root}/" + OLDEST,
        "ensemble",
        "20990101_0",
    ],
)
def test_nothing_but_the_name_of_a_version_can_be_deleted(week: Path, name: str) -> None:
    (week / "ensemble").mkdir()
    with pytest.raises(RunNotFound, match="not found"):
        versions.plan_delete(week, name.format(root=week))


def test_the_word_latest_cannot_be_deleted(week: Path) -> None:
    with pytest.raises(BadRequest, match=f"Name the version: {NEWEST} is meant"):
        versions.plan_delete(week, "latest")


def test_links_and_files_that_are_named_as_versions_are_never_part_of_a_plan(week: Path, tmp_path: Path) -> None:
    outside = write_run_below(tmp_path / "outside", "20240101_000000")
    (week / "20240101_000000").symlink_to(outside)
    (week / "20240101_000001").symlink_to(OLDEST)
    (week / "20240101_000002").write_text("a file")
    (week / "20240101_00000").mkdir()
    plan = versions.plan_cleanup(week, 1)
    assert (set(_removed(plan)), plan.protected) == (set(VERSIONS[:-1]), ())
    with pytest.raises(RunNotFound):
        versions.plan_delete(week, "20240101_000000")
    versions.execute(plan)
    assert (outside / "lstm_model.h5").is_file()
    assert {"20240101_000000", "20240101_000001", "20240101_000002", "20240101_00000"} <= names_below(week)


def test_latest_is_moved_off_a_version_only_if_asked(week: Path) -> None:
    with pytest.raises(RunProtected):
        versions.plan_delete(week, NEWEST)
    plan = versions.plan_delete(week, NEWEST, next_latest=True)
    assert plan.next_latest == VERSIONS[-2]
    assert versions.current_version(week).version == NEWEST
    assert versions.execute(plan).versions == (NEWEST,)
    assert versions.current_version(week) == versions.Latest(VERSIONS[-2], "link")
    assert versions.plan_delete(week, OLDEST, next_latest=True).next_latest is None


def test_the_only_version_stays(managed: Path, write_run: WriteRun) -> None:
    write_run(NEWEST)
    with pytest.raises(RunProtected, match="it is the only one"):
        versions.plan_delete(managed, NEWEST, next_latest=True)


def _point_latest(root: Path) -> None:
    versions.move_latest(root, OLDEST)


def _pin(root: Path) -> None:
    versions.pin(root, OLDEST)


def _replace_by_link(root: Path) -> None:
    (root / OLDEST).rename(root.parent / "moved")
    (root / OLDEST).symlink_to(root.parent / "moved")


def _replace_by_other(root: Path) -> None:
    (root / OLDEST).rename(root.parent / "moved")
    write_run_below(root, OLDEST)


def _lock(root: Path) -> None:
    (root / OLDEST / ".lock").touch()


@pytest.mark.parametrize("happens", [_point_latest, _pin, _replace_by_link, _replace_by_other, _lock])
def test_a_plan_is_checked_again_when_it_is_carried_out(week: Path, happens: Callable[[Path], None]) -> None:
    plan = versions.plan_delete(week, OLDEST)
    happens(week)
    before = set(week.parent.rglob("*"))
    done = versions.execute(plan)
    assert (done.versions, [one.version for one in done.stayed]) == ((), [OLDEST])
    assert set(week.parent.rglob("*")) - before <= {week / ".trash", week / LOCK}
    assert before <= set(week.parent.rglob("*"))


def test_statuses_are_asked_again_when_a_plan_is_carried_out(week: Path) -> None:
    deployed: set[str] = set()
    plan = versions.plan_cleanup(week, 5, lambda version: "it is deployed." if version in deployed else None)
    deployed.add(OLDEST)
    done = versions.execute(plan)
    assert done.versions == (VERSIONS[1],)
    assert done.stayed == (Protected(OLDEST, "it is deployed."),)


def test_a_version_that_became_one_of_the_newest_stays(week: Path) -> None:
    plan = versions.plan_cleanup(week, 5)
    for version in VERSIONS[4:6]:
        shutil.rmtree(week / version)
    done = versions.execute(plan)
    assert done.versions == ()
    assert all("one of the newest 5 by now" in one.reason for one in done.stayed)


def test_latest_stays_where_it_is_if_the_version_has_to_stay(week: Path) -> None:
    plan = versions.plan_delete(week, NEWEST, next_latest=True)
    versions.pin(week, NEWEST)
    assert [one.version for one in versions.execute(plan).stayed] == [NEWEST]
    assert versions.current_version(week).version == NEWEST


def test_latest_that_was_moved_meanwhile_is_not_moved_again(week: Path) -> None:
    plan = versions.plan_delete(week, NEWEST, next_latest=True)
    versions.move_latest(week, OLDEST)
    assert versions.execute(plan).versions == (NEWEST,)
    assert versions.current_version(week).version == OLDEST


def test_a_version_that_is_gone_already_is_told(week: Path) -> None:
    plan = versions.plan_delete(week, OLDEST)
    assert versions.execute(plan).versions == (OLDEST,)
    assert versions.execute(plan).stayed == (Protected(OLDEST, "it is gone, or is no directory any more."),)


def test_what_cannot_be_removed_is_out_of_sight_and_goes_with_the_next_cleanup(
    week: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refused)
        done = versions.execute(versions.plan_delete(week, OLDEST))
    assert (done.versions, done.freed_bytes) == ((OLDEST,), 0)
    assert "Operation not permitted" in done.in_trash[0]
    assert OLDEST not in names_below(week)
    plan = versions.plan_cleanup(week, 6)
    assert (plan.removals, len(plan.leftovers)) == ((), 1)
    assert plan.leftovers[0].path.startswith(f".trash/{OLDEST}-")
    assert versions.execute(plan).freed_bytes == plan.size_bytes > 0
    assert list((week / ".trash").iterdir()) == []


def test_a_trash_that_is_a_link_is_refused_and_what_it_leads_to_stays(week: Path, tmp_path: Path) -> None:
    precious = write_run_below(tmp_path / "precious", OLDEST)
    (week / ".trash").symlink_to(tmp_path / "precious")
    plan = versions.plan_cleanup(week, 5)
    assert plan.leftovers == ()
    with pytest.raises(RootNotWritten, match=r"\.trash"):
        versions.execute(plan)
    assert (precious / "lstm_model.h5").is_file()
    assert set(VERSIONS) <= names_below(week)


def test_a_link_in_the_trash_or_below_a_version_is_removed_itself_alone(week: Path, tmp_path: Path) -> None:
    precious = write_run_below(tmp_path / "precious", OLDEST)
    (week / ".trash").mkdir()
    (week / ".trash" / "old").symlink_to(precious)
    (week / OLDEST / "checkpoints").symlink_to(precious)
    versions.execute(versions.plan_cleanup(week, 5))
    assert list((week / ".trash").iterdir()) == []
    assert (precious / "lstm_model.h5").is_file()


def test_removing_files_does_not_keep_publishers_waiting(week: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = []
    real = shutil.rmtree

    def removed(name: str, **options: int) -> None:
        with locked(week, 0.0):
            free.append(name)
        real(name, **options)

    monkeypatch.setattr(shutil, "rmtree", removed)
    versions.execute(versions.plan_delete(week, OLDEST))
    assert len(free) == 1


WITH_MODEL = {"run", "unfinished"}
KINDS = ("run", "empty", "unfinished", "locked", "link", "file")


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(KINDS), max_size=7),
    keep=st.integers(1, 8),
    pins=st.sets(st.integers(0, 6)),
    deployed=st.sets(st.integers(0, 6)),
    latest=st.none() | st.integers(0, 6),
    pointer=st.none() | st.integers(0, 6),
)
def test_no_plan_holds_a_protected_version_or_leaves_the_root(
    kinds: list[str], keep: int, pins: set[int], deployed: set[int], latest: int | None, pointer: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outside = write_run_below(Path(folder) / "outside", OLDEST)
        root = versions.init(Path(folder) / "models")
        for version, kind in zip(VERSIONS, kinds, strict=False):
            _write(root, version, kind, outside)
        real = {v for v, kind in zip(VERSIONS, kinds, strict=False) if kind not in {"link", "file"}}
        held = {VERSIONS[n] for n in pins} & real
        for version in held:
            versions.pin(root, version)
        if latest is not None:
            (root / "latest").symlink_to(VERSIONS[latest])
        if pointer is not None:
            (root / "latest.txt").write_text(VERSIONS[pointer])
        held |= {VERSIONS[n] for n in deployed} & real
        held |= {VERSIONS[n] for n in (latest, pointer) if n is not None} & real
        held |= {v for v, kind in zip(VERSIONS, kinds, strict=False) if kind in {"unfinished", "locked"}}
        held |= {max((v for v, kind in zip(VERSIONS, kinds, strict=False) if kind in {"run", "locked"}), default="")}
        current = versions.current_version(root).version
        newest = _newest({v: k for v, k in zip(VERSIONS, kinds, strict=False) if v in real}, keep)

        names = {VERSIONS[n] for n in deployed}
        plan = versions.plan_cleanup(root, keep, lambda version: "it is deployed." if version in names else None)
        planned = set(_removed(plan))
        assert planned == real - held - newest - {current}
        assert {one.version for one in plan.protected} == real - planned - newest
        assert plan.leftovers == ()
        assert set(versions.execute(plan).versions) == planned
        assert {v for v in VERSIONS if os.path.lexists(root / v)} == set(VERSIONS[: len(kinds)]) - planned
        assert (outside / "lstm_model.h5").is_file()
        assert versions.current_version(root).version == current


def _newest(kinds: dict[str, str], keep: int) -> set[str]:
    found: list[str] = []
    while kinds and [kinds[version] in WITH_MODEL for version in found].count(True) < keep:
        rest = kinds.keys() - set(found)
        if not rest:
            break
        found.append(max(rest))
    return set(found)


def _write(root: Path, version: str, kind: str, outside: Path) -> None:
    if kind == "link":
        (root / version).symlink_to(outside)
    elif kind == "file":
        (root / version).write_text("a file")
    elif kind == "unfinished":
        write_run_below(root, version, about=False, age_hours=0)
    elif kind == "locked":
        write_run_below(root, version, files={".lock": b""})
    else:
        write_run_below(root, version, about=False if kind == "empty" else None, files={} if kind == "empty" else None)


@settings(max_examples=40)
@given(st.text(max_size=24) | st.sampled_from(["..", "/", "a/b", "20250721_150837/..", "latest"]))
def test_no_text_deletes_anything_but_a_version(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = versions.init(Path(folder) / "models")
        write_run_below(root, NEWEST)
        with pytest.raises((RunNotFound, BadRequest, RunProtected)):
            versions.plan_delete(root, name)


def test_a_plan_for_another_root_is_carried_out_below_none(week: Path, tmp_path: Path) -> None:
    plan = versions.plan_cleanup(week, 5)
    other = versions.init(tmp_path / "other")
    for version in VERSIONS:
        write_run_below(other, version)
    done = versions.execute(replace(plan, root=other))
    assert done.versions == ()
    assert {one.reason for one in done.stayed} == {"another directory has its name by now."}
    assert set(VERSIONS) <= names_below(other)


@pytest.mark.parametrize("path", [OLDEST, "../outside", ".tmp-of-somebody-else", ".trash/../latest", "latest", ".pins"])
def test_a_forged_leftover_is_not_carried_out(week: Path, path: str) -> None:
    (week.parent / "outside").mkdir()
    (week / ".tmp-of-somebody-else").mkdir()
    versions.pin(week, OLDEST)
    before = set(week.parent.rglob("*"))
    assert versions.execute(RemovalPlan(week, leftovers=(versions.Leftover(path, 1),))).freed_bytes == 0
    assert set(week.parent.rglob("*")) - {week / ".trash"} == before


def test_leftovers_of_the_dead_go_and_files_of_others_stay(week: Path) -> None:
    dead = week / f".tmp-20250721_150837-{os.getpid()}-0123abcd"
    dead.mkdir()
    (dead / "lstm_model.h5").write_bytes(bytes(100))
    (week / f"{dead.name}.lock").touch()
    (week / f".tmp-latest-{'0' * 32}").symlink_to(NEWEST)
    (week / ".tmp-of-somebody-else").mkdir()
    (week / ".tmp-20250721_150837").mkdir()
    plan = versions.plan_cleanup(week, 7)
    assert [one.path for one in plan.leftovers] == [dead.name, f"{dead.name}.lock", f".tmp-latest-{'0' * 32}"]
    assert versions.execute(plan).freed_bytes == 100
    left = {name for name in names_below(week) if name.startswith(".tmp")}
    assert left == {".tmp-of-somebody-else", ".tmp-20250721_150837"}


def test_a_run_that_is_being_published_is_no_leftover_however_long_it_takes(week: Path) -> None:
    with versions.publish(week) as run:
        (run.path / "lstm_model.h5").write_bytes(b"x")
        long_ago = time.time() - 1e6
        for path in (run.path / "lstm_model.h5", run.path, Path(f"{run.path}.lock")):
            os.utime(path, (long_ago, long_ago))
        plan = versions.plan_cleanup(week, 7)
        assert plan.leftovers == ()
        forged = replace(
            plan, leftovers=(versions.Leftover(run.path.name, 1), versions.Leftover(f"{run.path.name}.lock", 0))
        )
        versions.execute(forged)
        assert (run.path / "lstm_model.h5").is_file()
    assert versions.current_version(week).version == run.version
