"""Training runs below one root: listed, published whole, and removed only by a plan.

A training script publishes with::

    from mm_core import versions

    with versions.publish("models") as run:
        model.save(run.path / "lstm_model.h5")
        run.save_metadata(performance_metrics={"lstm": {"sharpe_ratio": 1.7}})
"""

from mm_core.versions.latest import Latest, move_latest
from mm_core.versions.managed import init
from mm_core.versions.pins import pin, unpin
from mm_core.versions.plans import Leftover, Protect, Protected, RemovalPlan, plan_cleanup, plan_delete
from mm_core.versions.publishing import Publication, publish, publish_directory
from mm_core.versions.removal import Removed, execute
from mm_core.versions.runs import Run, RunFile, current_version, list_versions, load_version, show_version

__all__ = [
    "Latest",
    "Leftover",
    "Protect",
    "Protected",
    "Publication",
    "RemovalPlan",
    "Removed",
    "Run",
    "RunFile",
    "current_version",
    "execute",
    "init",
    "list_versions",
    "load_version",
    "move_latest",
    "pin",
    "plan_cleanup",
    "plan_delete",
    "publish",
    "publish_directory",
    "show_version",
    "unpin",
]
