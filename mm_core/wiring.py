"""The one place where parts are put together."""

from __future__ import annotations

from mm_core.artifacts.limits import ReadingLimits
from mm_core.conversion import OnnxConverter
from mm_core.prediction import PredictionLimits, Predictor
from mm_core.registry import Registry
from mm_core.registry.backups import Backups
from mm_core.registry.changes import ChangeLog
from mm_core.registry.configs import FactorConfigs
from mm_core.registry.housekeeping import Cleaner, Housekeeping
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.manifests import Manifests
from mm_core.registry.normalizers import Normalizers
from mm_core.registry.payloads import Payloads
from mm_core.registry.predictions import Predictions
from mm_core.registry.prepared_bodies import PreparedBodies
from mm_core.registry.published import PublishedPayloads
from mm_core.registry.publishing import Publisher
from mm_core.registry.registration import Registrations
from mm_core.registry.run_roots import RunRoots
from mm_core.registry.verification import Verifier
from mm_core.registry.version_payloads import VersionPayloads
from mm_core.registry.version_roots import ScannedRoots
from mm_core.registry.watching import Watcher
from mm_core.settings import Settings
from mm_core.store import BlobDirectory, NoteDirectory, StaticTree, TinyDBStore


def open_registry(settings: Settings) -> Registry:
    """Return a registry on the data directory of ``settings``; nothing is started and nothing is scanned."""
    data_dir = settings.data_dir.absolute()
    store = TinyDBStore(data_dir)
    model_blobs = BlobDirectory(data_dir / "blobs" / "models")
    payload_blobs = BlobDirectory(data_dir / "blobs" / "payloads")
    limits = ReadingLimits(model_bytes=settings.max_model_bytes, file_bytes=settings.max_file_bytes)
    allowed = settings.artifact_roots
    registrations = Registrations(store, model_blobs, limits, allowed)
    bodies = PreparedBodies(payload_blobs)
    payloads = Payloads(
        store, model_blobs, payload_blobs, bodies, OnnxConverter(), limits, allowed, settings.cache_bytes
    )
    version_payloads = VersionPayloads(store, model_blobs, bodies, limits, allowed)
    roots = ScannedRoots()
    most = PredictionLimits(model_bytes=limits.model_bytes)
    notes = NoteDirectory(data_dir / "published")
    published = PublishedPayloads(store, notes, StaticTree(data_dir / "static"), payload_blobs)
    changes = ChangeLog()
    housekeeping = Housekeeping(store, registrations, model_blobs, payload_blobs, published, version_payloads, allowed)
    lifecycle = Lifecycle(store, roots)
    return Registry(
        store=store,
        registrations=registrations,
        configs=FactorConfigs(store),
        normalizers=Normalizers(store),
        lifecycle=lifecycle,
        run_roots=RunRoots(store, lifecycle, registrations),
        verifier=Verifier(store, limits, allowed, Predictor(most)),
        payloads=payloads,
        version_payloads=version_payloads,
        predictions=Predictions(store, roots, version_payloads, most),
        published=published,
        manifests=Manifests(store, published),
        publisher=Publisher(store, payloads, version_payloads, published, notes, changes),
        changes=changes,
        watcher=Watcher(store, registrations, interval=settings.watch_interval, debounce=settings.watch_debounce),
        housekeeping=housekeeping,
        cleaner=Cleaner(housekeeping),
        backups=Backups(store, data_dir),
    )
