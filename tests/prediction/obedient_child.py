"""The child that predicts, but for certain numbers of rows, at which it misbehaves."""

from __future__ import annotations

import os
import signal
import time
import warnings

from mm_core.child_processes import serve
from mm_core.prediction.child import Answers
from mm_core.prediction.questions import Question, Reply

SLEEP, DIE, GROW, WAIT, FAIL, CUT = 13, 17, 19, 23, 29, 31
"""Numbers of rows, and what happens."""


class Obedient(Answers):
    """Does what the number of rows says."""

    def answer(self, question: Question, block: bytearray) -> tuple[Reply, bytes | memoryview]:
        """Misbehave, or answer as the real one."""
        if question.rows == SLEEP:
            time.sleep(60)
        elif question.rows == DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        elif question.rows == GROW:
            bytearray(8 << 30)
        elif question.rows == WAIT:
            time.sleep(1.0)
        elif question.rows == FAIL:
            raise ZeroDivisionError("so")
        elif question.rows == CUT:
            return super().answer(question, block)[0], b"cut"
        return super().answer(question, block)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(Obedient(), RLIMIT_FSIZE=0)
