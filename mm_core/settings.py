"""Settings: one table of environment variables, each with its default and the reason for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mm_core.errors import SettingsError

PREFIX = "MODEL_MANAGER_"
MEBIBYTE = 1 << 20
_HOST = re.compile(r"\*|\[[0-9a-f:.]+\]|[a-z0-9._-]+")


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def _port(value: str) -> int:
    number = int(value)
    if not 1 <= number <= 65535:
        raise ValueError("must be a port from 1 to 65535")
    return number


def _switch(value: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.strip().lower() not in known:
        raise ValueError("must be 1 or 0")
    return known[value.strip().lower()]


def _seconds(value: str) -> float:
    number = float(value)
    if not 0 < number <= 86400:
        raise ValueError("must be seconds above 0, at most 86400")
    return number


def _count(value: str) -> int:
    number = int(value)
    if not 1 <= number <= 1024:
        raise ValueError("must be a whole number from 1 to 1024")
    return number


def _workers(value: str) -> int:
    return len(os.sched_getaffinity(0)) if value.strip().lower() == "auto" else _count(value)


def _mebibytes(value: str) -> int:
    number = int(value)
    if not 1 <= number <= 1 << 20:
        raise ValueError("must be whole MiB from 1 to 1048576")
    return number * MEBIBYTE


def _roots(value: str) -> tuple[Path, ...]:
    paths = tuple(Path(part) for part in value.split(":") if part)
    if not all(path.is_absolute() for path in paths):
        raise ValueError("must be absolute directories, separated by ':'")
    return paths


def _hosts(value: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in value.split(",") if name.strip())
    if not names or not all(_HOST.fullmatch(name) for name in names):
        raise ValueError("must be names or addresses without ports, separated by ',', or *")
    return names


def _log_style(value: str) -> str:
    if value not in {"json", "plain"}:
        raise ValueError("must be json or plain")
    return value


class Setting(NamedTuple):
    """One variable: its name without the prefix, field, default as text (None: not set), converter and reason."""

    name: str
    field: str
    default: str | None
    convert: Callable[[str], Any]
    reason: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name


TABLE: tuple[Setting, ...] = (
    Setting("HTTP_HOST", "http_host", "0.0.0.0", _text, "payload server address"),  # noqa: S104 - the documented default
    Setting("HTTP_PORT", "http_port", "6300", _port, "payload server port"),
    Setting(
        "DASHBOARD_PORT",
        "dashboard_port",
        "6301",
        _port,
        "Streamlit port; `/` and `/config` on the payload server redirect to its pages",
    ),
    Setting("WATCH_ENABLED", "watch_enabled", "1", _switch, "refresh registered models when their files change"),
    Setting(
        "WATCH_INTERVAL", "watch_interval", "5", _seconds, "seconds between polls where file events are not available"
    ),
    Setting(
        "WATCH_DEBOUNCE", "watch_debounce", "2", _seconds, "quiet seconds before a refresh, so that a run is read whole"
    ),
    Setting("DATA_DIR", "data_dir", "data", lambda value: Path(_text(value)), "state: registry, scans, blobs"),
    Setting(
        "ARTIFACT_ROOTS",
        "artifact_roots",
        None,
        _roots,
        "`:`-separated directories below which roots may be registered; not set: any",
    ),
    Setting("WRITE_TOKEN", "write_token", None, _text, "when set, POST, PUT and DELETE need `Authorization: Bearer`"),
    Setting(
        "ALLOWED_HOSTS",
        "allowed_hosts",
        None,
        _hosts,
        "`,`-separated names that requests may have in `Host`, beside addresses, `localhost` and the machine's own; not "
        "set: any, those alone where a write token is set; `*`: any",
    ),
    Setting(
        "WORKERS",
        "workers",
        "1",
        _workers,
        "processes that serve on one port, `auto`: one a core; from two on, one more owns the state",
    ),
    Setting(
        "THREADS",
        "threads",
        "8",
        _count,
        "threads that answer what is not a ready payload; 1 to 32 answer as many a second, more than one while one waits",
    ),
    Setting(
        "REQUEST_SECONDS",
        "request_seconds",
        "30",
        _seconds,
        "seconds before a request that is still arriving, or an answer that is still being read, has to have moved at "
        "4 KiB a second on average",
    ),
    Setting(
        "IDLE_SECONDS",
        "idle_seconds",
        "120",
        _seconds,
        "seconds before a connection that asks nothing is closed; 5 where all 3,000 are taken",
    ),
    Setting(
        "CACHE_MB",
        "cache_bytes",
        "64",
        _mebibytes,
        "MiB of prepared bodies that each serving process keeps mapped: pages of the kernel, shared by all of them",
    ),
    Setting("MAX_MODEL_MB", "max_model_bytes", "512", _mebibytes, "MiB above which a model file is not read"),
    Setting("MAX_FILE_MB", "max_file_bytes", "64", _mebibytes, "MiB above which any other artifact is not read"),
    Setting("LOG", "log_style", "json", _log_style, "`json`: one line a request for machines; `plain`: for people"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process, parsed."""

    http_host: str
    http_port: int
    dashboard_port: int
    watch_enabled: bool
    watch_interval: float
    watch_debounce: float
    data_dir: Path
    artifact_roots: tuple[Path, ...] | None
    write_token: str | None
    allowed_hosts: tuple[str, ...] | None
    workers: int
    threads: int
    request_seconds: float
    idle_seconds: float
    cache_bytes: int
    max_model_bytes: int
    max_file_bytes: int
    log_style: str


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of ``environment`` (the process's own by default).

    Raises `SettingsError` that lists every unknown ``MODEL_MANAGER_*`` name and every value that does not parse.
    """
    source = os.environ if environment is None else environment
    problems = []
    known = {setting.variable for setting in TABLE}
    for name in sorted(source):
        if name.startswith(PREFIX) and name not in known:
            problems.append(f"{name} is not a setting; known are {', '.join(sorted(known))}")
    values: dict[str, Any] = {}
    for setting in TABLE:
        text = source.get(setting.variable, setting.default)
        try:
            values[setting.field] = None if text is None else setting.convert(text)
        except ValueError as error:
            shown = "its value" if setting.field == "write_token" else repr(text)
            problems.append(f"{setting.variable}: {shown} is refused ({error}); meaning: {setting.reason}")
    if problems:
        raise SettingsError("The settings are refused. " + "; ".join(problems) + ".")
    return Settings(**values)
