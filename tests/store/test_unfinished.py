"""What is not finished: nobody takes it for left over while it is written, and all do soon after its writer's end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mm_core.store import TinyDBStore
from mm_core.store.durable import KEPT_SECONDS

PROJECT = Path(__file__).parent.parent.parent
HOUR = 3600.0

WRITERS = {
    "a file": """
durable.os.replace = wait
durable.write_durably(state / "registry.json", b"{}")
""",
    "a backup": """
archives.os.fsync = wait
with archives.written_backup(state / "backup.zip", replace=False) as writer:
    writer.add("registry.json", b"{}")
""",
    "a restore": """
with unfinished.unfinished_directory(state, "restore") as place:
    (place / "registry.json").write_bytes(b"{}")
    wait()
""",
}
BEGIN = """
import sys
from pathlib import Path
from mm_core.store import archives, durable, unfinished
state = Path(sys.argv[1])
def wait(*_):
    print("begun", flush=True)
    sys.stdin.read()
"""


def _writer(state: Path, what: str) -> subprocess.Popen[str]:
    """Return a process that has begun to write below a state, and does not come to an end."""
    writer = subprocess.Popen(
        [sys.executable, "-c", BEGIN + WRITERS[what], str(state)],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == "begun\n"
    return writer


def _said_after(seconds: float, state: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    then = time.time() + seconds
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: then)
        return TinyDBStore(state).problems()


@pytest.mark.parametrize("what", WRITERS)
def test_what_a_killed_writer_left_is_told_of_and_not_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with _writer(tmp_path, what) as writer:
        try:
            (unfinished,) = tmp_path.glob(".tmp-*")
            assert TinyDBStore(tmp_path).problems() == ()
            assert what == "a file" or _said_after(HOUR, tmp_path, monkeypatch) == (), "large ones take long"
        finally:
            writer.kill()
    assert _said_after(KEPT_SECONDS + 1, tmp_path, monkeypatch) == (
        f"'{unfinished}' is left over from a write that never ended. Delete it.",
    )


@pytest.mark.parametrize("what", ["a backup", "a restore"])
def test_what_is_finished_leaves_nothing(tmp_path: Path, what: str) -> None:
    with _writer(tmp_path, what) as writer:
        writer.communicate()
    assert writer.returncode == 0
    assert list(tmp_path.glob(".tmp-*")) == []


def test_a_file_of_before_the_clock_was_set_back_is_told_of_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".tmp-1").touch()
    assert len(_said_after(-HOUR, tmp_path, monkeypatch)) == 1


@pytest.mark.parametrize("time_of_file", [time.time() + 400 * 24 * HOUR, 1.0], ids=["in the future", "never set"])
def test_the_time_that_its_writer_gives_a_file_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time_of_file: float
) -> None:
    """It has to be later than that of the file to be replaced, which a wrong clock may have put far ahead."""
    path = tmp_path / ".tmp-1"
    path.touch()
    os.utime(path, (time_of_file, time_of_file))
    assert TinyDBStore(tmp_path).problems() == ()
    assert len(_said_after(KEPT_SECONDS + 1, tmp_path, monkeypatch)) == 1


def test_what_cannot_be_opened_goes_by_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".tmp-1").symlink_to(tmp_path / "nowhere")
    assert TinyDBStore(tmp_path).problems() == ()
    assert len(_said_after(KEPT_SECONDS + 1, tmp_path, monkeypatch)) == 1
