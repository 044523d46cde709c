"""Roots that vanish, are swapped, locked, filled up or rewritten while they are read: the last good scan stays."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import list_groups
from mm_core.artifacts.scan import scan_root
from mm_core.artifacts.tree import list_tree
from mm_core.errors import InvalidRoot
from mm_core.payloads import Coding
from mm_core.registry import Registry
from tests.api.conftest import PROJECT, RunningServer, launched, start_server, wait_until_published
from tests.asking import http
from tests.attacks.restless_writing import exchange
from tests.attacks.unprivileged import NOBODY
from tests.conftest import FACTORS
from tests.waiting import wait_until

__all__ = ["start_server"]

KEY = "SOLUSDT_mid_chg_1m"
PAYLOAD = "/api/models/m/model/SOLUSDT"
LIMITS = ReadingLimits()
Write = Callable[..., Path]


@contextlib.contextmanager
def _running(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=PROJECT, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _secret(tmp_path: Path, root: Path) -> Path:
    """Return a directory outside the root with the files of its groups, and one that is there alone."""
    secret = tmp_path / "secret"
    shutil.copytree(root / "run", secret)
    (secret / f"{KEY}_factors.txt").write_text("secret_1\nsecret_2\nsecret_3\n")
    (secret / "SECRET_r_factors.txt").write_text("secret_4\n")
    return secret


def test_a_directory_that_is_swapped_for_a_link_again_and_again_never_leads_out_of_the_root(
    write_group: Write, tmp_path: Path
) -> None:
    root = write_group(folder="run")
    secret = _secret(tmp_path, root)
    (tmp_path / "way_out").symlink_to(secret)
    seen = set()
    with _running("tests.attacks.restless_writing", str(root / "run"), str(tmp_path / "way_out")) as writer:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            scan = scan_root(root)
            told = repr(scan)
            assert "secret_" not in told
            assert "SECRET_r" not in told
            seen |= {finding.code for finding in scan.all_findings()} | (
                {"whole"} if not scan.all_findings() else set()
            )
        assert writer.poll() is None
    assert "link-leaves-root" in seen, "both sides were met"
    assert len(seen) > 1


@pytest.mark.parametrize("moment", ["before it is opened", "before it is listed"])
def test_a_directory_that_becomes_a_link_in_the_worst_moment_is_not_followed(
    write_group: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    root = write_group(folder="run")
    secret = _secret(tmp_path, root)
    (tmp_path / "way_out").symlink_to(secret)
    name = "realpath" if moment == "before it is opened" else "scandir"
    real = getattr(os.path if name == "realpath" else os, name)
    listing = list_groups(root, LIMITS) if name == "realpath" else None
    swapped = threading.Event()

    def in_between(path: Any, *arguments: Any, **named: Any) -> Any:
        found = real(path, *arguments, **named)
        if not swapped.is_set() and (name == "scandir" or os.fspath(path).endswith("_factors.txt")):
            exchange(str(root / "run"), str(tmp_path / "way_out"))
            swapped.set()
        return found

    monkeypatch.setattr(os.path if name == "realpath" else os, name, in_between)
    scan = scan_root(root, listing=listing)
    assert swapped.is_set()
    assert "secret_" not in repr(scan)
    assert "SECRET_r" not in repr(scan)


def test_a_root_that_becomes_a_link_is_refused_between_check_and_look(
    registry: Registry, write_group: Write, tmp_path: Path
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "SECRET_r_factors.txt").write_text("x")
    root.rename(tmp_path / "away")
    root.symlink_to(tmp_path / "secret")
    with pytest.raises(OSError):
        list_tree(root, LIMITS)
    with pytest.raises(InvalidRoot, match="cannot be listed"):
        list_groups(root, LIMITS)


def _away(root: Path) -> None:
    root.rename(root.with_name("away"))


def _replaced(root: Path) -> None:
    shutil.copytree(root, root.with_name("other"))
    exchange(str(root), str(root.with_name("other")))


@pytest.mark.parametrize(("happens", "said"), [(_away, "vanished while"), (_replaced, "was replaced while")])
def test_a_root_that_goes_while_it_is_read_leaves_the_last_scan_in_service(
    registry: Registry, write_group: Write, happens: Callable[[Path], None], said: str
) -> None:
    root = write_group()
    before = registry.registrations.register("m", str(root)).scan
    write_group("BTCUSDT_mid_chg_1m")
    with pytest.raises(InvalidRoot, match=said):
        registry.registrations.refresh("m", lambda *_: happens(root))
    model, scan = registry.model("m")
    assert scan.groups == before.groups
    assert said in str(model.refresh_error)
    assert registry.payload("m", "SOLUSDT").symbol == "SOLUSDT"


def test_files_that_go_between_listing_and_reading_cost_nothing_but_a_finding(
    registry: Registry, write_group: Write
) -> None:
    write_group("BTCUSDT_r")
    root = write_group()
    registry.registrations.register("m", str(root))
    for name in ("ADAUSDT_r", "BTCUSDT_r", KEY):
        write_group(name, factors_txt=b"x\ny\nz\n")

    def lose(done: int, _: int) -> None:
        if done == 1:
            for path in [*root.glob("BTCUSDT_r*"), root / f"{KEY}_factors.txt"]:
                path.unlink()

    scan = registry.registrations.refresh("m", lose).scan
    assert {key: group.payload_ready for key, group in scan.groups.items()} == {
        "ADAUSDT_r": True, "BTCUSDT_r": True, KEY: True,
    }  # fmt: skip
    assert scan.groups[KEY].factors.names == FACTORS, "as it was read before, whole"


def _registered(server: RunningServer, root: Path) -> bytes:
    answer = http.post(f"{server.url}/api/models", json={"model_name": "m", "root_path": str(root)})
    assert answer.status_code == 200, server.log.read_text()
    wait_until_published(server)
    return http.get(server.url + PAYLOAD).content


def _model(server: RunningServer) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"{server.url}/api/models").json()["items"][0]
    return found


def _health(server: RunningServer) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"{server.url}/api/health").json()
    return found


def _assert_last_good(server: RunningServer, body: bytes, said: str) -> None:
    """Wait until a server knows of a trouble; the last good scan is what it serves."""
    wait_until(lambda: said in " ".join(_model(server)["warnings"]))
    health = _health(server)
    assert (health["status"], health["models_with_older_scan"]) == ("ok", ["m"])
    assert said in health["watcher"]["last_error"]
    assert http.get(server.url + PAYLOAD).content == body


def _assert_recovered(server: RunningServer, body: bytes) -> None:
    wait_until(lambda: _model(server)["warnings"] == [])
    assert _health(server)["models_with_older_scan"] == []
    wait_until(lambda: _health(server)["watcher"]["last_error"] is None)  # a moment after the store knows
    wait_until_published(server)
    assert http.get(server.url + PAYLOAD).content == body


def test_a_root_that_is_away_for_a_while_is_served_as_it_was_and_watched_again(
    start_server: Callable[..., RunningServer], write_group: Write, tmp_path: Path
) -> None:
    root = write_group()
    (tmp_path / "secret").mkdir()
    server = start_server(WATCH_INTERVAL="0.2", ARTIFACT_ROOTS=str(tmp_path))
    body = _registered(server, root)
    root.rename(tmp_path / "away")
    _assert_last_good(server, body, "does not exist")
    (tmp_path / "away").rename(root)
    _assert_recovered(server, body)
    exchange(str(root), str(tmp_path / "secret"))
    root.rmdir()
    root.symlink_to("/etc")
    _assert_last_good(server, body, "outside the allowed roots")
    root.unlink()
    root.write_text("a file")
    _assert_last_good(server, body, "is not a directory")
    root.unlink()
    (tmp_path / "secret").rename(root)
    _assert_recovered(server, body)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four mebibytes, which tests may unmount."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=True)
    yield place
    while os.path.ismount(place):
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_unmounted_while_it_is_watched_and_mounted_again_is_read_again(
    start_server: Callable[..., RunningServer], write_group: Write, small_disk: Path
) -> None:
    copied = small_disk / "root"
    shutil.copytree(write_group(), copied)
    server = start_server(WATCH_INTERVAL="0.2")
    body = _registered(server, copied)
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    _assert_last_good(server, body, "does not exist")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small_disk)], check=True)
    write_group(factors_txt=b"x\ny\nz\n")
    shutil.copytree(write_group(factors_txt=b"x\ny\nz\n"), copied)
    wait_until(lambda: http.get(server.url + PAYLOAD).json()["payload"]["dim_factors"][0]["factor_name"] == "x")
    assert _model(server)["warnings"] == []


def test_a_root_that_is_a_disk_of_its_own_is_served_as_it_was_while_the_disk_is_not_mounted(
    start_server: Callable[..., RunningServer], write_group: Write, small_disk: Path
) -> None:
    shutil.copytree(write_group(), small_disk, dirs_exist_ok=True)
    server = start_server()
    body = _registered(server, small_disk)
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    assert list(small_disk.iterdir()) == []
    _assert_last_good(server, body, "has nothing of what model 'm' was read from")
    assert server.stop() == 0
    server = start_server()
    wait_until(lambda: _health(server)["watcher"]["last_error"] is not None)  # it has looked for itself
    _assert_last_good(server, body, "has nothing of what model 'm' was read from")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small_disk)], check=True)
    shutil.copytree(write_group(factors_txt=b"x\ny\nz\n"), small_disk, dirs_exist_ok=True)
    wait_until(lambda: http.get(server.url + PAYLOAD).json()["payload"]["dim_factors"][0]["factor_name"] == "x")
    wait_until(lambda: _model(server)["warnings"] == [])


def test_a_root_on_a_full_disk_is_served(
    registry: Registry, write_group: Write, small_disk: Path, tree_digest: Callable[[Path], str]
) -> None:
    copied = small_disk / "root"
    shutil.copytree(write_group(), copied)
    with pytest.raises(OSError, match="No space left"), open(small_disk / "filler", "wb") as filler:
        while True:
            filler.write(bytes(1 << 16))
            filler.flush()
    before = tree_digest(small_disk)
    scan = registry.registrations.register("m", str(copied)).scan
    assert scan.all_findings() == ()
    assert registry.payload("m", "SOLUSDT").size_bytes > 0
    assert tree_digest(small_disk) == before


@pytest.fixture
def unprivileged(write_group: Write) -> Iterator[tuple[RunningServer, Path]]:
    """A server that runs as nobody, and a root of nobody's with one group in a folder and one beside it."""
    with tempfile.TemporaryDirectory(prefix="nobodys-") as name:
        home = Path(name)
        write_group("BTCUSDT_r")
        shutil.copytree(write_group(folder="run"), home / "root")
        (home / "data").mkdir()
        home.chmod(0o755)
        if os.geteuid() == 0:
            for path in [home, *home.rglob("*")]:
                os.chown(path, NOBODY, NOBODY)
        command = [sys.executable, "-m", "tests.attacks.unprivileged"]
        server = launched(home, command, PROJECT, WATCH_INTERVAL="0.2")
        try:
            server.wait_until_it_answers(30)
            yield server, home / "root"
        finally:
            server.process.kill()
            server.process.wait()
            for folder in (home / "root", home / "root" / "run"):
                folder.chmod(0o755)


