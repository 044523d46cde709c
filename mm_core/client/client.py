"""What a bot holds: the server that it asks and the copies that stand in when that is away."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

import httpx

from .asking import MOST_CONNECTIONS, Server
from .copies import Copies
from .manifests import NO_NAMES
from .payloads import Payload, Wanted
from .pulling import Pulls
from .synced import Synced
from .syncing import Syncing
from .versions import DeployedVersion, VersionPayload, WantedDeployment, WantedVersion


class PayloadClient:
    """Pulls payloads from one Model Manager server and keeps the last good copy of each in ``cache_dir``.

    It may be shared by threads, and ``cache_dir`` by processes on one machine: no late answer of one replaces a newer
    copy of another; it asks again then, twice at most. ``attempts`` bounds the requests each time, and ``max_wait``
    each wait in seconds: a server that asks for more patience counts as away. A copy that the server last confirmed
    longer than ``max_age`` ago does not stand in. A body above ``max_bytes`` is refused.
    """

    def __init__(
        self,
        base_url: str,
        cache_dir: str | os.PathLike[str],
        *,
        timeout: httpx.Timeout | None = None,
        attempts: int = 4,
        max_wait: float = 10.0,
        max_age: timedelta | None = None,
        max_bytes: int = 1 << 30,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        timeout = timeout or httpx.Timeout(30.0, connect=2.0)
        self._server = Server(base_url, timeout=timeout, attempts=attempts, max_wait=max_wait, sleep=sleep)
        self._pulls = Pulls(self._server, Copies(Path(cache_dir), self._server.name), max_age, max_bytes)
        self._lock = threading.Lock()
        self._syncing: dict[str, Syncing] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the local copies stay."""
        self._server.close()

    def get(self, model: str, symbol: str, *, group_key: str | None = None) -> Payload:
        """Return the payload of ``symbol`` as the server has it now or, when the server is away, the last good copy.

        ``group_key`` chooses among the groups of a symbol that has several. Raises what the package's docstring draws.
        """
        return self._pulls.get(_wanted(model, symbol, group_key))

    def local(self, model: str, symbol: str, *, group_key: str | None = None) -> Payload:
        """Return the last good copy of a payload without asking the server, for symbols that `sync` keeps current.

        It is `Payload.stale` where the server did not confirm it when this client asked last. Raises `NoLocalCopy`
        where there is no whole copy, or none that ``max_age`` allows.
        """
        return self._pulls.local(_wanted(model, symbol, group_key))

    def version(self, model: str, version: str) -> VersionPayload:
        """Return a version's payload as the server has it now or, when the server is away, the last good copy.

        ``1.1.0`` and ``v1.1.0`` are one version. Raises what `get` raises.
        """
        return self._pulls.get(_wanted_version(model, version))

    def local_version(self, model: str, version: str) -> VersionPayload:
        """Return the last good copy of a version's payload without asking the server; raises as `local`."""
        return self._pulls.local(_wanted_version(model, version))

    def deployment(self, model: str) -> DeployedVersion:
        """Return which version is deployed now or, when the server is away, which one was when it last said so.

        Raises what `get` raises; `PayloadNotFound` where none is deployed.
        """
        if model in NO_NAMES:
            raise ValueError(f"Model {model!r} is no name.")
        return self._pulls.get(WantedDeployment(model))

    def deployed(self, model: str) -> VersionPayload:
        """Return the payload of the version that is deployed: two requests on condition, mostly two times 304.

        When the server is away it is the last good copy of what was deployed when the server last said so; it is
        `VersionPayload.stale` where either of the two could not be confirmed. Raises what `get` raises.
        """
        deployment = self.deployment(model)
        payload = self.version(model, deployment.version)
        if payload.stale or not deployment.stale:
            return payload
        return replace(payload, stale_copy=deployment.stale_copy)

    def sync(self, model: str, *, symbols: Iterable[str] | None = None, workers: int = 8, wait: float = 0.0) -> Synced:
        """Bring the local copies of a model's symbols up to date, and return what became of each.

        One request on condition asks for the manifest; only symbols whose copy is not the one that it names are
        pulled, by at most ``workers`` threads, each as `get` does. ``symbols`` chooses among the model's; None means
        all. Copies of symbols that the model has no more are removed. What keeps one symbol from being pulled is in
        `Synced.failed` and keeps no other back.

        With ``wait``, in seconds, it returns as soon as there is news, or then: the first sync of a client, and one
        without ``wait``, ask at once. Meanwhile it tries again what failed, and a server that was away: first after two
        seconds at most, then ever more rarely, up to ten. It never asks more than once a second, and heeds
        ``Retry-After``.

        When the server is away, `Synced.stale` is true and the copies stand; `ServerAway` is raised where there are
        none. `PayloadNotFound` means that the server has no such model: its copies are removed. `RequestRefused` and
        `BadAnswer` are about the manifest and leave all copies as they are.
        """
        if model in NO_NAMES:
            raise ValueError(f"Model {model!r} is no name.")
        if isinstance(symbols, str):
            raise ValueError(f"symbols is {symbols!r}: give a list of symbols, or None for all of the model.")
        names = None if symbols is None else {symbol.casefold(): symbol for symbol in symbols}
        if names is not None and (wrong := NO_NAMES & names.keys()):
            raise ValueError(f"Symbols {sorted(wrong)} are no names.")
        if not 1 <= workers <= MOST_CONNECTIONS:
            raise ValueError(f"workers is {workers}: between 1 and {MOST_CONNECTIONS} threads can pull.")
        if not 0 <= wait < math.inf:
            raise ValueError(f"wait is {wait}: give seconds, 0 to ask at once.")
        with self._lock:
            syncing = self._syncing.setdefault(model, Syncing(model, self._server, self._pulls))
        return syncing.sync(names, workers, wait)


def _wanted(model: str, symbol: str, group_key: str | None) -> Wanted:
    if {model, symbol} & NO_NAMES:
        raise ValueError(f"Model {model!r} or symbol {symbol!r} is no name.")
    return Wanted(model, symbol, group_key)


def _wanted_version(model: str, version: str) -> WantedVersion:
    if {model, version} & NO_NAMES:
        raise ValueError(f"Model {model!r} or version {version!r} is no name.")
    return WantedVersion(model, version)
