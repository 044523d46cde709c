"""The child process that predicts: the only one that holds LightGBM and XGBoost."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from mm_core import strict_json
from mm_core.child_processes import serve
from mm_core.domain.versions import SMALLEST_STD, Normalizer
from mm_core.prediction.boosters import Boosters, Refused
from mm_core.prediction.questions import Question, Reply, Trouble

if TYPE_CHECKING:
    from mm_core.prediction.boosters import Matrix

OUT_OF_MEMORY = ("bad_alloc", "allocate memory", "memory allocation", "failed to map segment")
"""What libraries say that find no memory; most of them raise something else than MemoryError."""


class Answers:
    """Answers questions, whatever becomes of them."""

    def __init__(self) -> None:
        self.boosters = Boosters()

    def __call__(self, document: bytes, block: bytearray) -> tuple[bytes, bytes | memoryview]:
        """Return the reply to a question, and float64 outputs, row by row, beside it."""
        try:
            reply, outputs = self.answer(strict_json.decode_as(document, Question), block)
        except Refused as refused:
            reply, outputs = Reply(trouble=refused.trouble, reason=str(refused)), b""
        except MemoryError:
            reply, outputs = Reply(trouble=Trouble.MEMORY), b""
        except Exception as error:  # noqa: BLE001 - whatever a library raises is this process's answer
            out_of_memory = any(text in str(error).lower() for text in OUT_OF_MEMORY)
            trouble = Trouble.MEMORY if out_of_memory else Trouble.FAILED
            reply, outputs = Reply(trouble=trouble, reason=f"{type(error).__name__}: {str(error)[:300]}"), b""
        if reply.trouble is Trouble.MEMORY:
            self.boosters.forget()
        return strict_json.encode(reply), outputs

    def answer(self, question: Question, block: bytearray) -> tuple[Reply, bytes | memoryview]:
        """Return what the booster is, and its outputs for the numbers in ``block`` where the question has rows."""
        booster = self.boosters.get(question)
        if not question.rows:
            return Reply(booster.facts), b""
        import numpy

        matrix = numpy.frombuffer(block, dtype=numpy.float64).reshape(question.rows, len(booster.facts.feature_names))
        if question.normalizer is not None:
            matrix = normalized(matrix, question.normalizer)
        outputs = booster.outputs(matrix, question.from_margins)
        if outputs.shape[1] != booster.facts.outputs:
            raise Refused(
                Trouble.MODEL,
                f"It gives {outputs.shape[1]} outputs a row and says that it has {booster.facts.outputs}.",
            )
        return Reply(), outputs.data.cast("B")


def normalized(matrix: Matrix, normalizer: Normalizer) -> Matrix:
    """Return z = (x - mean) / std of each column; 0 where std is 0, and a std below `SMALLEST_STD` counts as 1.

    A missing value becomes its column's fill value before, where there are some, and stays missing otherwise.
    """
    import numpy

    mean, std = numpy.array(normalizer.mean), numpy.array(normalizer.std)
    if normalizer.fill_values is not None:
        matrix = numpy.where(numpy.isnan(matrix), numpy.array(normalizer.fill_values), matrix)
    with numpy.errstate(over="ignore", invalid="ignore"):
        scores: Matrix = (matrix - mean) / numpy.where(std < SMALLEST_STD, 1.0, std)
    scores[:, std == 0] = 0.0
    return scores


def main() -> None:
    """Answer until the predictor or the work is gone; nothing is ever written to a file."""
    warnings.simplefilter("ignore")
    serve(Answers(), RLIMIT_FSIZE=0)


if __name__ == "__main__":
    main()
