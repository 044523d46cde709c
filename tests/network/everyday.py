"""Everything that runs in production, once: payload server, command line, dashboard. Run where only loopback exists.

usage: everyday.py WORK [stray]. With ``stray`` nothing is run but a connection to another machine is tried.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

PROJECT = Path(__file__).resolve().parent.parent.parent
MODEL, SYMBOL = "mid_chg_5b", "EURUSD"
PAGES = ("", "group", "ic", "compare", "config", "service")
OUTSIDE = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}
"""RFC 5737 and 3849: for documentation, nobody has them."""
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def main() -> None:
    """Run, and print what was seen as JSON."""
    work = Path(sys.argv[1])
    with socket.socket() as control:
        if os.environ.get("OWN_NETWORK"):
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    seen: dict[str, object] = {}
    if sys.argv[2:] == ["stray"]:
        stray()
    else:
        for workers in (1, 2):
            seen[f"server with {workers}"] = use_server(work / f"state-{workers}", workers)
        seen["commands"] = use_commands(work / "state-1")
        seen["pages"] = use_dashboard(work / "state-1", work)
    seen["packets without a route"] = packets_without_a_route()
    print(json.dumps(seen))


def stray() -> None:
    """Try what must not happen, where nothing can come of it."""
    for family, address in OUTSIDE.items():
        with socket.socket(family) as outside:
            assert outside.connect_ex(address) != 0


def use_server(state: Path, workers: int) -> list[int]:
    """Register, pull in each coding, save, convert, list, refresh; return the statuses."""
    port = free_port()
    environment = {"MODEL_MANAGER_HTTP_PORT": str(port), "MODEL_MANAGER_WORKERS": str(workers)}
    with running([sys.executable, str(PROJECT / "payload_server.py")], state, environment):
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/api/health")
        root = str(PROJECT / "data" / "demo" / MODEL)
        with httpx.Client(base_url=url, timeout=60) as client:
            answers = [client.post("/api/models", json={"model_name": MODEL, "root_path": root})]
            payload, config = (
                f"/api/models/{MODEL}/model/{SYMBOL}",
                f"/api/models/{MODEL}/symbols/{SYMBOL}/factor-config",
            )
            for coding in ("gzip", "identity", "zstd"):
                answers.append(client.get(payload, headers={"Accept-Encoding": coding}))
            document = client.get(config).json()
            document[SYMBOL]["mean_values"][0] = 0.75
            answers.append(client.put(config, json=document))
            answers.append(client.post(f"/api/models/{MODEL}/refresh"))
            paths = (
                f"/api/models/{MODEL}/model_onnx/{SYMBOL}",
                f"/api/models/{MODEL}/manifest",
                "/metrics",
                "/api/models",
            )
            answers += [client.get(path) for path in paths]
    return [answer.status_code for answer in answers]


def use_commands(state: Path) -> list[int]:
    """Run commands of every kind; return their exit codes."""
    asked = (["list"], ["check", str(PROJECT / "data" / "demo" / MODEL)], ["doctor"], ["config", "get", MODEL, SYMBOL])
    return [
        subprocess.run(
            [sys.executable, "-m", "mm_core", *arguments],
            cwd=PROJECT,
            env=environment_with(state),
            stdout=subprocess.DEVNULL,
            timeout=60,
        ).returncode
        for arguments in asked
    ]


def use_dashboard(state: Path, work: Path) -> dict[str, str]:
    """Open every page in a session of its own, as a browser does; return how each script ended."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with running(command, state, {}):
        wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        return {page or "overview": opened(port, page) for page in PAGES}


def opened(port: int, page: str) -> str:
    """Return how the script of a page ended."""
    with connect(f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as session:
        asked = BackMsg()
        asked.rerun_script.query_string = f"model={MODEL}"
        asked.rerun_script.page_name = page
        session.send(asked.SerializeToString())
        exceptions = 0
        while True:
            said = ForwardMsg.FromString(session.recv(timeout=60))
            exceptions += said.delta.new_element.HasField("exception")
            if said.HasField("script_finished") and said.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                ended = ForwardMsg.ScriptFinishedStatus.Name(said.script_finished)
                return ended if not exceptions else f"{ended} with {exceptions} exception(s)"


@contextmanager
def running(command: list[str], state: Path, more: dict[str, str]) -> Iterator[None]:
    """Run a process and end it with SIGTERM."""
    with open(state.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment_with(state) | more, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def environment_with(state: Path) -> dict[str, str]:
    """Return this process's environment with a state of its own."""
    own = {"MODEL_MANAGER_DATA_DIR": str(state), "MODEL_MANAGER_HTTP_HOST": "127.0.0.1"}
    return {name: value for name, value in os.environ.items() if not name.startswith("MODEL_MANAGER_")} | own


def wait_for(url: str) -> None:
    """Wait until somebody answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, url
            time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def packets_without_a_route() -> int:
    """Return how many packets of any program found no way out of this network, names that were asked for included."""
    names, values = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:")]
    of_ipv6 = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(values[names.index("OutNoRoutes")]) + int(of_ipv6["Ip6OutNoRoutes"])


if __name__ == "__main__":
    main()