def test_what_loses_its_permission_is_served_as_it_was_read_and_read_again_when_it_may_be(
    unprivileged: tuple[RunningServer, Path],
) -> None:
    server, root = unprivileged
    body = _registered(server, root)
    root.chmod(0)
    _assert_last_good(server, body, "is not readable")
    root.chmod(0o755)
    _assert_recovered(server, body)

    def warnings() -> str:
        return " ".join(_model(server)["warnings"])

    (root / "run").chmod(0)
    wait_until(lambda: "run: The directory cannot be listed (Permission denied)" in warnings())
    assert http.get(server.url + PAYLOAD).content == body
    revision = _health(server)["store_revision"]
    time.sleep(1)
    assert _health(server)["store_revision"] == revision, "nothing is stored again and again"
    (root / "run").chmod(0o755)
    _assert_recovered(server, body)

    (root / "run" / f"{KEY}_model.json").chmod(0)
    wait_until(lambda: f"{KEY}_model.json: The file cannot be opened (Permission denied)" in warnings())
    assert "stays in service" in warnings()
    assert http.get(server.url + PAYLOAD).content == body
    assert _health(server)["findings_by_severity"]["error"] == 1
    (root / "run" / f"{KEY}_model.json").chmod(0o644)
    wait_until(lambda: _model(server)["warnings"] == [])
    assert http.get(server.url + PAYLOAD).json()["payload"]["metadata"]["feature_dim"] == 3


