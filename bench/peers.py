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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from processes import Memory, cpu_seconds_of, is_alive, memory_of, peak_memory_mb, tree_of

PROJECT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
CALM_SECONDS = 0.1
LONGEST_UNREST_SECONDS = 20.0
MLFLOW_VARIABLE = "BENCH_MLFLOW_PYTHON"
MLFLOW_ADDRESS = "/api/2.0/mlflow-artifacts/artifacts/"
SETTINGS_OF_SERVERS = ("MODEL_MANAGER_", "PLAIN_", "MLFLOW_")

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
        return sum(memory.resident for memory in self.memory_by_process())

    def memory_by_process(self) -> list[Memory]:
        """Return what each process of the server holds, the first one first."""
        return [memory_of(number) for number in tree_of(self.process_id)]

    def peak_memory_mb(self) -> float:
        """Return the largest resident memory that the process itself ever had, in MB."""
        return peak_memory_mb(self.process_id)

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far."""
        return sum(cpu_seconds_of(number) for number in tree_of(self.process_id))

    def wait_until_calm(self) -> None:
        """Wait until the server has nothing to do: what clients left behind is not the next one's load."""
        deadline = time.monotonic() + LONGEST_UNREST_SECONDS
        before = float("-inf")
        while (now := self.cpu_seconds()) - before > CALM_SECONDS / 5 and time.monotonic() < deadline:
            before = now
            time.sleep(CALM_SECONDS)


def find_nginx() -> str | None:
    """Return the program, None when it is not installed."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def find_mlflow(asked: str | None) -> str | None:
    """Return an interpreter that has MLflow: the one asked for, else that of ``BENCH_MLFLOW_PYTHON``, else None."""
    program = asked or os.environ.get(MLFLOW_VARIABLE)
    if not program:
        return None
    if mlflow_version(program) is None:
        raise SystemExit(
            f"'{program}' is no Python that has MLflow. Make one as bench/README.md says, or leave it out."
        )
    return program


def mlflow_version(program: str) -> str | None:
    """Return the version of MLflow that an interpreter has."""
    ask = "from importlib.metadata import version; print(version('mlflow'))"
    try:
        said = subprocess.run([program, "-c", ask], capture_output=True, text=True, timeout=START_SECONDS)
    except OSError:
        return None
    return said.stdout.strip() or None


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


@contextmanager
def sendfile(directory: Path, *, core: int | None, processes: int = 1, logs: Path) -> Iterator[Peer]:
    """Run ``sendfile_server.py`` on the files that nginx has, with so many processes."""
    port = free_port()
    command = [sys.executable, str(PROJECT / "bench" / "sendfile_server.py"), str(directory), str(port), str(processes)]
    with _running("sendfile", command, port, {}, core, logs) as peer:
        yield peer


@contextmanager
def mlflow(program: str, directory: Path, *, core: int | None, processes: int = 1) -> Iterator[Peer]:
    """Run MLflow's own server for artifacts alone, with so many workers, on the files in ``directory/artifacts``."""
    port = free_port()
    command = [program, "-m", "mlflow", "server", "--artifacts-only", "--serve-artifacts"]
    command += ["--artifacts-destination", str(directory / "artifacts"), "--host", HOST, "--port", str(port)]
    command += ["--workers", str(processes)]
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with _running("mlflow", command, port, environment, core, directory, directory) as peer:
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
        if time.monotonic() > deadline or not is_alive(process_id):
            raise SystemExit(f"{complaint}; see its log in the work directory (--work DIR keeps it).")
        time.sleep(0.002)


@contextmanager
def _running(
    name: str,
    command: list[str],
    port: int,
    environment: Mapping[str, str],
    core: int | None,
    logs: Path,
    directory: Path = PROJECT,
) -> Iterator[Peer]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS_OF_SERVERS)}
    with open(logs / f"{name}.log", "ab") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command if core is None else pinned(core, command),
            cwd=directory,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
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
        with suppress(ProcessLookupError):  # children that it left behind
            os.killpg(process.pid, signal.SIGKILL)
