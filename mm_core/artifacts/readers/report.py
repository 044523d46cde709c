"""Findings of one file, bounded in number."""

from __future__ import annotations

from dataclasses import dataclass, field

from mm_core.domain.findings import Finding, Severity

MOST_OF_ONE_CODE = 20


@dataclass(slots=True)
class FileReport:
    """Collects what is wrong with ``file``; of one code only the first 20 are kept, the rest are counted."""

    file: str
    _findings: list[Finding] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def warn(self, code: str, detail: str, remedy: str, line: int | None = None) -> None:
        """Add a warning."""
        self.add(Severity.WARNING, code, detail, remedy, line)

    def add(self, severity: Severity, code: str, detail: str, remedy: str, line: int | None = None) -> None:
        """Add a finding."""
        self._counts[code] = self._counts.get(code, 0) + 1
        if self._counts[code] <= MOST_OF_ONE_CODE:
            self._findings.append(Finding(severity, code, self.file, detail, remedy, line))

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings, then one line for each code that had more."""
        rest = [
            Finding(
                Severity.WARNING, code, self.file, f"{count - MOST_OF_ONE_CODE} more of '{code}'.", "See the first."
            )
            for code, count in self._counts.items()
            if count > MOST_OF_ONE_CODE
        ]
        return (*self._findings, *rest)
