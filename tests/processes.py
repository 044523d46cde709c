"""What processes that tests start are given: a port, and an environment in which nobody else's settings stand."""

from __future__ import annotations

import os
import socket

from mm_core.settings import PREFIX


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment_with(**settings: str) -> dict[str, str]:
    """Return the environment with these settings, named without their prefix, and no others of ours."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {PREFIX + name: value for name, value in settings.items()}