def _generation(write_group: Write, booster_json: bytes, number: int, folder: str) -> Path:
    """Write a group whose every file says to which training run it belongs."""
    document = json.loads(booster_json)
    document["learner"]["attributes"] = {"run": str(number)}
    return write_group(
        "BTCUSDT_r",
        folder,
        factors_txt=b"".join(b"g%d_%d\n" % (number, at) for at in range(3)),
        ic_csv=b"symbol,factor_name,return_name,Kendall_tau\n" + b"BTCUSDT,g%d_0,r,0.%d\n" % (number, number + 1),
        model_json=json.dumps(document).encode(),
    )


def test_a_root_that_is_rewritten_without_a_pause_is_served_in_states_that_it_was_in(
    registry: Registry, write_group: Write, booster_json: bytes, tmp_path: Path
) -> None:
    _generation(write_group, booster_json, 1, "../spare")
    root = _generation(write_group, booster_json, 0, "run")
    write_group()
    registry.registrations.register("m", str(root))
    restless = root / f"{KEY}_factors.txt"
    whole = {tuple(f"g{run}_{at}" for at in range(3)) for run in range(5)} | {FACTORS, ()}  # emptied is a state, too
    runs_seen = set()
    with _running(
        "tests.attacks.restless_writing", str(root / "run"), str(tmp_path / "spare"), str(restless)
    ) as writer:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            started = time.monotonic()
            registry.registrations.refresh("m")
            assert time.monotonic() - started < 5, "a scan ends, whatever happens below it"
            scan = registry.model("m")[1]
            group = scan.groups["BTCUSDT_r"]
            assert group.payload_ready
            run = int(group.factors.names[0][1])
            runs_seen.add(run)
            assert group.factors.names == tuple(f"g{run}_{at}" for at in range(3))
            assert group.factors.taus[0] == (run + 1) / 10
            payload = json.loads(registry.payloads.body(registry.payload("m", "BTCUSDT"), Coding.IDENTITY))["payload"]
            assert json.loads(payload["model_json"])["learner"]["attributes"] == {"run": str(run)}
            assert payload["dim_factors"][0]["factor_name"] == f"g{run}_0"
            assert scan.groups[KEY].payload_ready
            assert scan.groups[KEY].factors.names in whole
        assert writer.poll() is None
    assert runs_seen == {0, 1}
    final = registry.registrations.refresh("m").scan
    assert {finding.code for finding in final.all_findings()} <= {"no-factors", "dimension-mismatch"}


