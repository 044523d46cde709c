"""The payload server as a user who owns nothing: root ignores the modes of files.

Run as a module: code is loaded first, as other users may not read where it lies.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from mm_core.api.server import serve
from mm_core.settings import load_settings

NOBODY = 65534
LOADED_LATER = ("mm_core.artifacts.reading_pool", "msgspec.json", "watchfiles", "waitress.task")
ENCODINGS = ("idna", "utf-8-sig", "utf-16", "latin-1", "unicode_escape")
"""What a server imports when it needs it, as far as these tests let it."""


def main() -> None:
    """Serve with the settings of the environment."""
    for name in LOADED_LATER:
        import_module(name)
    for encoding in ENCODINGS:
        "localhost".encode(encoding)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    sys.exit(serve(load_settings()))


if __name__ == "__main__":
    main()
