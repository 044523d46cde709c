"""Ask pickle scanners about the corpus and the honest fixtures, and print what each flags as a table of Markdown.

    python3 -m venv /tmp/scanners && /tmp/scanners/bin/pip install -r requirements-scanners.txt
    .venv/bin/python tests/attacks/compare_scanners.py --scanners /tmp/scanners/bin/python

Scanners warn before somebody loads a file; Model Manager never loads it. What all of them can be asked is: which
hostile files get past, and which honest ones do not?
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[0] = str(PROJECT)

from tests.attacks.hostile_pickles import BY_HAND, DAMAGED, attacks_of  # noqa: E402
from tests.honest_pickles import honest  # noqa: E402

SCANNERS = ("picklescan", "modelscan", "fickling")
OURS = "Model Manager"
SECONDS = 3
MEMORY = 4 << 30
"""What a scanner may take for a file, of processor time and of address space; beyond, it has failed to answer."""

EVERY = 40
"""Of the damaged fixtures, only so many: scanners take some milliseconds a file."""

RUN = "files that Python runs"
HONEST = "honest fixtures"
ROWS = (RUN, *BY_HAND, *DAMAGED, HONEST)


def main() -> None:
    """Write the files, ask everybody, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--scanners", required=True, help="the Python that has requirements-scanners.txt installed")
    python = arguments.parse_args().scanners
    with tempfile.TemporaryDirectory() as directory:
        rows = _write_files(Path(directory))
        with ThreadPoolExecutor() as asking:
            said = {one: asking.submit(_ask, python, one, directory) for one in SCANNERS}
            said[OURS] = asking.submit(_ask, sys.executable, OURS, directory)
            answers = {one: future.result() for one, future in said.items()}
    _print_table(rows, answers)


def files_asked_about() -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    """Yield every file: what its name ends with, its content, and the rows of the table that count it."""
    for category in (*BY_HAND, *DAMAGED):
        for place, attack in enumerate(attacks_of(category)):
            if category in BY_HAND or not place % EVERY:
                yield "info.pkl", attack.data, (RUN, category) if attack.runs else (category,)
    for kind, content in honest():
        yield kind.rpartition("_")[2], content, (HONEST,)


def _write_files(directory: Path) -> dict[str, list[str]]:
    """Write every file under a number, and return the numbers of each row of the table."""
    rows: dict[str, list[str]] = {row: [] for row in ROWS}
    for number, (ending, content, counted) in enumerate(files_asked_about(), start=1):
        name = f"{number:05d}_{ending}"
        (directory / name).write_bytes(content)
        for row in counted:
            rows[row].append(name)
    return rows


def _ask(python: str, scanner: str, directory: str) -> dict[str, str]:
    done = subprocess.run(
        [python, __file__, scanner, directory],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return dict(json.loads(done.stdout))


def _print_table(rows: dict[str, list[str]], answers: dict[str, dict[str, str]]) -> None:
    print(f"Measured on {datetime.now(UTC):%Y-%m-%d} with", ", ".join(answers[one].pop("version") for one in SCANNERS))
    print(f"\n| category | files | {' | '.join(SCANNERS)} | {OURS} |\n|---|---|---|---|---|---|")
    for row, names in rows.items():
        cells = [_cell(Counter(answers[scanner][name] for name in names)) for scanner in (*SCANNERS, OURS)]
        print(f"| {row} | {len(names)} | {' | '.join(cells)} |")


def _cell(counts: Counter[str]) -> str:
    failures = f" (+{counts['fails']} fail)" if counts["fails"] else ""
    return f"{counts['flags']}{failures}"


def _answer_all(scanner: str, directory: str) -> None:
    """Print what ``scanner`` says of each file: flags, passes, or fails (an error, or no end in time or memory)."""
    flags = _asking(scanner)
    said = {"version": OURS if scanner == OURS else f"{scanner} {metadata.version(scanner)}"}
    for path in sorted(Path(directory).iterdir()):
        said[path.name] = _in_a_fork(lambda path=path: flags(str(path)))  # type: ignore[misc]
    os.write(sys.stdout.fileno(), json.dumps(said).encode())


def _asking(scanner: str) -> Callable[[str], bool]:
    """Return the question that ``scanner`` answers with True when it would warn of a file."""
    if scanner == "picklescan":
        from picklescan.scanner import scan_file_path

        return lambda path: scan_file_path(path).issues_count > 0
    if scanner == "modelscan":
        from modelscan.modelscan import ModelScan

        return lambda path: ModelScan().scan(path)["summary"]["total_issues"] > 0
    if scanner == "fickling":
        from fickling.loader import scan_file

        return lambda path: not scan_file(path).is_safe
    from mm_core.artifacts.pickles import read_info, read_model_json
    from mm_core.errors import UnreadableArtifact

    def refuses(path: str) -> bool:
        try:
            (read_model_json if path.endswith("model.pkl") else read_info)(Path(path).read_bytes())
        except UnreadableArtifact:
            return True
        return False

    return refuses


def _in_a_fork(flags: Callable[[], bool]) -> str:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            os._exit(1 if flags() else 0)
        except BaseException:  # noqa: BLE001 - whatever a scanner raises is its answer
            os._exit(2)
    status = os.waitpid(child, 0)[1]
    return {0: "passes", 1 << 8: "flags"}.get(status, "fails")


if __name__ == "__main__":
    if sys.argv[1:2] and not sys.argv[1].startswith("-"):
        _answer_all(sys.argv[1], sys.argv[2])
    else:
        main()
