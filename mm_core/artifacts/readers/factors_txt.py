"""``_factors.txt``: one factor name a line, in the order of the model's dimensions."""

from __future__ import annotations

from mm_core.artifacts.readers.names import LONGEST_NAME, is_name, warn_of_look_alikes
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.text import decode_text
from mm_core.errors import UnreadableArtifact

MOST_FACTORS = 100_000


def read_factors(data: bytes, report: FileReport) -> tuple[str, ...]:
    """Return the factor names in file order; blank lines are ignored, a name that stands twice counts once.

    Raises `UnreadableArtifact` for a file that is not UTF-8 text, and above `MOST_FACTORS` names.
    """
    first_line: dict[str, int] = {}
    count = 0
    text = decode_text(data).replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        name = line.strip()
        if not name:
            continue
        count += 1
        if count > MOST_FACTORS:
            raise UnreadableArtifact(
                "too-many-factors",
                f"The file has more than {MOST_FACTORS:,} names.",
                "Check that it is the right file.",
                number,
            )
        if not is_name(name):
            report.warn(
                "bad-factor-name",
                "The line is no factor name (characters that nobody sees, or above "
                f"{LONGEST_NAME} characters): '{name[:60]}'. It is left out.",
                "Write one name a line.",
                number,
            )
        elif name in first_line:
            report.warn(
                "duplicate-factor",
                f"Factor '{name}' stands in line {first_line[name]} already; this line is left out.",
                "Remove the line, or correct the name: the order of lines is the order of the model's dimensions.",
                number,
            )
        else:
            first_line[name] = number
            warn_of_look_alikes("Factor", name, report, number)
    if not first_line:
        report.warn("no-factors", "The file names no factor.", "Write one factor name a line.")
    return tuple(first_line)
