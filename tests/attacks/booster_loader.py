"""XGBoost in child processes, which may crash."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType


class Loader:
    """Hands models to XGBoost, each in a process of its own; to be used in a ``with`` statement."""

    def __enter__(self) -> Loader:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("booster_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=20)

    def outcome(self, model: bytes) -> str:
        """Return ``well``, ``refused: why``, ``signal N: stage`` or ``late: stage``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(len(model).to_bytes(8, "big") + model)
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return "well" if answer["ended"] == "well" else f"{answer['ended']}: {answer['stage']}"


def is_crash(outcome: str) -> bool:
    """Whether a bot's process would have ended or hung."""
    return outcome.startswith(("signal", "late"))
