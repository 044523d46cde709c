"""A run is published whole or not at all: written under another name, made durable, renamed, then `latest` is moved."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from mm_core import strict_json
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.training_metadata import CORRUPT, read_training_metadata
from mm_core.domain.runs import TRAINING_METADATA, RunId, models_of
from mm_core.errors import BadRequest, RootNotWritten
from mm_core.versions.latest import point_latest
from mm_core.versions.managed import TEMPORARY, locked, not_written, real_root, require_managed, sync
from mm_core.versions.plans import LOCK_ENDING

PATIENCE_SECONDS = 600.0
"""How long a finished training waits for its turn: what it wrote would be lost."""


class Publication:
    """A run that is being written: put its files below ``path``; ``version`` is its name once it is published."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version: str | None = None

    def save_metadata(
        self,
        *,
        model_configs: Mapping[str, Mapping[str, Any]] | None = None,
        performance_metrics: Mapping[str, Mapping[str, Any]] | None = None,
        ensemble_weights: Mapping[str, float] | None = None,
        trained_models: Sequence[str] | None = None,
        prediction_threshold: float | None = None,
        timestamp: str | None = None,
        **extra: Any,
    ) -> None:
        """Write ``training_metadata.json``; a later call replaces it.

        Numbers of numpy are written as numbers, those that are not finite as null. ``trained_models`` are those with a
        file by now, ``timestamp`` is now, unless given. Raises `BadRequest` with every value that cannot be kept.
        """
        document = {
            "timestamp": timestamp or datetime.now(UTC).isoformat(),
            "model_configs": model_configs or {},
            "performance_metrics": performance_metrics or {},
            "ensemble_weights": ensemble_weights or {},
            "trained_models": sorted(models_of(os.listdir(self.path))) if trained_models is None else trained_models,
            "prediction_threshold": prediction_threshold,
            **extra,
        }
        try:
            data = strict_json.encode_for_people(_plain(document, "metadata"))
        except UnicodeEncodeError as error:
            raise BadRequest(f"The metadata has text that is no Unicode ({error}). Write it as UTF-8.") from error
        report = FileReport(TRAINING_METADATA)
        read_training_metadata(data, report)
        problems = [finding.detail for finding in report.findings() if finding.code == CORRUPT]
        if problems:
            raise BadRequest(f"The metadata has {len(problems)} value(s) that nobody could read: {' '.join(problems)}")
        try:
            (self.path / TRAINING_METADATA).write_bytes(data)
        except OSError as error:
            raise not_written(self.path / TRAINING_METADATA, error) from error


@contextmanager
def publish(root: str | os.PathLike[str]) -> Iterator[Publication]:
    """Give a directory to write a run into; when the block ends, it is published and ``latest`` stands for it.

    The run is named by the time of publication in UTC. If the block raises, nothing is left and ``latest`` stays where
    it is; what a killed process leaves shows up nowhere and goes with the next cleanup. Raises `RootNotManaged`,
    `RootBusy`, `RootNotWritten`, and `BadRequest` for a block that wrote nothing.
    """
    path = require_managed(root)
    lock, directory = _begin(path)
    owner = os.getpid()
    try:
        run = Publication(directory)
        yield run
        _complete(run)
        with locked(path, PATIENCE_SECONDS):
            run.version = _rename(path, directory)
            try:
                point_latest(path, run.version)
            except RootNotWritten as error:
                raise RootNotWritten(
                    f"Version {run.version} is published, but not the latest. {error.detail}"
                ) from error
    finally:
        if os.getpid() == owner:  # a process that the block forked may leave it too, and must not take the run along
            if os.path.lexists(directory):
                shutil.rmtree(directory, ignore_errors=True)
            with suppress(OSError):
                os.unlink(f"{directory}{LOCK_ENDING}")
            os.close(lock)


def publish_directory(root: str | os.PathLike[str], source: str | os.PathLike[str]) -> str:
    """Publish a copy of the files below ``source`` and return the version's name; the source stays.

    Raises `BadRequest` for a source with links or special files, or one that the root lies in, and what `publish` does.
    """
    path, origin = require_managed(root), real_root(source)
    if path.is_relative_to(origin):
        raise BadRequest(
            f"'{path}' lies below '{origin}': a copy would hold itself. Name the directory of one training."
        )
    for folder, folders, files in os.walk(origin):
        for name in (*folders, *files):
            mode = os.lstat(os.path.join(folder, name)).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise BadRequest(f"'{os.path.join(folder, name)}' is no file of its own. Replace links by their files.")
    with publish(path) as run:
        try:
            shutil.copytree(origin, run.path, dirs_exist_ok=True, symlinks=True)
        except (OSError, shutil.Error) as error:
            raise RootNotWritten(f"'{origin}' cannot be copied ({error}). Nothing was published.") from error
    assert run.version is not None
    return run.version


def _begin(root: Path) -> tuple[int, Path]:
    """Return a lock that tells others that this process lives, and the new directory that it is for."""
    while True:
        name = f"{TEMPORARY}{datetime.now(UTC):%Y%m%d_%H%M%S}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            lock = os.open(root / f"{name}{LOCK_ENDING}", flags, 0o666)
        except OSError as error:
            raise not_written(root, error) from error
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            break
        os.close(lock)  # a cleanup came between the two steps and took the file for a dead process's
    try:
        os.mkdir(root / name)
    except OSError as error:
        with suppress(OSError):
            os.unlink(root / f"{name}{LOCK_ENDING}")
        os.close(lock)
        raise not_written(root, error) from error
    return lock, root / name


def _complete(run: Publication) -> None:
    """Make everything below a run's directory durable, metadata included."""
    try:
        names = os.listdir(run.path)
        if not names:
            raise BadRequest(f"Nothing was written into '{run.path}', so nothing is published. Write below `run.path`.")
        if TRAINING_METADATA not in names:
            run.save_metadata()
        for folder, _, files in os.walk(run.path, topdown=False):
            for path in (Path(folder, name) for name in files):
                if stat.S_ISREG(os.lstat(path).st_mode):
                    sync(path)
            sync(Path(folder))
    except OSError as error:
        raise not_written(run.path, error) from error


def _rename(root: Path, directory: Path) -> str:
    """Give a directory of a locked root the name of this second; where it has some already, the one after the last.

    A name before the last may be free, for a cleanup may have been there: a new run would then be older than others.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    taken = [run.number for run in map(RunId.parse, os.listdir(root)) if run is not None and run.at == now]
    version = str(RunId(now, max(taken, default=0) + 1))
    try:
        os.rename(directory, root / version)
        sync(root)
    except OSError as error:
        raise not_written(root / version, error) from error
    return version


def _plain(value: Any, place: str) -> Any:
    """Return a value as JSON has it; raise `BadRequest` with the place of one that JSON cannot hold."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(entry, f"{place}.{name}") for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{place}[{number}]") for number, entry in enumerate(value)]
    for method in ("isoformat", "tolist"):  # times; arrays and scalars of numpy
        convert = getattr(value, method, None)
        if callable(convert):
            return _plain(convert(), place)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise BadRequest(f"'{place}' is a {type(value).__name__}, which JSON cannot hold. Write a number or a text.")
