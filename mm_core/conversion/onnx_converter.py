"""A booster becomes ONNX in a child process that may fail, hang or grow without harm."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from mm_core.child_processes import end_of, environment
from mm_core.errors import ConversionFailed, ExtraMissing

MODULES = ("onnxmltools", "onnx", "onnxruntime", "xgboost")
CHILD = Path(__file__).with_name("onnx_child.py")
AT_ONCE = 2
REMEDY = "Ship the model's _model.onnx beside its other files."
OUT_OF_MEMORY = ("memoryerror", "bad_alloc", "memory allocation", "cannot allocate memory", "failed to map segment")
"""What a process without memory prints at its end, native libraries included."""


@dataclass(frozen=True, slots=True)
class ConversionLimits:
    """What one conversion may take: wall-clock seconds and bytes of address space."""

    seconds: float = 60.0
    memory_bytes: int = 4 << 30

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.memory_bytes <= 0:
            raise ValueError(
                f"Limits of a conversion are positive, not {self.seconds} s and {self.memory_bytes} bytes."
            )


def onnx_extra_installed() -> bool:
    """Return whether the optional packages are there; none of them is imported."""
    return all(importlib.util.find_spec(name) is not None for name in MODULES)


class OnnxConverter:
    """Converts boosters, two at once; the others wait for at most as long as one conversion may take."""

    def __init__(self, limits: ConversionLimits | None = None) -> None:
        self._limits = limits or ConversionLimits()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def convert(self, model_json: bytes) -> bytes:
        """Return the ONNX bytes of a booster's JSON; they predict as the booster does, which the child has checked.

        The input is ``input``, float32 of shape (rows, features), missing values NaN. The last output holds the
        predictions: (rows, 1), for ``binary:logistic`` the probabilities of both classes, (rows, 2), for
        ``multi:softprob`` those of all classes, for ``multi:softmax`` their margins.

        Raises `ExtraMissing` where the packages are not installed, `ConversionFailed` with the reason otherwise.
        """
        if not onnx_extra_installed():
            raise ExtraMissing(
                "Conversion to ONNX needs packages that are not installed here. Install them with "
                "'pip install -r requirements-onnx.txt', or ship the model's _model.onnx beside its other files."
            )
        if not self._places.acquire(timeout=self._limits.seconds):
            raise ConversionFailed(
                f"The conversion to ONNX failed: {AT_ONCE} others were still running after "
                f"{self._limits.seconds:g} s. Ask again in a minute."
            )
        try:
            return self._run_child(model_json)
        finally:
            self._places.release()

    def _run_child(self, model_json: bytes) -> bytes:
        limits = self._limits
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [
                sys.executable,
                *("-s", "-P", str(CHILD)),
                str(limits.memory_bytes),
                str(int(limits.seconds) + 1),
                str(os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
        try:
            data, errors = process.communicate(model_json, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise ConversionFailed(
                f"The conversion to ONNX took longer than {limits.seconds:g} s and was ended. Convert a smaller model, "
                "or ship its _model.onnx."
            ) from None
        finally:
            _end(process)
        if process.returncode != 0 or not data:
            reason = _reason(process.returncode, errors.decode("utf-8", "replace"), limits)
            raise ConversionFailed(f"The conversion to ONNX failed: {reason}. {REMEDY}")
        return data


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill and reap the child's group, whatever stopped its parent from waiting; nothing happens after a normal end."""
    if process.returncode is None:  # not reaped yet, so its number cannot be anybody else's
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _reason(returncode: int, errors: str, limits: ConversionLimits) -> str:
    """Return why the child failed: the document it left on standard error, else what its end tells."""
    too_large = f"it needs more than {limits.memory_bytes >> 20} MiB of memory"
    last = errors.strip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "kind" in answer:
        return too_large if answer["kind"] == "memory" else str(answer.get("reason"))
    if any(text in errors.lower() for text in OUT_OF_MEMORY):
        return too_large
    if returncode == -signal.SIGXCPU:
        return f"it used more than {limits.seconds:g} s of processor time"
    if returncode < 0:
        return end_of(returncode)
    return f"{end_of(returncode)}: {last[:500] or 'it gave no reason'}".rstrip(".")
