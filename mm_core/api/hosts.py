"""Names that this server is asked by: a page that rebinds its own name to this machine has none of them."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from functools import lru_cache

from mm_core.settings import Settings

ANY = "*"

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::[0-9]{0,5})?")


class AllowedHosts:
    """The names in ``Host`` that are answered: addresses always, as no other site can be called by one of ours."""

    def __init__(self, names: Iterable[str] | None) -> None:
        self._names = None if names is None else frozenset(name.lower().rstrip(".") for name in names)
        self.allows = lru_cache(256)(self._allows)

    def _allows(self, host: str) -> bool:
        """Return whether a ``Host`` header names this server; any does where no names were given."""
        if self._names is None or ANY in self._names:
            return True
        name = host_name(host)
        return name is not None and (name in self._names or _is_address(name))


def allowed_hosts(settings: Settings) -> AllowedHosts:
    """Return the names of the settings and the machine's own, any where neither names nor a write token are set."""
    if settings.allowed_hosts is None and settings.write_token is None:
        return AllowedHosts(None)
    names = {*(settings.allowed_hosts or ()), "localhost", socket.gethostname()}
    bound_to = host_name(settings.http_host)  # '*' is no name, but every address of this machine
    return AllowedHosts(names | {bound_to} if bound_to else names)


@lru_cache(256)
def host_name(host: str) -> str | None:
    """Return the name or address in a ``Host`` header in lower case, without port; None where it holds neither."""
    found = _HOST.fullmatch(host)
    return found["name"].lower().rstrip(".") if found is not None else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
