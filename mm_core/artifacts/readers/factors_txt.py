"""``_factors.txt``: one factor name a line, in the order of the model's dimensions."""

from __future__ import annotations

from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.text import decode_text

LONGEST_NAME = 512


def read_factors(data: bytes, report: FileReport) -> tuple[str, ...]:
    """Return the factor names in file order; blank lines are ignored, a name that stands twice counts once.

    Raises `UnreadableArtifact` for a file that is not UTF-8 text.
    """
    first_line: dict[str, int] = {}
    text = decode_text(data).replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        name = line.strip()
        if not name:
            continue
        if len(name) > LONGEST_NAME or not name.isprintable():
            report.warn(
                "bad-factor-name",
                f"The line is no factor name (control characters, or above {LONGEST_NAME} characters); it is left out.",
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
    if not first_line:
        report.warn("no-factors", "The file names no factor.", "Write one factor name a line.")
    return tuple(first_line)
