"""Register the demo's models and lead its versions through their lives: python -m demo.register_demo"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mm_core.domain.groups import Scan
from mm_core.domain.lifecycle import ModelType, Objective, Status, Tier
from mm_core.domain.versions import Version
from mm_core.errors import ModelManagerError
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import VersionFilter
from mm_core.settings import load_settings
from mm_core.wiring import open_registry

DEMO = Path(__file__).resolve().parent.parent / "data" / "demo"
GROUPS = ("mid_chg_1b", "mid_chg_5b", "mid_chg_20b")
VERSIONS, RUNS = "market-direction", "walk-forward"


class Step(NamedTuple):
    """Where a version goes and why; what was deployed before becomes ``demote_to``."""

    version: Version
    status: Status
    why: str
    demote_to: Status = Status.SHADOW


def main() -> int:
    """Register whatever of the demo is there; return 1 where something is refused."""
    try:
        register_demo(open_registry(load_settings()), DEMO)
    except ModelManagerError as error:
        print(f"error: {error.detail}", file=sys.stderr)
        return 1
    return 0


def register_demo(registry: Registry, demo: Path) -> None:
    """Register the models below ``demo``, or look at them again; raise as the registry does.

    Of a model with versions, these are registered and moved where none of its versions is registered yet: what people
    did with them stays.
    """
    for name in (*GROUPS, VERSIONS, RUNS):
        scan = registry.registrations.register(name, str(demo / name)).scan
        print(f"{name}: {len(scan.symbols())} symbols, {len(scan.versions)} versions of {demo / name}", flush=True)
        if name == VERSIONS:
            _live(registry, name, ModelType.LIGHTGBM, _life_of_versions(scan))
        elif name == RUNS:
            _live(registry, name, ModelType.ENSEMBLE, _life_of_runs(scan))


def _live(registry: Registry, name: str, model_type: ModelType, steps: Sequence[Step]) -> None:
    lifecycle = registry.lifecycle
    if lifecycle.list(VersionFilter(model_name=name)):
        return
    for version, status, why, demote_to in steps:
        document = {
            "model_name": name,
            "model_version": version.name,
            "model_type": model_type,
            "objective": Objective.DIRECTION_CLASSIFICATION,
            "target_variable": "direction_of_5_bars",
            "prediction_horizon": "1w",
            "tier_requirement": Tier.FREE,
            "validation_score": _validation_score(version),
            "test_score": _test_score(version),
        }
        record = lifecycle.register(document, Author("demo")).record
        record = lifecycle.move(record, Status.VALIDATED, Author("demo", "Its figures were looked at."))
        record = lifecycle.move(record, status, Author("demo", why), demote_to=demote_to)
        print(f"{record.title}: {record.status}", flush=True)


def _life_of_versions(scan: Scan) -> list[Step]:
    """Return that the first version made room for the second, beside which the third runs unheard."""
    first, second, third = scan.versions.values()
    better = f"Accuracy {_accuracies(second)}; that of {first.name} was {_accuracies(first)}."
    return [
        Step(first, Status.DEPLOYED, "The first version there is."),
        Step(second, Status.DEPLOYED, better, Status.DEPRECATED),
        Step(third, Status.SHADOW, f"Accuracy {_accuracies(third)}: it runs beside {second.name} before it counts."),
    ]


def _life_of_runs(scan: Scan) -> list[Step]:
    """Return that the newest run but one is deployed, and the newest one runs unheard beside it."""
    *_, before, newest = scan.versions.values()
    return [
        Step(before, Status.DEPLOYED, "The last training that was checked on half a year of later bars."),
        Step(newest, Status.SHADOW, f"The newest training: it runs beside {before.name}."),
    ]


def _accuracies(version: Version) -> str:
    found = {"validation": _validation_score(version), "test": _test_score(version)}
    return ", ".join(f"{value:.3f} in {part}" for part, value in found.items() if value is not None)


def _validation_score(version: Version) -> float | None:
    return version.metadata.validation_accuracy if version.metadata is not None else None


def _test_score(version: Version) -> float | None:
    return version.evaluation.accuracy if version.evaluation is not None else None


if __name__ == "__main__":
    raise SystemExit(main())
