"""Errors about the state on disk, and about processes of ours that others wait for."""

from __future__ import annotations

from mm_core.errors.kinds import BadRequest, ModelManagerError


class BackupRefused(BadRequest):
    """A backup cannot be written there, or a file is no whole backup of a state."""

    title = "Backup refused"


class StoreError(ModelManagerError):
    """The state on disk cannot be read or written."""

    title = "Store error"


class StoreCorrupt(StoreError):
    title = "Store file damaged"


class StoreTooNew(StoreError):
    title = "Store file of a newer version"


class StoreFull(StoreError):
    """The disk has no space left for a change; what is stored is served on."""

    status = 507
    title = "Disk full"


class StoreBusy(StoreError):
    """Another process held the write lock for too long."""

    status = 503
    title = "Store busy"


class ConversionFailed(ModelManagerError):
    """The child process that converts a model failed, ran too long or grew too large."""

    status = 502
    title = "Conversion failed"


class ServiceAway(ModelManagerError):
    """A payload server that was asked how it is does not answer."""

    status = 503
    title = "Payload server away"


class ReaderNotStarted(ModelManagerError):
    """The system starts no more processes just now, so nothing is known of the artifacts that were to be read."""

    status = 503
    title = "No process for reading"


class ServiceUnwell(ModelManagerError):
    """A payload server that was asked how it is says that it cannot work."""

    status = 503
    title = "Payload server unwell"
