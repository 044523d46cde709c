"""All files of a state: read while others write, checked, and put in the place of another state."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from mm_core.domain.models import MODEL_NAME
from mm_core.domain.version_records import FAMILY_NAME
from mm_core.errors import ModelManagerError, StoreCorrupt, StoreError
from mm_core.store.config_files import ConfigFiles, ConfigShards, configs_below, normalizers_below
from mm_core.store.copies import Copies
from mm_core.store.durable import make_directory, not_written
from mm_core.store.family_files import FamilyFiles
from mm_core.store.repairs import set_aside
from mm_core.store.revisions import LARGEST_REVISION
from mm_core.store.scans import ScanFiles
from mm_core.store.state import State, checked_state
from mm_core.store.storage import parse_tables, read_file


class StateMoved(Exception):
    """A file is gone because of newer commits: whoever reads begins again."""


@dataclass(frozen=True, slots=True)
class StateFiles:
    """A directory that a state lies in, and what reads each kind of its files."""

    data_dir: Path
    configs: ConfigFiles
    normalizers: ConfigFiles
    families: FamilyFiles
    scans: ScanFiles

    @classmethod
    def below(cls, data_dir: Path) -> StateFiles:
        """Return the files of the state below a directory that nobody else reads."""
        copies = Copies(data_dir)
        return cls(
            data_dir,
            configs_below(data_dir, copies),
            normalizers_below(data_dir, copies),
            FamilyFiles(data_dir / "lifecycle", copies),
            ScanFiles(data_dir / "scans"),
        )


def read_state(files: StateFiles, is_newest: Callable[[], bool], keep: Callable[[str, bytes], None]) -> int:
    """Give ``keep`` the name and content of every file of a state, `registry.json` first; return the revision.

    Scans that are not whole are left out. Raises `StateMoved`, and `StoreCorrupt` for a file that is damaged.
    """
    data_dir = files.data_dir
    registry = data_dir / "registry.json"
    read = read_file(registry)
    if read is None:
        return 0
    state = checked_state(read[0], registry)
    keep("registry.json", read[0])

    def of_people(path: Path) -> bytes:
        content = read_file(path)
        if content is None:
            if is_newest():
                raise StoreCorrupt(f"'{path}' is missing. See `python -m mm_core doctor --repair`.")
            raise StateMoved(path)
        parse_tables(content[0], path)
        keep(str(path.relative_to(data_dir)), content[0])
        return content[0]

    def of_scans(path: Path) -> bytes | None:
        try:
            content = read_file(path)
            if content is None:
                return None
            parse_tables(content[0], path)
        except StoreError:
            return None
        keep(str(path.relative_to(data_dir)), content[0])
        return content[0]

    for name, shards in state.config_shards.items():
        files.configs.walk(name, shards, of_people)
    for name, shards in state.normalizer_shards.items():
        files.normalizers.walk(name, shards, of_people)
    for name, index in state.families.items():
        files.families.walk(name, index, of_people)
    for model in state.models.values():
        for scan_id in (model.scan_id, *(kept.scan_id for kept in model.earlier_scans)):
            if scan_id is not None:
                files.scans.walk(model.name, scan_id, of_scans)
    return state.revision


def check_state(files: StateFiles) -> tuple[State, set[str]]:
    """Return the state below a directory of which every file was read as a value, and the names of these files.

    Raises `StoreError` that names a file which is damaged, or holds what no state holds.
    """
    registry = files.data_dir / "registry.json"
    names: set[str] = set()
    try:
        read_state(files, lambda: True, lambda name, _: names.add(name))
        read = read_file(registry)
        state = checked_state(read[0] if read is not None else b"", registry)
        if not 0 < state.revision < LARGEST_REVISION:
            raise StoreCorrupt(f"'{registry}' has revision {state.revision}, which no state has.")
        for name, shards in state.config_shards.items():
            _check_configs(files.configs, name, shards, lambda variance: variance > 0)
        for name, shards in state.normalizer_shards.items():
            _check_configs(files.normalizers, name, shards, lambda variance: variance >= 0)
        for name, file in state.families.items():
            _check_family(files.families, name, file)
        for model in state.models.values():
            if model.scan_id is not None:
                files.scans.load(model.name, model.scan_id)
    except ModelManagerError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise StoreCorrupt(
            f"A file below '{files.data_dir}' holds no values ({type(error).__name__}: {error})."
        ) from error
    return state, names


def _check_configs(configs: ConfigFiles, name: str, shards: ConfigShards, can_be: Callable[[float], bool]) -> None:
    for row in configs.rows(name, shards):
        values = configs.record(name, row).values.values()
        if not all(isfinite(value.mean) and isfinite(value.variance) and can_be(value.variance) for value in values):
            raise StoreCorrupt(f"The config of '{row.symbol}' of model '{name}' has a value that none can have.")
        configs.history(name, row)


def _check_family(families: FamilyFiles, name: str, file: str) -> None:
    index = families.index(name, file)
    records = list(families.records(index))
    events = families.events(index)
    if {record.model_name for record in records} != {name} or len(records) != index.versions:
        raise StoreCorrupt(f"The versions of '{name}' are not those that its index tells of.")
    by_events: dict[str, tuple[str, bool]] = {}
    for event in events:
        if event.version:
            status, pinned = by_events.get(event.version, ("not registered", False))
            told = event.changes.get("pinned")
            after = status if event.after is None else str(event.after)
            by_events[event.version] = after, pinned if told is None else bool(told.after)
    by_records = {record.model_version: (str(record.status), record.pinned) for record in records}
    for version in sorted({*by_records, *by_events}):
        if by_records.get(version) != by_events.get(version):
            raise StoreCorrupt(
                f"{name} {version} is {_standing(by_records.get(version))} in its record and "
                f"{_standing(by_events.get(version))} by its events: one of the two was changed alone."
            )


def _standing(found: tuple[str, bool] | None) -> str:
    """Return where a version stands, and whether it is pinned, as a sentence has it."""
    status, pinned = found or ("not registered", False)
    return f"'{status}'{' and pinned' if pinned else ''}"


def put_files(staged: Path, data_dir: Path) -> None:
    """Move every file below ``staged`` but `registry.json` to where it belongs, and let all of it reach the disk."""
    for path in sorted(staged.rglob("*.json")):
        target = data_dir / path.relative_to(staged)
        if path.name != "registry.json":
            try:
                make_directory(target.parent)
                os.replace(path, target)
            except OSError as error:
                raise not_written(target, error) from error
    os.sync()


def set_all_aside(data_dir: Path, folder: Path) -> None:
    """Keep what people entered, damaged as it may be, under other names as well."""
    for place in (data_dir / name for name in ("registry.json", "configs", "normalizers", "lifecycle", "copies")):
        for path in sorted(place.rglob("*.json")) if place.is_dir() else [place]:
            set_aside(path, folder / path.relative_to(data_dir))


def what_is_not_of(state: State, data_dir: Path) -> list[Path]:
    """Return the directories, and those of copies, that belong to models and families that a state does not have."""
    kept: dict[str, tuple[Container[str], re.Pattern[str]]] = {
        "configs": (state.config_shards, MODEL_NAME),
        "normalizers": (state.normalizer_shards, FAMILY_NAME),
        "lifecycle": (state.families, FAMILY_NAME),
        "scans": (state.models, MODEL_NAME),
    }
    return [
        directory
        for place, (names, form) in kept.items()
        for within in (data_dir / place, data_dir / "copies" / place)
        for directory in within.glob("*")
        if directory.name not in names and form.fullmatch(directory.name) and directory.is_dir()
    ]
