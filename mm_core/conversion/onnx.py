"""A booster becomes ONNX in a child process that may fail, hang or grow without harm."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from mm_core.errors import ConversionFailed, ExtraMissing

MODULES = ("onnxmltools", "onnxruntime", "xgboost")
CHILD = Path(__file__).with_name("onnx_child.py")
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class ConversionLimits:
    """What one conversion may take: wall-clock seconds and bytes of address space."""

    seconds: float = 60.0
    memory_bytes: int = 4 << 30


def onnx_extra_installed() -> bool:
    """Return whether the optional packages are there; none of them is imported."""
    return all(importlib.util.find_spec(name) is not None for name in MODULES)


class OnnxConverter:
    """Converts boosters, two at once; the others wait."""

    def __init__(self, limits: ConversionLimits | None = None) -> None:
        self._limits = limits or ConversionLimits()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def convert(self, model_json: bytes) -> bytes:
        """Return the ONNX bytes of a booster's JSON; they predict as the booster does, which the child has checked.

        Raises `ExtraMissing` where the packages are not installed, `ConversionFailed` with the reason otherwise.
        """
        if not onnx_extra_installed():
            raise ExtraMissing(
                "Conversion to ONNX needs packages that are not installed here. Install them with "
                "'pip install -r requirements-onnx.txt', or ship the model's _model.onnx beside its other files."
            )
        with self._places:
            return self._run_child(model_json)

    def _run_child(self, model_json: bytes) -> bytes:
        limits = self._limits
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-I", str(CHILD), str(limits.memory_bytes), str(int(limits.seconds) + 1)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1", "HOME": os.devnull},
            start_new_session=True,
        )
        try:
            data, errors = process.communicate(model_json, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise ConversionFailed(
                f"The conversion to ONNX took longer than {limits.seconds:g} s and was ended. Convert a smaller model, "
                "or ship its _model.onnx."
            ) from None
        if process.returncode != 0 or not data:
            reason = errors.decode("utf-8", "replace").strip().rpartition("\n")[2][:500]
            raise ConversionFailed(
                f"The conversion to ONNX failed: {reason or f'the child ended with {process.returncode}'}. "
                "Ship the model's _model.onnx beside its other files."
            )
        return data
