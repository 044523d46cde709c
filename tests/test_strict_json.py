"""Typed decoding from several threads: the first use of a type is when msgspec looks at its fields."""

from __future__ import annotations

import subprocess
import sys

from tests.processes import environment_with

FIRST_USES = """
import sys, threading
from dataclasses import make_dataclass
from mm_core import strict_json

sys.setswitchinterval(1e-6)
for number in range(int(sys.argv[1])):
    inner = make_dataclass("Inner", [(f"field_{place}", "int") for place in range(30)])
    inner.__module__ = "__main__"
    outer = make_dataclass("Outer", [("inner", inner), ("others", list[inner])])
    one = {f"field_{place}": place for place in range(30)}
    data = strict_json.encode({"inner": one, "others": [one, one]})
    together, found = threading.Barrier(3), []

    def decode():
        together.wait()
        found.append(strict_json.decode_as(data, outer))
        found.append(strict_json.typed({"inner": one, "others": []}, outer).inner)

    threads = [threading.Thread(target=decode) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == 6 and all(getattr(each, "inner", each).field_29 == 29 for each in found)
"""


def test_threads_that_decode_a_type_for_the_first_time_at_once_do_not_end_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USES, "300"], env=environment_with(), timeout=120, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