def test_a_first_look_at_files_that_never_rest_says_so_and_gives_bots_nothing(
    registry: Registry, write_group: Write, tmp_path: Path
) -> None:
    root = write_group()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    files = [str(path) for path in root.glob("*_factors.txt")] * 3
    with _running("tests.attacks.restless_writing", str(tmp_path / "one"), str(tmp_path / "two"), *files) as writer:
        codes = set()
        for attempt in range(20):
            scan = registry.registrations.register(f"m{attempt}", str(root)).scan
            group = scan.groups[KEY]
            found = {finding.code for finding in group.findings}
            codes |= found
            assert group.payload_ready == ("still-being-written" not in found)
        assert writer.poll() is None
    assert "still-being-written" in codes


def test_what_is_no_file_or_endless_is_a_finding_and_is_never_read(registry: Registry, write_group: Write) -> None:
    root = write_group()
    os.mkfifo(root / "FIFO_r_model.json")
    os.mknod(root / "ZERO_r_model.json", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with open(root / "SPARSE_r_model.json", "wb") as file:
        file.truncate(1 << 40)
    os.link(root / f"{KEY}_model.json", root / "LINKED_r_model.json")
    (root / "LOOP_r_model.json").symlink_to("LOOP_r_model.json")
    (root / "DEVICE_r_model.json").symlink_to("/dev/zero")
    (root / "PROC_r_model.json").symlink_to("/proc/self/environ")
    (root / "UP").symlink_to(".")
    started = time.monotonic()
    scan = registry.registrations.register("m", str(root)).scan
    assert time.monotonic() - started < 5
    codes = {
        finding.file.split("_")[0]: finding.code for finding in scan.all_findings() if "missing" not in finding.code
    }
    assert codes.pop("LINKED") == "dimension-mismatch"
    assert codes == {
        "FIFO": "not-a-file", "ZERO": "not-a-file", "SPARSE": "file-too-large", "LOOP": "link-loop",
        "DEVICE": "link-leaves-root", "PROC": "link-leaves-root", "UP": "link-loop",
    }  # fmt: skip
    assert sorted(key for key, group in scan.groups.items() if group.payload_ready) == ["LINKED_r", KEY]


def test_a_hundred_thousand_files_and_a_thousand_levels_take_seconds_and_few_findings(
    registry: Registry, write_group: Write, small_disk: Path
) -> None:
    root = shutil.copytree(write_group(), small_disk / "root")
    place = os.open(root, os.O_RDONLY)
    for number in range(100_000):
        name = b"\xff%d_model.json" % number if number % 4 == 0 else b"%d.tmp" % number
        os.mknod(name, 0o600, dir_fd=place)
    for _ in range(1000):
        os.mkdir("d", dir_fd=place)
        deeper = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    started = time.monotonic()
    scan = registry.registrations.register("m", str(root)).scan
    assert time.monotonic() - started < 15
    assert registry.model("m")[1].groups[KEY].payload_ready
    assert [finding.code for finding in scan.findings].count("file-name") == 201
    assert [finding.detail for finding in scan.findings if finding.file == "."] == ["24,800 more of 'file-name'."]
    assert [finding.file for finding in scan.findings if finding.code == "tree-too-deep"] == ["d" + "/d" * 32]
    assert not list_groups(root, LIMITS).differs_from(registry.model("m")[1])
