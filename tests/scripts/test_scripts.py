"""The scripts for real: start, stop, refuse; and files for pm2, systemd and containers."""

from __future__ import annotations

import configparser
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pip
import pytest

from mm_core.dashboard.commands import change_by_command_line
from mm_core.settings import PREFIX, TABLE, load_settings
from mm_core.wiring import open_registry
from tests.asking import http
from tests.processes import environment_with, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parent.parent.parent
SCRIPTS = ("setup.sh", "start.sh", "stop.sh", "start_model_manager.sh", "test.sh", "lock.sh", "audit.sh", ".ci/run")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of the tracked files, compiled as far as this one is, with this one's environment of packages."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    names = (
        *("mm_core", "pages", ".streamlit", "app.py", "payload_server.py", "requirements.txt", "locks"),
        *("demo", "data/demo"),
    )
    for name in (*names, *SCRIPTS[:4]):
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True)
        else:
            shutil.copy2(source, copy / name)
    (copy / ".venv").symlink_to(PROJECT / ".venv")
    return copy


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Free ports and a state of its own."""
    return environment_with(DATA_DIR=str(tmp_path / "state"), DASHBOARD_PORT=str(free_port()), HTTP_HOST="127.0.0.1")


Started = tuple[subprocess.Popen[bytes], str]


@pytest.fixture
def started(checkout: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Started]:
    """``./start.sh`` that answers on both ports."""
    with _running(checkout, environment, tmp_path) as process_and_url:
        yield process_and_url


@pytest.fixture
def started_with_demo(checkout: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Started]:
    """``./start.sh --demo`` that answers on both ports."""
    with _running(checkout, environment, tmp_path, "--demo") as process_and_url:
        yield process_and_url


@contextmanager
def _running(checkout: Path, environment: dict[str, str], tmp_path: Path, *options: str) -> Iterator[Started]:
    port = free_port()
    with open(tmp_path / "start.log", "wb") as log:
        process = subprocess.Popen(
            [str(checkout / "start.sh"), *options, "--web-port", str(port)],
            cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    urls = [
        f"http://127.0.0.1:{port}/api/health",
        f"http://127.0.0.1:{environment['MODEL_MANAGER_DASHBOARD_PORT']}/_stcore/health",
    ]
    deadline = time.monotonic() + 90
    with httpx.Client(timeout=2) as client:
        while urls and time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(urls[0]).status_code == 200:
                    urls.pop(0)
            except httpx.TransportError:
                time.sleep(0.1)
    if urls:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        pytest.fail((tmp_path / "start.log").read_text())
    yield process, f"http://127.0.0.1:{port}"
    if _members(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _members(group: int) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(entry.parent.name)
    return found


def test_the_demo_is_served_and_changed_by_the_config_pages_command_lines_and_sigterm_stops_everything(
    started_with_demo: Started, checkout: Path, environment: dict[str, str]
) -> None:
    process, url = started_with_demo
    names = [item["model_name"] for item in http.get(url + "/api/models").json()["items"]]
    assert names == ["market-direction", "mid_chg_1b", "mid_chg_20b", "mid_chg_5b", "walk-forward"]
    payload = http.get(url + "/api/models/mid_chg_5b/model/EURUSD").json()["payload"]
    assert payload["metadata"]["feature_dim"] == 110

    lines = change_by_command_line("mid_chg_5b", "EURUSD", 1).replace(
        "# edit", "sed -i s/0.2,/0.25,/ config.json # edit"
    )
    subprocess.run(["bash", "-ec", lines], cwd=checkout, env=environment, check=True, capture_output=True, timeout=60)
    changed = http.get(url + "/api/models/mid_chg_5b/symbols/EURUSD/factor-config").json()
    assert changed["EURUSD"]["mean_values"][0] == 0.25
    again = subprocess.run(["bash", "-ec", lines], cwd=checkout, env=environment, capture_output=True, text=True)
    assert (again.returncode, "is at revision 2" in again.stderr) == (1, True)

    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert _members(process.pid) == []


def test_a_group_that_is_told_to_stop_again_and_again_still_ends_by_itself(
    started: Started,
) -> None:
    process, _ = started
    for _ in range(40):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        time.sleep(0.005)
    assert process.wait(15) == 0, "something was killed that would have ended"
    assert _members(process.pid) == []


def test_a_second_start_is_refused_before_it_replaces_anything_and_stop_ends_the_first_one_and_says_so(
    started: Started, checkout: Path, environment: dict[str, str]
) -> None:
    (checkout / "setup.sh").write_text('#!/bin/sh\ntouch "$0.called"\n')
    second = subprocess.run([str(checkout / "start.sh")], env=environment, capture_output=True, text=True, timeout=60)
    assert (second.returncode, f"already running as process {started[0].pid}" in second.stderr) == (1, True)
    assert not (checkout / "setup.sh.called").exists()
    done = subprocess.run([str(checkout / "stop.sh")], env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "stop: stopped\n")
    assert started[0].wait(5) == 0
    again = subprocess.run([str(checkout / "stop.sh")], env=environment, capture_output=True, text=True, timeout=30)
    assert (again.returncode, "is not running" in again.stdout) == (0, True)


def test_what_goes_on_after_start_was_killed_is_not_started_beside_but_stopped(
    started: Started, checkout: Path, environment: dict[str, str]
) -> None:
    process, _ = started
    process.kill()
    process.wait()
    assert _members(process.pid)
    second = subprocess.run([str(checkout / "start.sh")], env=environment, capture_output=True, text=True, timeout=60)
    assert (second.returncode, "already running as process" in second.stderr) == (1, True)
    done = subprocess.run([str(checkout / "stop.sh")], env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "stop: stopped\n")
    assert _members(process.pid) == []
    assert not (checkout / "run" / "model_manager.pid").exists()


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """A checkout that sets nothing up, whose server sleeps, and whose dashboard ends at once: ``start.sh`` with it."""
    directory = tmp_path / "stand-ins"
    (directory / ".venv" / "bin").mkdir(parents=True)
    (directory / "run").mkdir()
    for name in ("start.sh", "stop.sh"):
        shutil.copy2(PROJECT / name, directory)
    _program(directory / "setup.sh", "exit 0")
    _program(directory / ".venv" / "bin" / "python", '[ "$1" != payload_server.py ] || exec sleep 30')
    return directory


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _bash(directory: Path, line: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", line]
    return subprocess.run(command, cwd=directory, env=environment_with(), capture_output=True, text=True, timeout=30)


def test_an_id_that_a_killed_start_left_does_not_refuse_the_one_that_has_it_now(stand_ins: Path) -> None:
    """In a container ``start.sh`` is process 1 every time."""
    done = _bash(stand_ins, "echo $$ >run/model_manager.pid; exec ./start.sh")
    assert "already running" not in done.stderr
    assert "start: stop " in done.stdout
    assert not (stand_ins / "run" / "model_manager.pid").exists()


def test_an_id_that_belongs_to_another_checkout_by_now_is_neither_refused_nor_stopped(
    stand_ins: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _program(other / "start.sh", "sleep 60; exit")
    with subprocess.Popen([str(other / "start.sh")], cwd=other, start_new_session=True) as process:
        try:
            pid_file = stand_ins / "run" / "model_manager.pid"
            pid_file.write_text(f"{process.pid}\n")
            assert "start: stop " in _bash(stand_ins, "./start.sh").stdout
            pid_file.parent.mkdir(exist_ok=True)
            pid_file.write_text(f"{process.pid}\n")
            done = _bash(stand_ins, "./stop.sh")
            assert (done.returncode, done.stdout) == (0, "stop: Model Manager is not running\n")
            assert process.poll() is None
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_what_another_start_wrote_meanwhile_is_left_to_it(stand_ins: Path) -> None:
    python = stand_ins / ".venv" / "bin" / "python"
    writes = 'if [ "$1" = payload_server.py ]; then echo 4194305 >run/model_manager.pid; fi'
    _program(python, writes + '\nif [ "$2" = streamlit ]; then exec sleep 30; fi')
    _bash(stand_ins, "./start.sh")
    assert (stand_ins / "run" / "model_manager.pid").read_text().split()[0] == "4194305"


def test_a_start_that_is_stopped_while_it_sets_up_leaves_no_id(stand_ins: Path) -> None:
    _program(stand_ins / "setup.sh", "touch setting-up; sleep 30; exit")
    with subprocess.Popen(["./start.sh"], cwd=stand_ins, env=environment_with(), start_new_session=True) as process:
        try:
            wait_until(lambda: (stand_ins / "setting-up").exists())
            done = _bash(stand_ins, "./stop.sh")
            assert (done.returncode, done.stdout) == (0, "stop: stopped\n")
            assert process.wait(5) != 0
            assert not (stand_ins / "run" / "model_manager.pid").exists()
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_setting_that_is_refused_starts_nothing(checkout: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(checkout / "start.sh"), "--web-port", "99999"],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, "MODEL_MANAGER_HTTP_PORT" in done.stderr) == (2, True)
    assert not (checkout / "run").exists()


def test_a_server_that_dies_stops_the_dashboard_with_an_error(started: Started) -> None:
    process, _ = started
    for pid in _members(process.pid):
        if "payload_server.py" in Path(f"/proc/{pid}/cmdline").read_bytes().decode():
            os.kill(int(pid), signal.SIGKILL)
    assert process.wait(20) != 0
    assert _members(process.pid) == []


@pytest.mark.parametrize("options", [["--bogus"], ["--web-port"]])
def test_options_that_make_no_sense_are_refused_with_the_usage(checkout: Path, options: list[str]) -> None:
    done = subprocess.run([str(checkout / "start.sh"), *options], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "usage: ./start.sh" in done.stderr


def _set_up(checkout: Path, tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run ``setup.sh`` in a checkout that has no environment yet, with a shell script in the place of Python."""
    (checkout / ".venv").unlink()
    python = tmp_path / "python-of-another-kind"
    python.write_text("#!/bin/sh\n" + script)
    python.chmod(0o755)
    return subprocess.run(
        [str(checkout / "setup.sh")],
        env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_a_python_that_is_too_old_is_refused_with_a_sentence(checkout: Path, tmp_path: Path) -> None:
    done = _set_up(checkout, tmp_path, '[ "$1" = --version ] && echo Python 3.8.2 && exit 0\nexit 1\n')
    assert (done.returncode, "3.11 or newer" in done.stderr) == (1, True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_parse_and_may_be_executed(name: str) -> None:
    path = PROJECT / name
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "name", ["ecosystem.config.js", "deploy/model-manager.service", "deploy/model-manager-dashboard.service",
             "deploy/model-manager-backup.service", "deploy/Dockerfile", "start.sh"]
)  # fmt: skip
def test_every_setting_named_in_a_deployment_file_exists(name: str) -> None:
    named = set(re.findall(r"MODEL_MANAGER_[A-Z_]+", (PROJECT / name).read_text(encoding="utf-8")))
    assert named
    assert named <= {setting.variable for setting in TABLE}


@pytest.mark.parametrize("name", ["model-manager.service", "model-manager-dashboard.service"])
def test_units_stop_by_sigterm_and_leave_time_to_drain(name: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(PROJECT / "deploy" / name)
    assert unit["Service"]["KillSignal"] == "SIGTERM"
    assert int(unit["Service"]["TimeoutStopSec"]) > 10
    assert unit["Service"]["ProtectSystem"] == "strict"
    assert unit["Service"]["NoNewPrivileges"] == "yes"
    assert (unit["Service"]["User"], unit["Service"]["DynamicUser"]) == ("model-manager", "yes")
    assert unit["Service"]["StateDirectory"] == "model-manager"


def test_the_unit_of_backups_makes_checks_and_keeps_one(tmp_path: Path, model_root: Path) -> None:
    """Its own lines, on other paths."""
    unit = (PROJECT / "deploy" / "model-manager-backup.service").read_text(encoding="utf-8")
    state = tmp_path / "state"
    noon = f"NOON{time.gmtime().tm_hour - 12:+d}"  # hours behind UTC: where no day ends while the test runs
    environment = {**os.environ, "MODEL_MANAGER_DATA_DIR": str(state), "TZ": noon}
    open_registry(load_settings(environment)).registrations.register("m", str(model_root))
    for _ in range(2):
        for line in re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE):
            line = line.replace("/opt/model-manager/.venv/bin/python", sys.executable).replace("%%", "%")
            command = shlex.split(line.replace("/var/lib/model-manager", str(state)))
            subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True, timeout=60)
    kept = sorted(path.name for path in (state / "backups").iterdir())
    assert kept[1:] == ["newest.zip"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d\.zip", kept[0])
    assert "OnCalendar=hourly" in (PROJECT / "deploy" / "model-manager-backup.timer").read_text(encoding="utf-8")


@pytest.mark.parametrize("blocks", [0, 8, 1024], ids=["no room", "room for a part", "room"])
def test_the_days_backup_is_a_whole_one_however_far_the_next_copy_comes(tmp_path: Path, blocks: int) -> None:
    """The line that keeps it, where files may have no more than so many blocks of 512 bytes."""
    unit = (PROJECT / "deploy" / "model-manager-backup.service").read_text(encoding="utf-8")
    (line,) = [line for line in re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE) if "$(date " in line]
    command = shlex.split(line.replace("%%", "%").replace("/var/lib/model-manager", str(tmp_path)))
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "newest.zip").write_bytes(b"first" * 2000)
    subprocess.run(command, check=True, timeout=30)
    (day,) = backups.glob("20*.zip")
    (backups / "newest.zip").write_bytes(b"later" * 2000)
    limited = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *command]
    done = subprocess.run(limited, check=False, capture_output=True, timeout=30)
    assert (done.returncode == 0) == (blocks == 1024)
    assert day.read_bytes() == (b"later" if blocks == 1024 else b"first") * 2000
    subprocess.run(command, check=True, timeout=30)
    assert {path.name for path in backups.iterdir()} == {"newest.zip", day.name}
    assert day.read_bytes() == b"later" * 2000


