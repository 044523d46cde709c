"""The registry: every use case behind one value that edges are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mm_core.domain.groups import Group, Scan
from mm_core.domain.lifecycle import Tier
from mm_core.domain.models import RegisteredModel
from mm_core.errors import NormalizerNotFound, VersionUnusable
from mm_core.payloads import NOTHING_SET, NormalizerOverrides
from mm_core.registry.activity import Event, events_since
from mm_core.registry.background import ThreadState
from mm_core.registry.backups import Backups
from mm_core.registry.changes import ChangeLog
from mm_core.registry.configs import FactorConfigs
from mm_core.registry.housekeeping import Cleaner, Housekeeping
from mm_core.registry.known_versions import KnownVersion, known_versions, versions_of
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.lookups import find_group, require_scan
from mm_core.registry.manifests import Manifests
from mm_core.registry.normalizers import Normalizers, effective_normalizer, normalizer_in_files
from mm_core.registry.payloads import Payloads
from mm_core.registry.predictions import Predictions
from mm_core.registry.prepared_bodies import PayloadHandle
from mm_core.registry.published import PublishedPayloads
from mm_core.registry.publishing import Publisher
from mm_core.registry.registration import Registrations
from mm_core.registry.run_roots import RunRoots
from mm_core.registry.verification import Verifier
from mm_core.registry.version_lookups import HeldVersion, only_held, with_shared_models
from mm_core.registry.version_payloads import VersionPayloads
from mm_core.registry.watching import Watcher
from mm_core.store import RegistryStore, StoreView


@dataclass(frozen=True, slots=True)
class Registry:
    """Use cases by subject; `open_registry` makes one, edges hold it."""

    store: RegistryStore
    registrations: Registrations
    configs: FactorConfigs
    normalizers: Normalizers
    lifecycle: Lifecycle
    run_roots: RunRoots
    verifier: Verifier
    payloads: Payloads
    version_payloads: VersionPayloads
    predictions: Predictions
    published: PublishedPayloads
    manifests: Manifests
    publisher: Publisher
    changes: ChangeLog
    watcher: Watcher
    housekeeping: Housekeeping
    backups: Backups
    cleaner: Cleaner

    def view(self) -> StoreView:
        """Return the newest state; what belongs to one answer should come from one view."""
        return self.store.view()

    def threads(self) -> dict[str, ThreadState]:
        """Return how each background thread is that this process was told to run, by name."""
        threads = (self.watcher, self.publisher, self.cleaner)
        return {thread.name: thread.thread_state() for thread in threads if thread.was_started}

    def model(self, name: str) -> tuple[RegisteredModel, Scan]:
        """Return a registration with its scan; raise `ModelNotFound`."""
        return require_scan(self.view(), name)

    def payload(self, name: str, symbol: str, group_key: str | None = None) -> PayloadHandle:
        """Return the payload of a symbol: the published one, else made now; raises like `Payloads.handle`."""
        ready = self.published.find(name, symbol)
        if ready is not None and group_key in (None, ready.group_key):
            return ready
        return self.payloads.handle(name, symbol, group_key)

    def held_version(self, name: str, version: str, caller_tier: Tier | None = None) -> HeldVersion:
        """Return a version that a registered root holds; raise `VersionNotFound` and `VersionUnusable`."""
        view = self.view()
        (held,) = with_shared_models(view, [only_held(view, name, version, caller_tier)])
        return held

    def versions_of(self, name: str, caller_tier: Tier | None = None) -> tuple[KnownVersion, ...]:
        """Return all versions that a name stands for and a caller sees, the newest first; raise `ModelNotFound`."""
        return versions_of(self.view(), name, caller_tier)

    def normalizer_overrides(self, held: HeldVersion) -> NormalizerOverrides:
        """Return what people set over the normalizer of a version; nothing where its files have none that fits."""
        try:
            return effective_normalizer(self.view(), held, normalizer_in_files(held)).overrides
        except (NormalizerNotFound, VersionUnusable):
            return NOTHING_SET

    def versions(self) -> tuple[KnownVersion, ...]:
        """Return every version that registered roots hold or that people registered, as `known_versions`."""
        return known_versions(self.view())

    def events_since(self, moment: datetime) -> tuple[Event, ...]:
        """Return what changed since an aware ``moment``, the newest first."""
        return events_since(self.view(), moment)

    def group(self, name: str, symbol: str, group_key: str | None = None) -> tuple[RegisteredModel, Scan, Group]:
        """Return one group with its registration and scan; raise `ModelNotFound`, `SymbolNotFound`, `GroupNotFound`."""
        model, scan = self.model(name)
        return model, scan, find_group(scan, name, symbol, group_key)
