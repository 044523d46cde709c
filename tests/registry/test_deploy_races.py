"""What is deployed is there: whatever rescans, cleanups and removals do between the check of a version and its move."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mm_core import versions
from mm_core.domain.lifecycle import Status
from mm_core.errors import CannotPredict
from mm_core.registry import Registry
from mm_core.registry import lifecycle as lifecycle_module
from mm_core.registry.lifecycle import Lifecycle
from mm_core.settings import Settings
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.processes import environment_with
from tests.registry.test_lifecycle import ANN, FIELDS, NAME, Make, lifecycle, make
from tests.versions.conftest import write_run_below
from tests.waiting import wait_until

__all__ = ["lifecycle", "lightgbm_booster", "make", "write_version"]

RUNS = ("20250721_150837", "20250722_150837", "20250723_150837")
SECONDS = 20


class Stop:
    """A place in the program at which one thread waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, which stops at its end the first time."""

        def stopping(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            if not self.reached.is_set():
                self.reached.set()
                assert self.go_on.wait(SECONDS)
            return result

        return stopping


def _move(lifecycle: Lifecycle) -> object:
    return lifecycle.move(lifecycle.record(NAME, "v1.0.0"), Status.DEPLOYED, ANN)


def _update(lifecycle: Lifecycle) -> object:
    return lifecycle.update(lifecycle.record(NAME, "v1.0.0"), {"status": Status.DEPLOYED}, ANN)


def _carry_out(lifecycle: Lifecycle) -> object:
    record = lifecycle.record(NAME, "v1.0.0")
    return lifecycle.carry_out(lifecycle_module.MovePlan(record, Status.DEPLOYED, None, Status.SHADOW), ANN)


def _compare(lifecycle: Lifecycle) -> object:
    return lifecycle.enable_ab_test(NAME, "v1.0.0", "v2.0.0", ANN)


def _register(lifecycle: Lifecycle) -> object:
    return lifecycle.register({**FIELDS, "model_version": "v3.0.0", "status": "deployed"}, ANN)


@pytest.mark.parametrize("deploy", [_move, _update, _carry_out, _compare, _register])
@pytest.mark.parametrize("is_scanned", [True, False], ids=["normalizer lost and scanned", "directory lost"])
def test_a_version_that_is_lost_between_check_and_move_is_not_deployed(
    registry: Registry,
    lifecycle: Lifecycle,
    make: Make,
    write_version: WriteVersion,
    monkeypatch: pytest.MonkeyPatch,
    deploy: Callable[[Lifecycle], object],
    is_scanned: bool,
) -> None:
    for version in ("v1.0.0", "v2.0.0", "v3.0.0"):
        root = write_version(version)
    registry.registrations.register("all", str(root))
    for version in ("v1.0.0", "v2.0.0"):
        make(version, Status.VALIDATED)
    stop = Stop()
    monkeypatch.setattr(lifecycle_module, "check_predicts", stop.after(lifecycle_module.check_predicts))
    with ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(deploy, lifecycle)
        assert stop.reached.wait(SECONDS)
        for version in ("v1.0.0", "v3.0.0"):
            lost = root / NAME / version / "normalizer.json" if is_scanned else root / NAME / version
            lost.rename(root / f"lost-{version}")
        if is_scanned:
            registry.registrations.refresh("all")
        stop.go_on.set()
        with pytest.raises(CannotPredict) as raised:
            deploying.result(SECONDS)
    assert raised.value.code == "MODEL_FILE_MISSING"
    assert [one.title for one in registry.versions() if one.status is Status.DEPLOYED] == []
    assert all(event.after is not Status.DEPLOYED for event in lifecycle.history(NAME))


@pytest.mark.parametrize("command", [None, "cleanup", "delete"], ids=["page", "cleanup", "delete"])
def test_a_run_that_is_being_deployed_while_it_is_removed_is_put_back(
    registry: Registry,
    lifecycle: Lifecycle,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str | None,
) -> None:
    root = versions.init(tmp_path / "models")
    for run in RUNS:
        write_run_below(root, run)
    registry.registrations.register("daily", str(root))
    fields = {**FIELDS, "model_name": "daily", "model_version": RUNS[0], "model_type": "lstm"}
    record = lifecycle.register({**fields, "status": "validated"}, ANN).record
    stop = Stop()
    monkeypatch.setattr(lifecycle_module, "moved", stop.after(lifecycle_module.moved))

    def remove() -> None:
        if command is None:
            registry.run_roots.clean_up(registry.run_roots.plan_cleanup(root, 2))
            return
        which = [RUNS[0]] if command == "delete" else ["--keep", "2"]
        subprocess.run(
            [sys.executable, "-m", "mm_core", "versions", command, *which, "--root", str(root), "--yes"],
            env=environment_with(DATA_DIR=str(settings.data_dir)), timeout=SECONDS, check=False, capture_output=True,
        )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        deploying = pool.submit(lifecycle.move, record, Status.DEPLOYED, ANN, force=True)
        assert stop.reached.wait(SECONDS)
        removing = pool.submit(remove)
        wait_until(lambda: not (root / RUNS[0]).exists())  # in the trash by now
        threading.Event().wait(0.5)  # a removal that does not wait for the deployment is done by then
        assert not removing.done(), "whether the run may go is not known before the deployment ends"
        stop.go_on.set()
        assert deploying.result(SECONDS).status is Status.DEPLOYED
        removing.result(SECONDS)
    assert (root / RUNS[0] / "lstm_model.h5").exists()
    assert list((root / ".trash").iterdir()) == []
