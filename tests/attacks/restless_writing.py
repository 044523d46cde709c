"""A process that goes on replacing files below a root, whole groups at once and files in place, until it is killed.

Run as a module: arguments are the directory that is served, the one that takes its place, and the file to rewrite.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def exchange(one: str, other: str) -> None:
    """Let two names change places in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def main(served: str, spare: str, *files: str) -> None:
    """Exchange two directories, and write each of some files anew in place, in turns and without a pause."""
    for number in itertools.count():
        exchange(served, spare)
        for file in files:
            with open(file, "r+b") as target:
                content = b"".join(b"g%d_%d\n" % (number % 5, at) for at in range(3))
                target.truncate(0)
                target.write(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
