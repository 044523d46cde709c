"""Nothing talks to another machine at run time: everything works where only loopback exists, and nobody tries more."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LOCAL_NAMES = {"localhost", "", None}


def _can_have_a_network_of_its_own() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-n", "true"], capture_output=True).returncode == 0


OWN_NETWORK = _can_have_a_network_of_its_own()


def is_local(address: object) -> bool:
    """Return whether an address is this machine's: loopback, any of its own, or a Unix socket."""
    host = address[0] if isinstance(address, list) and address else address
    if host in LOCAL_NAMES or (isinstance(address, str) and address.startswith("/")):
        return True
    try:
        ip = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return ip.is_loopback or ip.is_unspecified


def _run(tmp_path: Path, *how: str) -> tuple[dict[str, object], list[tuple[str, Any, list[str]]]]:
    """Run ``everyday.py``, in a network of its own where that can be had; return what it saw, and who was talked to."""
    noted = tmp_path / "sockets"
    paths = os.pathsep.join([str(HERE / "recorder"), str(HERE.parent.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "SOCKETS_NOTED": str(noted)}
    command = [sys.executable, str(HERE / "everyday.py"), str(tmp_path), *how]
    if OWN_NETWORK:
        command, environment["OWN_NETWORK"] = ["unshare", "-n", *command], "1"
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr + "".join(path.read_text()[-2000:] for path in tmp_path.glob("*.log"))
    return json.loads(done.stdout), [tuple(json.loads(line)) for line in noted.read_text().splitlines()]


PROGRAMS = ("everyday.py", "payload_server.py", "mm_core.api.worker", "-m mm_core ", "-m streamlit")
"""What has to be listened to: the pulls, the server, workers, commands, the dashboard."""


@pytest.mark.slow
def test_server_workers_commands_and_dashboard_talk_to_this_machine_alone(tmp_path: Path) -> None:
    seen, talks = _run(tmp_path)
    assert seen["server with 1"] == seen["server with 2"] == [200] * 10
    assert seen["commands"] == [0] * 4
    assert set(dict(seen["pages"]).values()) == {"FINISHED_SUCCESSFULLY"}
    assert len(dict(seen["pages"])) == 6
    assert [talk for talk in talks if not is_local(talk[1])] == []
    commands = {" ".join(arguments) for event, _, arguments in talks if event == "started"}
    assert [program for program in PROGRAMS if not any(program in command for command in commands)] == []
    assert len(talks) > 3 * len(commands), "they talk to each other at least"
    if OWN_NETWORK:
        assert seen["packets without a route"] == 0, "what is no Python is counted by the kernel"


@pytest.mark.skipif(not OWN_NETWORK, reason="a connection to another machine is only tried where none can come of it")
def test_the_recorder_and_the_kernel_notice_one_that_tries(tmp_path: Path) -> None:
    seen, talks = _run(tmp_path, "stray")
    assert [(event, address[:2]) for event, address, _ in talks if not is_local(address)] == [
        ("socket.connect", ["192.0.2.1", 9]),
        ("socket.connect", ["2001:db8::1", 9]),
    ]
    assert int(str(seen["packets without a route"])) >= 2


@pytest.mark.parametrize(
    "address", [["127.0.0.1", 80], ["::1", 80, 0, 0], "/run/owner", "localhost", None, ["0.0.0.0", 1]]
)
def test_addresses_of_this_machine(address: object) -> None:
    assert is_local(address)


@pytest.mark.parametrize("address", [["192.0.2.1", 80], ["2001:db8::1", 80, 0, 0], "checkip.example", ["10.0.0.2", 53]])
def test_addresses_of_others(address: object) -> None:
    assert not is_local(address)
