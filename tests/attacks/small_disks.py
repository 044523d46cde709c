"""A file system of a few megabytes that can be filled, emptied and made read-only; nobody need be root for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SmallDisk:
    """A tmpfs in a mount namespace of its own, reached through the process that keeps it."""

    def __init__(self, keeper: int, mounted: str) -> None:
        self._keeper = keeper
        self._mounted = mounted
        self.path = Path(f"/proc/{keeper}/root{mounted}")

    def fill(self) -> None:
        """Leave not a byte."""
        with open(self.path / "filler", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def empty(self) -> None:
        """Give the space back."""
        (self.path / "filler").unlink()

    def make_read_only(self) -> None:
        """Let every write fail."""
        self._remount("ro")

    def make_writable(self) -> None:
        """Let writes succeed again."""
        self._remount("rw")

    def _remount(self, mode: str) -> None:
        users = [] if os.getuid() == 0 else ["-U", "--preserve-credentials"]
        subprocess.run(
            ["nsenter", "-t", str(self._keeper), *users, "-m", "mount", "-o", f"remount,{mode}", self._mounted],
            check=True,
        )


@contextmanager
def small_disk(below: Path, size: str = "6m") -> Iterator[SmallDisk]:
    """Mount a tmpfs in a namespace of its own, as root or as a user who is root in there; it ends with the context."""
    mounted = below / "disk"
    mounted.mkdir()
    users = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    mount = f"mount -t tmpfs -o size={size},mode=700 tmpfs '{mounted}'"
    keeper = subprocess.Popen(
        ["unshare", *users, "--mount", "sh", "-c", f"{mount} && echo mounted && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "mounted\n"
        yield SmallDisk(keeper.pid, str(mounted))
        keeper.kill()
