"""Any sequence of changes against a model of a few lines: never two deployed, and events lead to the same records."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import replayed
from mm_core.errors import AlreadyExists, BadRequest, IllegalMove, RevisionConflict, VersionNotFound
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import VersionFilter
from mm_core.registry.version_roots import ScannedRoots
from mm_core.store import TinyDBStore

FAMILIES = st.sampled_from(["alpha", "beta"])
VERSIONS = st.sampled_from(["v1.0.0", "v1.1.0", "v2.0.0"])
STATUSES = st.sampled_from(list(Status))
SCORES = st.sampled_from([None, 0.5, 0.25])
LEGAL = {
    "training": {"validated", "deprecated"},
    "validated": {"shadow", "deployed", "deprecated"},
    "shadow": {"deployed", "deprecated"},
    "deployed": {"shadow", "deprecated"},
    "deprecated": {"validated"},
}
ANN = Author("ann", "because")


class LifecycleMachine(RuleBasedStateMachine):
    """Does to a registry on disk what it does to a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="lifecycle-"))
        self.lifecycle = self.opened()
        self.known: dict[str, dict[str, str]] = {"alpha": {}, "beta": {}}
        self.scores: dict[tuple[str, str], float | None] = {}
        self.pinned: set[tuple[str, str]] = set()
        self.stale: dict[tuple[str, str], str] = {}

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.place)

    def opened(self) -> Lifecycle:
        """The registry as another process would open it."""
        return Lifecycle(TinyDBStore(self.place), ScannedRoots())

    def deploy(self, name: str, version: str, demote_to: str = "shadow") -> None:
        """What the model says of a deployment."""
        family = self.known[name]
        for other in [other for other, status in family.items() if status == "deployed" and other != version]:
            family[other] = demote_to
        family[version] = "deployed"

    @rule(name=FAMILIES, version=VERSIONS, status=STATUSES, score=SCORES)
    def register(self, name: str, version: str, status: Status, score: float | None) -> None:
        document = {
            "model_name": name, "model_version": version.removeprefix("v"), "model_type": "lightgbm",
            "objective": "price_prediction", "target_variable": "t", "prediction_horizon": "1d", "status": status,
            "validation_score": score,
        }  # fmt: skip
        try:
            self.lifecycle.register(document, ANN)
        except AlreadyExists:
            assert version in self.known[name]
            return
        assert version not in self.known[name]
        self.scores[name, version] = score
        if status == "deployed":
            self.deploy(name, version)
        else:
            self.known[name][version] = str(status)

    @rule(name=FAMILIES, version=VERSIONS, status=STATUSES, demote_to=st.sampled_from(["shadow", "deprecated"]))
    def move(self, name: str, version: str, status: Status, demote_to: str) -> None:
        before = self.known[name].get(version)
        try:
            record = self.lifecycle.record(name, version)
            self.lifecycle.move(record, status, ANN, demote_to=Status(demote_to))
        except VersionNotFound:
            assert before is None
            return
        except IllegalMove:
            assert before is not None
            assert status != before
            assert status not in LEGAL[before]
            return
        assert before == status or status in LEGAL[before]
        if status == "deployed" and before != "deployed":
            self.deploy(name, version, demote_to)
        else:
            self.known[name][version] = str(status)

    @rule(name=FAMILIES, version=VERSIONS, score=SCORES)
    def update(self, name: str, version: str, score: float | None) -> None:
        if version in self.known[name]:
            record = self.lifecycle.record(name, version)
            changed = self.lifecycle.update(record, {"validation_score": score}, ANN)
            assert (changed.updated_at > record.updated_at) is (score != self.scores[name, version])
            self.scores[name, version] = score
            if changed is not record:
                self.stale[name, version] = record.updated_at

    @rule(name=FAMILIES, version=VERSIONS)
    def change_what_is_stale(self, name: str, version: str) -> None:
        guard = self.stale.get((name, version))
        if guard is not None:
            record = self.lifecycle.record(name, version)
            if record.updated_at != guard:
                try:
                    self.lifecycle.update(record, {"test_score": 0.9}, ANN, guard=guard)
                except RevisionConflict:
                    return
                raise AssertionError("a change on an older record was stored")

    @rule(name=FAMILIES, version=VERSIONS, pinned=st.booleans())
    def pin(self, name: str, version: str, pinned: bool) -> None:
        if version in self.known[name]:
            self.lifecycle.set_pinned(self.lifecycle.record(name, version), pinned, ANN)
            (self.pinned.add if pinned else self.pinned.discard)((name, version))

    @rule(name=FAMILIES, champion=VERSIONS, challenger=VERSIONS)
    def compare(self, name: str, champion: str, challenger: str) -> None:
        first, second = self.known[name].get(champion), self.known[name].get(challenger)
        possible = (
            first in ("validated", "shadow", "deployed")
            and second in ("validated", "shadow", "deployed")
            and champion != challenger
        )
        try:
            test = self.lifecycle.enable_ab_test(name, champion, challenger, ANN)
        except (IllegalMove, VersionNotFound, BadRequest):
            assert not possible
            return
        assert possible
        self.deploy(name, champion)
        self.known[name][challenger] = "shadow"
        assert test.champion.model_version == champion
        assert challenger in {one.model_version for one in test.challengers}

    @invariant()
    def records_are_those_of_the_model_in_every_process(self) -> None:
        for lifecycle in (self.lifecycle, self.opened()):
            for name, versions in self.known.items():
                records = lifecycle.list(VersionFilter(model_name=name))
                assert {one.model_version: str(one.status) for one in records} == versions
                assert {(name, one.model_version) for one in records if one.pinned} == {
                    place for place in self.pinned if place[0] == name
                }
                for one in records:
                    assert one.validation_score == self.scores[name, one.model_version]
                assert sum(one.status is Status.DEPLOYED for one in records) <= 1

    @invariant()
    def events_lead_to_the_records_and_to_what_is_deployed(self) -> None:
        lifecycle = self.opened()
        for name, versions in self.known.items():
            if versions:
                events = lifecycle.history(name)
                records = lifecycle.list(VersionFilter(model_name=name))
                assert replayed(events) == {one.model_version: one for one in records}
                found = lifecycle.deployed_at(name, datetime.now(UTC) + timedelta(seconds=5))
                deployed = [one for one in records if one.status is Status.DEPLOYED]
                assert ([found.record] if found is not None else []) == deployed


LifecycleMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_sequence_of_changes_ends_where_the_model_ends = LifecycleMachine.TestCase
