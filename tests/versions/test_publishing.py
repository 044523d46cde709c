"""A run is published whole or not at all, whoever else publishes, and whenever the process ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from mm_core import versions
from mm_core.domain.runs import RunId
from mm_core.errors import BadRequest, RootBusy, RootNotWritten
from mm_core.versions import Latest, publishing
from mm_core.versions.managed import locked
from tests.versions.conftest import names_below, write_run_below
from tests.versions.publishers import broken, note_of, publish_one

PROJECT = Path(__file__).parent.parent.parent


def _publish(root: Path, **about: Any) -> str:
    with versions.publish(root) as run:
        (run.path / "lstm_model.h5").write_bytes(b"weights")
        run.save_metadata(**about)
    assert run.version is not None
    return run.version


def _about(root: Path, version: str) -> Any:
    return json.loads((root / version / "training_metadata.json").read_bytes())


def test_a_published_run_is_named_by_the_time_in_utc_and_is_the_latest(managed: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    with versions.publish(managed) as run:
        assert run.version is None
        assert run.path.parent == managed
        assert run.path.name.startswith(".tmp-")
        (run.path / "lstm_model.h5").write_bytes(b"weights")
        run.save_metadata(ensemble_weights={"lstm": 1.0}, prediction_threshold=0.52, host="gpu")
        assert versions.list_versions(managed) == ()
    named = RunId.parse(str(run.version))
    assert named is not None
    assert before <= named.at <= datetime.now(UTC)
    assert versions.current_version(managed) == Latest(run.version, "link")
    assert os.readlink(managed / "latest") == run.version, "a root can be moved with its link"
    assert names_below(managed) == {run.version, "latest"}
    (found,) = versions.list_versions(managed)
    assert found.findings == ()
    assert found.metadata is not None
    assert (found.metadata.prediction_threshold, found.metadata.trained_models) == (0.52, ("lstm",))
    assert found.metadata.extra == {"host": "gpu"}
    assert str(found.metadata.timestamp).endswith("+00:00")


def test_runs_of_one_second_are_numbered_and_taken_names_are_left_alone(
    managed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Still:
            return cls(2025, 7, 24, 15, 8, 37, 999_999, tzinfo=tz)

    monkeypatch.setattr(publishing, "datetime", Still)
    (managed / "20250724_150837_2").write_text("somebody's file")
    (managed / "20250724_150837_3").symlink_to("nowhere")
    (managed / "20250724_150837_4").mkdir()
    assert [_publish(managed) for _ in range(2)] == ["20250724_150837_5", "20250724_150837_6"]
    assert list((managed / "20250724_150837_4").iterdir()) == []
    assert versions.current_version(managed).version == "20250724_150837_6"


def test_a_name_that_a_cleanup_freed_is_not_given_to_a_newer_run_of_the_same_second(
    managed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Still:
            return cls(2025, 7, 24, 15, 8, 37, tzinfo=tz)

    monkeypatch.setattr(publishing, "datetime", Still)
    first, second = _publish(managed), _publish(managed)
    versions.execute(versions.plan_cleanup(managed, 1))
    assert [run.version for run in versions.list_versions(managed)] == [second]
    third = _publish(managed)
    assert (first, second, third) == ("20250724_150837", "20250724_150837_2", "20250724_150837_3")


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_training_that_fails_leaves_nothing_and_latest_alone(managed: Path, stop: type[BaseException]) -> None:
    first = _publish(managed)
    with pytest.raises(stop), versions.publish(managed) as run:
        (run.path / "lstm_model.h5").write_bytes(b"weights")
        (run.path / "plots").mkdir()
        run.save_metadata()
        raise stop
    assert run.version is None
    assert names_below(managed) == {first, "latest"}
    assert versions.current_version(managed) == Latest(first, "link")


def test_a_training_that_wrote_nothing_is_told_and_leaves_nothing(managed: Path) -> None:
    with pytest.raises(BadRequest, match="nothing is published"), versions.publish(managed):
        pass
    assert names_below(managed) == set()


def test_a_run_without_metadata_gets_what_can_be_told_of_it(managed: Path) -> None:
    with versions.publish(managed) as run:
        (run.path / "xgboost_model.pkl").write_bytes(b"x")
        (run.path / "lstm_model.h5").write_bytes(b"x")
    assert _about(managed, str(run.version))["trained_models"] == ["lstm", "xgboost"]


def test_metadata_that_a_training_wrote_itself_is_published_as_it_is(managed: Path) -> None:
    with versions.publish(managed) as run:
        (run.path / "training_metadata.json").write_text('{"timestamp": "2025-07-24T16:02:11"}')
    assert _about(managed, str(run.version)) == {"timestamp": "2025-07-24T16:02:11"}


def test_numbers_of_numpy_are_numbers_and_those_that_are_not_finite_null(managed: Path) -> None:
    version = _publish(
        managed,
        performance_metrics={
            "lstm": {
                "accuracy": np.float32(0.5),
                "total_trades": np.int64(7),
                "sharpe_ratio": np.nan,
                "win_rate": 1e999,
            }
        },
        ensemble_weights={"lstm": np.float64(1.0)},
        model_configs={
            "lstm": {"layers": np.array([64, 32]), "at": datetime(2025, 7, 24, tzinfo=UTC), "bias": np.True_}
        },
        shape=(1, 2),
        path=Path("x"),
    )
    text = (managed / version / "training_metadata.json").read_text()
    about = json.loads(text, parse_constant=lambda token: pytest.fail(token))
    assert about["performance_metrics"]["lstm"] == {
        "accuracy": 0.5, "total_trades": 7, "sharpe_ratio": None, "win_rate": None,
    }  # fmt: skip
    assert about["model_configs"]["lstm"] == {"layers": [64, 32], "at": "2025-07-24T00:00:00+00:00", "bias": True}
    assert (about["shape"], about["path"]) == ([1, 2], "x")
    assert versions.list_versions(managed)[0].findings == ()


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"model_configs": {"lstm": {"loss": print}}}, "'metadata.model_configs.lstm.loss' is a builtin"),
        ({"tags": {"a", "b"}}, "'metadata.tags' is a set"),
        ({"performance_metrics": {"lstm": 0.5}, "ensemble_weights": {"lstm": -1}}, "has 2 value"),
        ({"trained_models": "lstm"}, "'trained_models' is no list of names"),
        ({"timestamp": "yesterday"}, "'timestamp' is no time"),
        ({"note": "\ud800"}, "no Unicode"),
        ({"prediction_threshold": 1.7}, "'prediction_threshold' is 1.7, no probability"),
        ({"feature_names": ["a", "a"]}, "'feature_names' has a name twice"),
        ({"served_model": 3}, "'served_model' is no name"),
    ],
)
def test_metadata_that_nobody_could_read_is_refused_before_it_is_written(
    managed: Path, about: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadRequest, match=says), versions.publish(managed) as run:
        try:
            run.save_metadata(**about)
        finally:
            assert os.listdir(run.path) == []
    assert names_below(managed) == set()


def test_everything_is_on_the_disk_before_the_run_has_its_name(managed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_sync, real_rename, real_replace = os.fsync, os.rename, os.replace

    def path_of(descriptor: int) -> str:
        return os.readlink(f"/proc/self/fd/{descriptor}").replace(str(managed), "")

    def sync(descriptor: int) -> None:
        done.append(path_of(descriptor))
        real_sync(descriptor)

    def rename(source: Any, target: Any) -> None:
        done.append("renamed")
        real_rename(source, target)

    def replaced(source: Any, target: Any) -> None:
        done.append("latest moved")
        real_replace(source, target)

    for name, function in (("fsync", sync), ("rename", rename), ("replace", replaced)):
        monkeypatch.setattr(os, name, function)
    with versions.publish(managed) as run:
        (run.path / "plots").mkdir()
        (run.path / "plots" / "loss.png").write_bytes(b"x")
        (run.path / "lstm_model.h5").write_bytes(b"x")
        run.save_metadata()
    before = f"/{run.path.name}"
    assert set(done[:5]) == {
        f"{before}/plots/loss.png", f"{before}/plots", f"{before}/lstm_model.h5", f"{before}/training_metadata.json",
        before,
    }  # fmt: skip
    assert done[5:] == ["renamed", "", "latest moved", ""]


def test_without_links_a_pointer_file_stands_for_latest(managed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> NoReturn:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "symlink", refused)
        first, second = _publish(managed), _publish(managed)
        assert names_below(managed) == {first, second, "latest.txt"}
        assert (managed / "latest.txt").read_text() == f"{second}\n"
        assert versions.current_version(managed) == Latest(second, "file")
        versions.move_latest(managed, first)
        assert versions.current_version(managed) == Latest(first, "file")
    third = _publish(managed)
    assert names_below(managed) == {first, second, third, "latest"}, "one pointer is left, and it is the link"
    monkeypatch.setattr(os, "symlink", refused)
    fourth = _publish(managed)
    assert names_below(managed) == {first, second, third, fourth, "latest.txt"}
    assert versions.current_version(managed) == Latest(fourth, "file")


def test_a_directory_that_is_called_latest_is_left_alone(managed: Path) -> None:
    copy = write_run_below(managed, "latest")
    version = _publish(managed)
    assert (copy / "lstm_model.h5").is_file()
    found = versions.current_version(managed)
    assert (found.version, found.source, found.problem) == (version, "file", "'latest' is no link.")


def test_a_latest_that_cannot_be_moved_is_told_with_the_version_that_is_published(
    managed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _publish(managed)

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "symlink", full)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RootNotWritten, match=r"is published, but not the latest\. .* Free some space") as caught:
        _publish(managed)
    second = str(caught.value).split()[1]
    assert names_below(managed) == {first, second, "latest"}
    assert versions.current_version(managed) == Latest(first, "link")


@pytest.mark.parametrize("step", ["open", "mkdir", "fsync", "rename"])
def test_a_disk_that_refuses_is_a_sentence_and_leaves_nothing(
    managed: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first = _publish(managed)
    real = getattr(os, step)

    def refused(path: Any, *arguments: Any, **options: Any) -> Any:
        if step == "open" and not str(path).endswith(".lock"):
            return real(path, *arguments, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, step, refused)
        with pytest.raises(RootNotWritten, match=r"cannot be changed \(No space left on device\)\. Free some space"):
            _publish(managed)
    assert names_below(managed) == {first, "latest"}
    assert versions.current_version(managed) == Latest(first, "link")


def test_an_error_of_the_training_itself_is_handed_on_as_it_is(managed: Path) -> None:
    with pytest.raises(FileNotFoundError), versions.publish(managed) as run:
        (run.path / "not there" / "x").read_bytes()
    assert names_below(managed) == set()


def test_another_process_that_does_not_let_go_is_told(managed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 0.05)
    with locked(managed), pytest.raises(RootBusy, match="Try again"):
        _publish(managed)
    assert names_below(managed) == set()


def test_a_process_that_a_training_forked_does_not_take_the_run_along(managed: Path) -> None:
    block = versions.publish(managed)
    run = block.__enter__()
    (run.path / "lstm_model.h5").write_bytes(b"weights")
    child = os.fork()
    if child == 0:  # it leaves the block as a worker does that calls sys.exit
        try:
            block.__exit__(SystemExit, SystemExit(), None)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.listdir(run.path) == ["lstm_model.h5"]
    block.__exit__(None, None, None)
    assert (managed / str(run.version) / "lstm_model.h5").is_file()


def test_a_cleanup_between_the_first_two_steps_takes_nothing_from_a_publisher(
    managed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    seen = []

    def late(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not seen:  # the publisher's file is there, and not locked yet
            seen.extend(versions.plan_cleanup(managed, 1).leftovers)
            versions.execute(versions.plan_cleanup(managed, 1))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with versions.publish(managed) as run:
        (run.path / "lstm_model.h5").write_bytes(b"weights")
        assert versions.plan_cleanup(managed, 1).leftovers == ()
    assert [one.path.endswith(".lock") for one in seen] == [True]
    assert names_below(managed) == {run.version, "latest", ".trash"}


def test_a_copy_of_a_directory_is_published(managed: Path, tmp_path: Path) -> None:
    source = write_run_below(tmp_path, "my-training")
    (source / "plots").mkdir()
    (source / "plots" / "loss.png").write_bytes(b"x")
    version = versions.publish_directory(managed, source)
    copied = {path.relative_to(managed / version) for path in (managed / version).rglob("*")}
    assert copied == {path.relative_to(source) for path in source.rglob("*")}
    assert versions.current_version(managed).version == version


@pytest.mark.parametrize("what", ["link", "fifo", "root itself", "empty"])
def test_a_directory_that_cannot_be_copied_whole_is_refused(managed: Path, tmp_path: Path, what: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if what == "link":
        (source / "lstm_model.h5").symlink_to("/etc/hostname")
    elif what == "fifo":
        os.mkfifo(source / "pipe")
    elif what == "root itself":
        source = tmp_path
    with pytest.raises(BadRequest):
        versions.publish_directory(managed, source)
    assert names_below(managed) == set()


def _publishers(root: Path, count: int, times: int) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.versions.publishers", str(root), str(times)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return [
        subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]


def test_eight_concurrent_publishers_lose_nothing(managed: Path) -> None:
    publishers = _publishers(managed, 8, 5)
    told = [publisher.communicate(timeout=120)[0].split() for publisher in publishers]
    assert [publisher.returncode for publisher in publishers] == [0] * 8
    named = [version for one in told for version in one]
    assert len(set(named)) == 40
    assert names_below(managed) == {*named, "latest"}
    assert broken(managed) == []
    notes = {note_of(managed, version) for version in named}
    assert notes == {f"{publisher.pid}-{number}" for publisher in publishers for number in range(5)}
    newest = versions.list_versions(managed)[0].version
    assert versions.current_version(managed) == Latest(newest, "link")
    for one in told:
        ids = [RunId.parse(version) for version in one]
        assert ids == sorted(ids), "the runs of one process are in the order in which it published them"  # type: ignore[type-var]


def test_cleanups_beside_publishers_take_nothing_that_they_write(managed: Path) -> None:
    first = publish_one(managed, 0)
    publishers = _publishers(managed, 4, 10)
    removed: set[str] = set()
    while any(publisher.poll() is None for publisher in publishers):
        plan = versions.plan_cleanup(managed, 2)
        assert plan.protected == ()
        removed |= set(versions.execute(plan).versions)
        assert broken(managed) == []
    told = {version for publisher in publishers for version in publisher.communicate(timeout=60)[0].split()}
    assert [publisher.returncode for publisher in publishers] == [0] * 4
    assert len(told) == 40
    assert removed, "the cleanups came too late"
    assert names_below(managed) - {".trash"} == {*({first, *told} - removed), "latest"}


STEPS = ("open", "mkdir", "fsync", "rename", "replace", "symlink", "unlink")


def _killed_before(step: int, change: Callable[[], object]) -> bool:
    """Make a change in a forked process that is killed before its ``step``th call to the system; was it?"""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(real: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            change()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("links", [True, False])
def test_a_publisher_that_is_killed_at_any_step_leaves_nothing_half_visible(
    managed: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def refused(*_: object) -> NoReturn:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "symlink", refused)
    publish_one(managed, 0)
    step = 0
    while _killed_before(step, lambda: publish_one(managed, 1)):
        assert broken(managed) == [], step
        step += 1
    assert step > 12, "the publication was not stopped at its steps"
    known = {run.version for run in versions.list_versions(managed)}
    assert 2 <= len(known) < step
    assert any(name.startswith(".tmp-") for name in names_below(managed))
    done = versions.execute(versions.plan_cleanup(managed, 1000))
    assert done.in_trash == ()
    assert names_below(managed) == {*known, "latest" if links else "latest.txt", ".trash"}
    assert publish_one(managed, 2) == versions.current_version(managed).version


def test_a_removal_that_is_killed_at_any_step_leaves_versions_whole_or_gone(managed: Path) -> None:
    def change() -> None:
        versions.execute(versions.plan_delete(managed, version))

    step = 0
    while True:
        version, newest = publish_one(managed, 0), publish_one(managed, 1)
        if not _killed_before(step, change):
            break
        assert broken(managed) == [], step
        assert newest in {run.version for run in versions.list_versions(managed)}
        step += 1
    assert step > 5
    versions.execute(versions.plan_cleanup(managed, 1))
    assert names_below(managed) == {newest, "latest", ".trash"}
    assert list((managed / ".trash").iterdir()) == []


def test_publishers_that_are_killed_at_random_moments_leave_nothing_half_visible(managed: Path) -> None:
    chance = random.Random(11)
    told: list[str] = []
    for _ in range(8):
        (publisher,) = _publishers(managed, 1, 0)
        assert publisher.stdout is not None
        told.append(publisher.stdout.readline().strip())
        time.sleep(chance.uniform(0, 0.08))
        publisher.send_signal(signal.SIGKILL)
        told += publisher.stdout.read().split("\n")[:-1]
        publisher.stdout.close()
        publisher.wait()
        assert broken(managed) == []
    found = {run.version for run in versions.list_versions(managed)}
    assert set(told) <= found, "a version that was told is gone"
    versions.execute(versions.plan_cleanup(managed, len(found)))
    assert names_below(managed) - {".trash"} == {*found, "latest"}
