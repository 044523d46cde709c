"""The servers that are compared, each a real process on the loopback interface, always ended by its own id."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
TICKS = os.sysconf("SC_CLK_TCK")

NGINX_CONFIGURATION = """\
{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    open_file_cache max=10000 inactive=60s;
    default_type application/json;
    server {{
        listen {host}:{port};
        root {directory}/www;
        location = /api/health {{ return 200 '{{"status": "ok"}}'; }}
        location / {{
            gzip_static on;
            add_header Vary Accept-Encoding;
            add_header Cache-Control no-cache;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server."""

    name: str
    port: int
    process_id: int
    started: float
    """`time.perf_counter` when the process was asked for."""

    def memory_mb(self) -> float:
        """Return the resident memory of the process and its children in MB."""
        return sum(_status_kib(number, "VmRSS") for number in self._tree()) * 1024 / 1e6

    def peak_memory_mb(self) -> float:
        """Return the largest resident memory that the process itself ever had, in MB."""
        return _status_kib(self.process_id, "VmHWM") * 1024 / 1e6

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far."""
        return sum(_cpu_ticks(number) for number in self._tree()) / TICKS

    def _tree(self) -> list[int]:
        found = [self.process_id]
        for number in found:
            try:
                for task in Path(f"/proc/{number}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
            except FileNotFoundError:
                continue
        return found


def find_nginx() -> str | None:
    """Return the program, None when it is not installed."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """Return ``command`` bound to one core, where there are two and taskset."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return list(command)
    return ["taskset", "-c", str(core), *command]


@contextmanager
def model_manager(
    data_dir: Path,
    *,
    core: int | None = None,
    watch_debounce: float | None = None,
    workers: int = 1,
    logs: Path | None = None,
) -> Iterator[Peer]:
    """Run ``payload_server.py`` on ``data_dir``; without ``watch_debounce`` it does not watch."""
    port = free_port()
    environment = {
        "MODEL_MANAGER_HTTP_HOST": HOST,
        "MODEL_MANAGER_HTTP_PORT": str(port),
        "MODEL_MANAGER_DATA_DIR": str(data_dir),
        "MODEL_MANAGER_WATCH_ENABLED": "0" if watch_debounce is None else "1",
        "MODEL_MANAGER_WATCH_DEBOUNCE": str(watch_debounce or 2),
        "MODEL_MANAGER_WORKERS": str(workers),
    }
    command = [sys.executable, str(PROJECT / "payload_server.py")]
    with _running("ours", command, port, environment, core, logs or data_dir.parent) as peer:
        yield peer


@contextmanager
def dashboard(data_dir: Path, *, http_port: int, logs: Path) -> Iterator[Peer]:
    """Run the dashboard on ``data_dir``; ``http_port`` is where it finds the payload server."""
    port = free_port()
    environment = {
        "MODEL_MANAGER_HTTP_HOST": HOST,
        "MODEL_MANAGER_HTTP_PORT": str(http_port),
        "MODEL_MANAGER_DATA_DIR": str(data_dir),
    }
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with _running("dashboard", [*command, "--server.address", HOST], port, environment, None, logs) as peer:
        yield peer


@contextmanager
def streamlit_alone(*, logs: Path) -> Iterator[Peer]:
    """Run streamlit on ``alone.py``."""
    port = free_port()
    page = str(PROJECT / "bench" / "alone.py")
    command = [sys.executable, "-m", "streamlit", "run", page, "--server.port", str(port)]
    with _running("alone", [*command, "--server.address", HOST], port, {}, None, logs) as peer:
        yield peer


@contextmanager
def plain(model_name: str, root: Path, *, core: int | None, logs: Path) -> Iterator[Peer]:
    """Run ``plain_server.py`` on an artifact directory."""
    port = free_port()
    environment = {"PLAIN_MODEL_NAME": model_name, "PLAIN_ROOT": str(root), "PLAIN_PORT": str(port)}
    command = [sys.executable, str(PROJECT / "bench" / "plain_server.py")]
    with _running("plain", command, port, environment, core, logs) as peer:
        yield peer


@contextmanager
def nginx(program: str, directory: Path, *, core: int | None) -> Iterator[Peer]:
    """Run nginx with one worker on ``directory/www``, whose files are gzip already."""
    port = free_port()
    user = "user root root;" if os.geteuid() == 0 else ""
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX_CONFIGURATION.format(directory=directory, host=HOST, port=port, user=user))
    command = [program, "-p", str(directory), "-c", str(configuration), "-e", str(directory / "error.log")]
    with _running("nginx", command, port, {}, core, directory) as peer:
        yield peer


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_for_answer(peer: Peer, path: str, headers: Mapping[str, str] | None = None) -> float:
    """Return the seconds from the start of the process to its first whole 200 for ``path``."""

    def answered() -> bool:
        connection = http.client.HTTPConnection(HOST, peer.port, timeout=START_SECONDS)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        except ConnectionError:
            return False
        finally:
            connection.close()

    _wait_until(answered, f"{peer.name} did not answer {path}", peer.process_id)
    return time.perf_counter() - peer.started


def _wait_until(condition: Callable[[], bool], complaint: str, process_id: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline or not _is_alive(process_id):
            raise SystemExit(f"{complaint}; see its log in the work directory (--work DIR keeps it).")
        time.sleep(0.002)


@contextmanager
def _running(
    name: str, command: list[str], port: int, environment: Mapping[str, str], core: int | None, logs: Path
) -> Iterator[Peer]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MODEL_MANAGER_", "PLAIN_"))}
    with open(logs / f"{name}.log", "ab") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command if core is None else pinned(core, command),
            cwd=PROJECT,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Peer(name, port, process.pid, started)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _status_kib(process_id: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), 0)


def _cpu_ticks(process_id: int) -> int:
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return int(fields[11]) + int(fields[12])