def test_pm2_runs_both_processes_and_leaves_time_to_drain() -> None:
    text = (PROJECT / "ecosystem.config.js").read_text(encoding="utf-8")
    assert re.findall(r'\bname: "([^"]+)"', text) == ["model-manager", "model-manager-dashboard"]
    assert re.findall(r"\bkill_timeout: (\d+)", text) == ["15000", "15000"]
    seeded = {
        f"{PREFIX}{name}" for name in ("HTTP_HOST", "HTTP_PORT", "WATCH_ENABLED", "WATCH_INTERVAL", "WATCH_DEBOUNCE")
    }
    assert seeded <= set(re.findall(r"(MODEL_MANAGER_[A-Z_]+):", text))


def test_the_container_is_not_root_and_tells_its_health() -> None:
    lines = (PROJECT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert lines.index("USER model-manager") < lines.index('CMD ["python", "payload_server.py"]')
    compiled = "RUN python -m compileall -q mm_core pages ./*.py"
    assert lines.index("COPY pages pages") < lines.index(compiled) < lines.index("USER model-manager")
    assert any(line.startswith("HEALTHCHECK ") and "/api/health" in line for line in lines)


def test_the_container_holds_every_program() -> None:
    lines = (PROJECT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]}
    programs = {path.name for path in PROJECT.glob("*.py")}
    assert len(programs) > 2
    assert programs | {"mm_core", "pages"} <= copied


