"""Processes that share a directory of copies: two clients have nothing else in common, as if each were one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mm_core.client import NoLocalCopy, Payload, PayloadClient, PayloadNotFound, locking, pulling
from tests.client.model_serving import MANIFEST, ModelServer
from tests.client.serving import Answer, body_of, copies_in

Serve = Callable[..., ModelServer]
ConnectTo = Callable[..., PayloadClient]
PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def server(serve_model: Serve) -> ModelServer:
    return serve_model("SOL")


@pytest.fixture
def slow(server: ModelServer, connect_to: ConnectTo) -> PayloadClient:
    return connect_to(server)


@pytest.fixture
def quick(server: ModelServer, connect_to: ConnectTo) -> PayloadClient:
    return connect_to(server)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Late:
    """Answers that a server made and has yet to send: the next one for each of ``targets``."""

    def __init__(self, server: ModelServer, *targets: str) -> None:
        self._made, self._sent = threading.Semaphore(0), threading.Event()
        self._server, self._respond, self._targets = server, server.respond, list(targets)
        server.respond = self._hold  # type: ignore[method-assign]

    def _hold(self, path: str, condition: str | None) -> Answer:
        answer = self._respond(path, condition)
        target = path.partition("?")[0].rpartition("/")[2]
        if target in self._targets:
            self._targets.remove(target)
            self._made.release()
            assert self._sent.wait(20)
        return answer

    def wait(self) -> None:
        assert self._made.acquire(timeout=20)

    def send(self) -> None:
        self._sent.set()


def _late_get(pool: ThreadPoolExecutor, server: ModelServer, slow: PayloadClient) -> tuple[Future[Payload], Late]:
    late = Late(server, "SOL")
    getting = pool.submit(slow.get, "m", "SOL")
    late.wait()
    return getting, late


def _mean(client: PayloadClient) -> tuple[float, bool]:
    copy = client.local("m", "SOL")
    return copy.mean_values[0], copy.stale


@pytest.mark.parametrize("has_copy", [False, True])
def test_a_late_older_answer_does_not_follow_a_newer_copy(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor, has_copy: bool
) -> None:
    if has_copy:
        quick.sync("m")
        server.change("SOL", 1.5)
    getting, late = _late_get(pool, server, slow)
    server.change("SOL", 2.0)
    assert quick.sync("m").changed == ("SOL",)
    server.asked_for()
    late.send()
    assert getting.result(20).mean_values[0] == 2.0
    assert [_mean(client) for client in (quick, slow)] == [(2.0, False)] * 2
    assert "if-none-match" in server.asked[0][1]
    assert server.asked_for() == ["SOL"]
    assert quick.sync("m").unchanged == ("SOL",)


def test_a_late_answer_with_the_bytes_of_the_copy_is_not_asked_for_again(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor
) -> None:
    getting, late = _late_get(pool, server, slow)
    quick.sync("m")
    late.send()
    assert not getting.result(20).stale
    assert server.asked_for() == ["SOL", MANIFEST, "SOL"]


def test_a_late_answer_of_a_content_that_came_back_does_not_follow_it(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor
) -> None:
    quick.sync("m")
    first = server.bodies["SOL"]
    server.change("SOL", 2.0)
    getting, late = _late_get(pool, server, slow)
    server.bodies["SOL"] = first
    assert quick.sync("m").unchanged == ("SOL",)  # the same file, which the manifest confirmed meanwhile
    late.send()
    assert getting.result(20).mean_values[0] == 0.2
    assert _mean(quick) == (0.2, False)


def test_a_late_304_makes_no_other_copy_young_and_hands_out_the_newer_one(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    slow.sync("m")
    getting, late = _late_get(pool, server, slow)
    server.change("SOL", 2.0)
    quick.sync("m")
    [copy] = copies_in(tmp_path)
    os.utime(copy, (1_000_000_000, 1_000_000_000))
    server.always["SOL"] = Answer(503)
    late.send()
    stale = getting.result(60)
    assert (stale.mean_values[0], stale.stale) == (2.0, True)
    assert copy.stat().st_mtime == 1_000_000_000


def test_a_sync_that_is_told_304_late_says_that_the_copy_is_another_one(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor
) -> None:
    slow.sync("m")
    server.unmade = {"SOL"}
    late = Late(server, "SOL")
    syncing = pool.submit(slow.sync, "m")
    late.wait()
    server.change("SOL", 2.0)
    quick.sync("m")
    late.send()
    assert syncing.result(20).changed == ("SOL",)
    assert _mean(slow) == (2.0, False)


def test_a_sync_with_a_late_manifest_keeps_the_newer_copy(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    slow.sync("m")
    server.change("SOL", 1.5)
    late = Late(server, MANIFEST)
    syncing = pool.submit(slow.sync, "m")
    late.wait()
    server.change("SOL", 2.0)
    quick.sync("m")
    [manifest] = (tmp_path / "cache").glob("*.manifest")
    newer = manifest.read_bytes()
    late.send()
    assert syncing.result(20).failed == {}
    assert [_mean(client) for client in (quick, slow)] == [(2.0, False)] * 2
    assert manifest.read_bytes() == newer


def test_a_late_answer_does_not_bring_back_what_was_withdrawn(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    quick.sync("m")
    server.change("SOL", 2.0)
    getting, late = _late_get(pool, server, slow)
    del server.bodies["SOL"]
    assert quick.sync("m").withdrawn == ("SOL",)
    late.send()
    with pytest.raises(PayloadNotFound, match="No symbol SOL"):
        getting.result(20)
    assert copies_in(tmp_path) == []


def test_a_late_404_removes_no_copy_that_came_after_it(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, pool: ThreadPoolExecutor
) -> None:
    body = server.bodies.pop("SOL")
    getting, late = _late_get(pool, server, slow)
    server.bodies["SOL"] = body
    quick.sync("m")
    late.send()
    with pytest.raises(PayloadNotFound, match="No symbol SOL"):
        getting.result(20)
    assert _mean(quick) == (0.2, False)


def test_a_copy_that_is_replaced_again_and_again_is_asked_for_only_so_often(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond, numbers, busy = server.respond, iter(range(100)), threading.Lock()

    def overtaken(path: str, condition: str | None) -> Answer:
        if not busy.acquire(blocking=False):
            return respond(path, condition)
        try:
            server.change("SOL", float(next(numbers)))
            answer = respond(path, condition)
            server.change("SOL", float(next(numbers)))
            quick.get("m", "SOL")
        finally:
            busy.release()
        return answer

    monkeypatch.setattr(server, "respond", overtaken)
    payload = slow.get("m", "SOL")
    assert (payload.mean_values[0], payload.stale) == (2.0 * (pulling.MOST_ROUNDS - 1), False)
    assert len(server.asked) == 2 * pulling.MOST_ROUNDS
    assert _mean(quick) == (2.0 * pulling.MOST_ROUNDS - 1, False)
    copy = slow.local("m", "SOL").stale_copy
    assert copy is not None
    assert "is not in the local copy" in copy.reason


def test_a_disk_that_takes_no_newer_copy_leaves_one_that_is_stale(
    server: ModelServer, slow: PayloadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.get("m", "SOL")
    server.change("SOL", 2.0)
    server.asked_for()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert slow.get("m", "SOL").mean_values[0] == 2.0
    assert server.asked_for() == ["SOL"]
    assert _mean(slow) == (0.2, True)


@pytest.mark.parametrize("wait", [0, 600])
def test_each_process_is_told_of_a_change_that_another_one_pulled(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, waits: list[float], wait: float
) -> None:
    for client in (quick, slow):
        client.sync("m")
    server.change("SOL", 2.0)
    server.asked_for()
    assert [client.sync("m", wait=wait).changed for client in (quick, slow)] == [("SOL",)] * 2
    assert server.asked_for().count("SOL") == 1
    assert [client.sync("m").unchanged for client in (quick, slow)] == [("SOL",)] * 2
    assert waits == []


def test_a_process_that_finds_the_copies_of_another_one_has_no_change_to_tell(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient
) -> None:
    quick.sync("m")
    assert slow.sync("m").unchanged == ("SOL",)


def test_a_change_that_another_process_pulled_before_an_outage_is_told_after_it(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient
) -> None:
    slow.sync("m")
    server.change("SOL", 2.0)
    quick.sync("m")
    server.always[MANIFEST] = Answer(500)
    assert slow.sync("m").stale
    server.always.clear()
    assert slow.sync("m").changed == ("SOL",)


@pytest.mark.parametrize("wait", [0, 600])
def test_each_process_is_told_of_a_symbol_that_left_though_another_one_removed_the_copy(
    server: ModelServer, slow: PayloadClient, quick: PayloadClient, waits: list[float], wait: float
) -> None:
    server.bodies["BTC"] = body_of(symbol="BTC")
    for client in (quick, slow):
        client.sync("m")
    del server.bodies["SOL"]
    server.revision += 1
    assert [client.sync("m", wait=wait).withdrawn for client in (quick, slow)] == [("SOL",)] * 2
    assert [client.sync("m").withdrawn for client in (quick, slow)] == [()] * 2
    assert waits == []


STOPPED = """
import os, signal, sys
from mm_core.client import PayloadClient
os.replace = lambda *names: os.kill(os.getpid(), int(sys.argv[3]))
PayloadClient(sys.argv[1], sys.argv[2]).get("m", "SOL")
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_ends_or_stops_in_the_middle_of_a_replacement_keeps_no_other_back(
    server: ModelServer, quick: PayloadClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setattr(locking, "PATIENCE_SECONDS", 0.2)
    command = [sys.executable, "-c", STOPPED, server.url, tmp_path / "cache", str(int(how))]
    process = subprocess.Popen(command, cwd=PROJECT)
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
        began = time.monotonic()
        assert quick.sync("m").changed == ("SOL",)
        assert time.monotonic() - began < 10
        assert _mean(quick) == (0.2, False)
    finally:
        process.kill()
        process.wait()


RACING = """
import sys
from mm_core.client import PayloadClient
last = 0.0
with PayloadClient(sys.argv[1], sys.argv[2]) as client:
    for _ in range(60):
        client.get("m", "SOL")
        copy = client.local("m", "SOL")
        assert copy.stale or copy.mean_values[0] >= last, (copy.mean_values[0], last)
        last = copy.mean_values[0]
"""


def test_processes_whose_answers_overtake_each_other_never_see_an_older_copy(
    server: ModelServer, quick: PayloadClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = server.respond

    def late(path: str, condition: str | None) -> Answer:
        answer = respond(path, condition)
        time.sleep(random.uniform(0.0, 0.03))
        return answer

    monkeypatch.setattr(server, "respond", late)
    command = [sys.executable, "-W", "error", "-c", RACING, server.url, tmp_path / "cache"]
    processes = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    mean = 1.0
    while any(process.poll() is None for process in processes):
        mean += 1
        server.change("SOL", mean)
        time.sleep(0.01)
    assert [process.communicate()[1] for process in processes] == [""] * 4
    quick.sync("m")
    assert _mean(quick) == (mean, False)
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".payload", ".manifest"}


def test_a_directory_that_is_not_there_holds_nobody_up(tmp_path: Path) -> None:
    with locking.held(tmp_path / "nowhere"):
        pass
    with pytest.raises(NoLocalCopy), PayloadClient("http://127.0.0.1:1", tmp_path / "nowhere") as client:
        client.local("m", "SOL")


def test_one_holder_of_the_lock_at_a_time(tmp_path: Path) -> None:
    inside: list[str] = []

    def hold(name: str) -> None:
        with locking.held(tmp_path):
            inside.append(name)
            time.sleep(0.05)
            inside.append(name)

    threads = [threading.Thread(target=hold, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside[::2] == inside[1::2]
