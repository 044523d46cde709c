"""The house: imports point down, rooms on one floor do not see each other, each library has one home."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PACKAGE = PROJECT / "mm_core"

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "settings", "strict_json", "spelling", "logs", "client", "probe", "child_processes", ""}),
    frozenset({"domain"}),
    frozenset({"artifacts", "store", "payloads", "conversion", "evaluation"}),
    frozenset({"versions", "prediction"}),  # above the readers of artifacts; what protects a run comes from above
    frozenset({"registry"}),
    frozenset({"wiring"}),
    frozenset({"api", "cli", "dashboard"}),
    frozenset({"__main__"}),
)
"""Rooms from the ground up; a module sees its own room and the floors below."""

GROUND = FLOORS[0]
DOORS = {
    "api": {"registry", "wiring", "payloads", "domain"},
    "cli": {"registry", "wiring", "payloads", "domain", "api", "versions"},
    "dashboard": {"registry", "wiring", "payloads", "evaluation", "domain"},
}
"""What edges may use beside the ground floor: files and store only through the registry.

Runs are the exception: trainings publish into a root, and people tidy it, whether or not it is registered.
"""

HOMES = {
    "streamlit": {"dashboard", "app.py", "pages"},
    "plotly": {"dashboard"},
    "pandas": {"dashboard"},
    "bottle": {"api"},
    "waitress": {"api"},
    "werkzeug": {"api"},
    "prometheus_client": {"api", "probe"},
    "typer": {"cli"},
    "rich": {"cli"},
    "tinydb": {"store"},
    "filelock": {"store"},
    "xgboost": {"conversion", "prediction"},
    "lightgbm": {"prediction"},
    "onnxmltools": {"conversion"},
    "onnxruntime": {"conversion"},
    "onnx": {"conversion"},
    "numpy": {"artifacts", "conversion", "prediction", "evaluation", "dashboard"},
    "scipy": {"evaluation"},
    "pyarrow": {"artifacts"},
    "watchfiles": {"registry"},
    "structlog": {"logs"},
    "msgspec": {"strict_json"},
    "backports": {"payloads"},
    "zlib_ng": {"payloads"},
    "httpx": {"client", "probe"},
}


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 1 and _room(path) == "client":
                continue  # a folder that bots copy must not know where it lies
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            names.add(node.module)
            if node.module == "mm_core":
                names |= {f"mm_core.{alias.name}" for alias in node.names}
    return names


def _floor_of(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"mm_core/{room} has no floor: add it to FLOORS, or move it into a room.")


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_point_down_and_rooms_on_one_floor_do_not_see_each_other(path: Path) -> None:
    room = _room(path)
    for name in sorted(_imports(path)):
        if name != "mm_core" and not name.startswith("mm_core."):
            continue
        target = name.split(".")[1] if "." in name else ""
        if target == room or target in GROUND:
            continue
        if not (PACKAGE / target).is_dir() and not (PACKAGE / f"{target}.py").is_file():
            continue  # a name of the package itself, such as __version__
        assert _floor_of(target) < _floor_of(room) or target in DOORS.get(room, set()), f"{path} imports {name}"
        if room in DOORS:
            assert target in DOORS[room], f"{path} reaches {name} past the registry"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_each_library_has_one_home(path: Path) -> None:
    room = _room(path)
    for name in sorted(_imports(path)):
        library = name.split(".")[0]
        if library == "mm_core" or library in sys.stdlib_module_names:
            continue
        assert library in HOMES, f"{path} uses {library}, which has no home yet: add it to HOMES"
        assert room in HOMES[library], f"{path} uses {library}, whose home is {HOMES[library]}"


def test_domain_uses_the_standard_library_alone() -> None:
    for path in (PACKAGE / "domain").rglob("*.py"):
        outside = {
            name
            for name in _imports(path)
            if name.split(".")[0] not in sys.stdlib_module_names
            and not name.startswith(("mm_core.domain", "mm_core.errors", "mm_core.spelling"))
        }
        assert outside == set(), path


def test_the_client_for_bots_uses_httpx_and_the_standard_library_alone() -> None:
    for path in (PACKAGE / "client").rglob("*.py"):
        outside = {name for name in _imports(path) if name.split(".")[0] not in sys.stdlib_module_names}
        assert outside <= {"httpx"}, path


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_modules_can_be_held_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}


def test_every_third_party_library_is_in_the_requirements_with_a_reason() -> None:
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    for line in pinned:
        requirement, _, reason = line.partition("#")
        assert "==" in requirement, line
        assert len(reason.split()) >= 2, f"{line}: say why it is here"