def test_requirements_without_a_lock_are_refused_with_a_sentence(checkout: Path) -> None:
    (checkout / "mine.txt").write_text("bottle\n")
    done = subprocess.run([str(checkout / "setup.sh"), "mine.txt"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, "has no lock" in done.stderr) == (1, True)


def test_the_code_is_compiled_ahead_where_the_environment_forbids_to_write_it(checkout: Path) -> None:
    for place in [
        checkout / "__pycache__",
        *(checkout / "mm_core").rglob("__pycache__"),
        checkout / "pages" / "__pycache__",
    ]:
        shutil.rmtree(place, ignore_errors=True)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([str(checkout / "setup.sh")], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for module in ("app", "payload_server", "pages/overview", "mm_core/artifacts/reading_worker"):
        path = Path(importlib.util.cache_from_source(str(checkout / f"{module}.py")))
        assert path.is_file(), f"{module} is not compiled"


WITH_THIS_PIP = """\
#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec "{python}" "$@"
"{python}" -m venv --without-pip "$3" && ln -s "{pip}" "$3"/lib/python3*/site-packages/
"""
"""A Python that makes environments in a tenth of the time: installing pip anew is nearly all of it."""


@pytest.fixture
def set_up(checkout: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``setup.sh`` on locks by file name, in a checkout without environment, with packages of ``wheels`` alone."""
    (checkout / ".venv").unlink()
    python = tmp_path / "python-whose-environments-have-this-pip"
    python.write_text(WITH_THIS_PIP.format(python=sys.executable, pip=Path(pip.__file__).parent))
    python.chmod(0o755)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_CONFIG_FILE": os.devnull}

    def run(locks: dict[str, str], *files: str) -> subprocess.CompletedProcess[str]:
        for name, lines in locks.items():
            (checkout / name).touch()
            (checkout / "locks" / name).write_text(lines)
        command = [str(checkout / "setup.sh"), *(files or locks)]
        environment = {**os.environ, **offline, "PYTHON": str(python)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    return run


def _forged(tmp_path: Path, name: str, version: str, *others: str) -> str:
    """Make a wheel of a module that holds its version, and of other files, and return its line of a lock."""
    (tmp_path / "wheels").mkdir(exist_ok=True)
    wheel = tmp_path / "wheels" / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in (*others, f"{name}.py"):
            archive.writestr(file, f"# {version}")
        about = f"{name}-{version}.dist-info"
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def _installed(checkout: Path) -> dict[str, str]:
    """Return the versions of forged packages in the environment."""
    modules = (checkout / ".venv" / "lib").glob("*/site-packages/*.py")
    return {path.stem: path.read_text().removeprefix("# ") for path in modules}


SetUp = Callable[..., subprocess.CompletedProcess[str]]


def test_a_package_whose_digest_is_not_the_locked_one_is_not_installed(
    set_up: SetUp, checkout: Path, tmp_path: Path
) -> None:
    line = _forged(tmp_path, "forged", "1.0")
    refused = set_up({"mine.txt": re.sub("sha256:.*", "sha256:" + "0" * 64, line)})
    assert (refused.returncode, "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr) == (1, True)
    assert set_up({"mine.txt": line}).returncode == 0
    assert _installed(checkout) == {"forged": "1.0"}


@pytest.mark.parametrize("linked", [False, True], ids=["own", "linked"])
def test_an_environment_without_pip_is_made_anew_and_what_a_link_leads_to_is_left(
    set_up: SetUp, checkout: Path, tmp_path: Path, linked: bool
) -> None:
    place = tmp_path / "elsewhere" if linked else checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=60)
    if linked:
        (checkout / ".venv").symlink_to(place)
    done = set_up({"mine.txt": _forged(tmp_path, "forged", "1.0")})
    assert (done.returncode, done.stderr) == (0, "")
    assert _installed(checkout) == {"forged": "1.0"}
    assert (place / "bin" / "python").exists()
    assert not (checkout / ".venv").is_symlink()


def test_an_environment_without_pip_in_which_all_is_installed_is_left_alone(
    set_up: SetUp, checkout: Path, tmp_path: Path
) -> None:
    locks = {"mine.txt": _forged(tmp_path, "forged", "1.0")}
    set_up(locks)
    (link,) = (checkout / ".venv" / "lib").glob("*/site-packages/pip")
    link.unlink()
    assert (set_up(locks).returncode, link.exists()) == (0, False)


def test_locks_that_go_back_after_an_installation_that_failed_half_way_are_installed_again(
    set_up: SetUp, checkout: Path, tmp_path: Path
) -> None:
    before = {"mine.txt": _forged(tmp_path, "shown", "1.0"), "theirs.txt": _forged(tmp_path, "tested", "1.0")}
    assert set_up(before).returncode == 0
    outside = _forged(tmp_path, "broken", "1.0", "../../../../../outside.py")  # pip goes by names, the last one first
    tested = _forged(tmp_path, "tested", "2.0")
    after = {"mine.txt": outside + _forged(tmp_path, "shown", "2.0") + tested, "theirs.txt": tested}
    assert set_up(after, "mine.txt").returncode == 1
    assert _installed(checkout) == {"shown": "2.0", "tested": "2.0"}
    assert set_up(before).returncode == 0
    assert _installed(checkout) == {"shown": "1.0", "tested": "1.0"}


def test_a_lock_that_is_installed_does_not_make_another_one_of_the_same_state_installed_again(
    set_up: SetUp, tmp_path: Path
) -> None:
    locks = {"mine.txt": _forged(tmp_path, "shown", "1.0"), "theirs.txt": _forged(tmp_path, "tested", "1.0")}
    assert "installing locks/mine.txt" in set_up(locks, "mine.txt").stdout
    assert "installing locks/theirs.txt" in set_up(locks, "theirs.txt").stdout
    assert "installing" not in set_up(locks).stdout


def test_a_python_that_cannot_make_environments_is_refused_with_a_sentence(checkout: Path, tmp_path: Path) -> None:
    done = _set_up(checkout, tmp_path, 'case "$2" in *ensurepip*) exit 1 ;; esac\nexit 0\n')
    assert (done.returncode, "apt-get install python3-venv" in done.stderr) == (1, True)
    assert not (checkout / ".venv").exists()
