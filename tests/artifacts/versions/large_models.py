"""Models of any size that are sound: the trees of a small one over and over, counted anew."""

from __future__ import annotations

import re
from pathlib import Path

TREE = re.compile(rb"Tree=\d+\n.*?\n\n\n", re.DOTALL)


def write_large_model(path: Path, text: str, size_bytes: int) -> int:
    """Write a model of at least ``size_bytes`` with the trees of ``text``; return the number of its trees.

    Its trees per iteration divide their number.
    """
    data = text.encode()
    bodies = [match[0].partition(b"\n")[2] for match in TREE.finditer(data)]
    head, _, _ = data.partition(b"tree_sizes=")
    rest = data[data.index(b"end of trees") :]
    rounds = -(-size_bytes // sum(map(len, bodies)))
    count = rounds * len(bodies)
    with path.open("wb") as file:
        file.write(head)
        sizes = (len(bodies[number % len(bodies)]) + len(b"Tree=%d\n" % number) for number in range(count))
        file.write(b"tree_sizes=" + b" ".join(b"%d" % size for size in sizes) + b"\n\n")
        for number in range(count):
            file.write(b"Tree=%d\n" % number + bodies[number % len(bodies)])
        file.write(rest)
    return count
