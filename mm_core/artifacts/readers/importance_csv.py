"""``feature_importance.csv``: how often, or with how much gain, a version's trees split on each feature."""

from __future__ import annotations

import csv
import io

from mm_core.artifacts.readers.lenient_json import finite_or_none
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.text import decode_text
from mm_core.errors import UnreadableArtifact

COLUMNS = ("feature", "importance")


def read_importance(data: bytes, report: FileReport) -> dict[str, float]:
    """Return importance by feature in file order; a row without a name or a finite number is a finding.

    Raises `UnreadableArtifact` for text that is no CSV and for a header without the columns `COLUMNS`.
    """
    reader = csv.DictReader(io.StringIO(decode_text(data), newline=""), strict=True)
    found: dict[str, float] = {}
    try:
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise UnreadableArtifact(
                "importance-header",
                f"The header lacks {' or '.join(COLUMNS)}.",
                f"Write the header {','.join(COLUMNS)}.",
            )
        for row in reader:
            number = _number(row["importance"])
            if not row["feature"] or number is None or row["feature"] in found:
                report.warn(
                    "bad-row",
                    "The row has no feature, no finite importance, or a feature that stood before; it is left out.",
                    "Write one row a feature.",
                    reader.line_num,
                )
            else:
                found[row["feature"]] = number
    except csv.Error as error:
        raise UnreadableArtifact(
            "bad-csv", f"The text is no CSV ({error}).", "Write the table again, quoted where needed.", reader.line_num
        ) from error
    return found


def _number(text: str | None) -> float | None:
    try:
        return finite_or_none(float(text or ""))
    except ValueError:
        return None
