"""What is installed is what was locked: versions, digests, the bill of materials, and the audit's outcomes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parent.parent.parent
SOURCES = sorted(path.name for path in PROJECT.glob("requirements*.txt"))
INSTALLED_BY_TESTS = ("requirements.txt", "requirements-dev.txt", "requirements-onnx.txt", "requirements-bench.txt")
DIGEST = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def _lines(name: str) -> list[str]:
    """Return the requirements of a file and of those that it includes, without reasons."""
    found = []
    for line in (PROJECT / name).read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found += _lines(text.removeprefix("-r "))
        elif text:
            found.append(text)
    return found


def _locked(name: str) -> dict[str, tuple[Requirement, int]]:
    """Return the packages of a lock with how many digests each has."""
    text = (PROJECT / "locks" / name).read_text(encoding="utf-8").replace("\\\n", "")
    found = {}
    for line in text.splitlines():
        if not line.strip().startswith("#") and line.strip():
            requirement = Requirement(line.partition("--hash")[0])
            found[canonicalize_name(requirement.name)] = (requirement, len(DIGEST.findall(line)))
    return found


def _version(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def test_every_requirements_file_has_a_lock_and_every_lock_a_file() -> None:
    assert len(SOURCES) == 7
    assert sorted(path.name for path in (PROJECT / "locks").iterdir()) == SOURCES


@pytest.mark.parametrize("name", SOURCES)
def test_every_requirement_is_in_its_lock_with_the_same_version(name: str) -> None:
    locked = _locked(name)
    for line in _lines(name):
        wanted = Requirement(line)
        assert _version(wanted) == _version(locked[canonicalize_name(wanted.name)][0]), line


@pytest.mark.parametrize("name", SOURCES)
def test_every_locked_package_has_one_version_and_digests(name: str) -> None:
    locked = _locked(name)
    assert locked
    for requirement, digests in locked.values():
        assert _version(requirement)
        assert digests > 0, requirement


@pytest.mark.parametrize("name", SOURCES)
def test_locks_name_no_place_to_install_from(name: str) -> None:
    text = (PROJECT / "locks" / name).read_text(encoding="utf-8")
    assert re.findall(r"index|find-links|://", text) == []


@pytest.mark.parametrize("name", INSTALLED_BY_TESTS)
def test_what_is_installed_here_is_what_is_locked(name: str) -> None:
    for package, (requirement, _) in _locked(name).items():
        if requirement.marker is None or requirement.marker.evaluate():
            assert metadata.version(package) == _version(requirement), package


def test_a_package_has_the_same_version_in_every_lock_that_is_installed_together() -> None:
    versions: dict[str, set[str]] = {}
    for name in INSTALLED_BY_TESTS:
        for package, (requirement, _) in _locked(name).items():
            versions.setdefault(package, set()).add(_version(requirement))
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", INSTALLED_BY_TESTS)
def test_locks_hold_everything_that_their_packages_need(name: str) -> None:
    locked = _locked("requirements.txt") | _locked(name)
    for package, (requirement, _) in locked.items():
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        for line in metadata.requires(package) or ():
            needed = Requirement(line)
            wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if wanted and canonicalize_name(needed.name) not in {"pip", "setuptools"}:
                assert canonicalize_name(needed.name) in locked, f"{package} needs {line}"


def test_the_bill_of_materials_lists_what_is_locked_and_who_needs_it() -> None:
    bill: dict[str, Any] = json.loads((PROJECT / "sbom.cdx.json").read_text(encoding="utf-8"))
    locked = _locked("requirements.txt")
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    found = {canonicalize_name(one["name"]): one for one in bill["components"]}
    assert {name: one["version"] for name, one in found.items()} == {
        name: _version(requirement) for name, (requirement, _) in locked.items()
    }
    for name, (_, digests) in locked.items():
        (files,) = found[name]["externalReferences"]
        assert len(files["hashes"]) == digests
        assert found[name]["purl"] == f"pkg:pypi/{name}@{found[name]['version']}"
    graph = {one["ref"]: set(one["dependsOn"]) for one in bill["dependencies"]}
    direct = {canonicalize_name(Requirement(line).name) for line in _lines("requirements.txt")}
    assert graph["model-manager"] == {found[name]["purl"] for name in direct}
    assert found["protobuf"]["purl"] in graph[found["streamlit"]["purl"]]
    reached, waiting = set(), ["model-manager"]
    while waiting:
        waiting += graph[one] if (one := waiting.pop()) not in reached else ()
        reached.add(one)
    assert reached == graph.keys(), "everything is there for a reason"


def test_the_bill_of_materials_says_nothing_of_when_and_where_it_was_made() -> None:
    text = (PROJECT / "sbom.cdx.json").read_text(encoding="utf-8")
    bill = json.loads(text)
    assert bill.keys().isdisjoint({"serialNumber"})
    assert "timestamp" not in bill["metadata"]
    assert re.findall(r"https?://[^\"]+", text) == ["http://cyclonedx.org/schema/bom-1.6.schema.json"]


def test_the_container_installs_from_the_lock() -> None:
    text = (PROJECT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "COPY locks/requirements.txt" in text


@pytest.mark.parametrize("name", ["deploy/Dockerfile", "setup.sh"])
def test_nothing_is_installed_that_is_not_locked_or_would_be_built_here(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if "pip install" in line]
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(line.split())


FAKE = """\
#!{python}
import json, sys
arguments = sys.argv[1:]
open({noted!r}, "w").write(json.dumps(arguments))
found = {found!r}
if found is not None:
    open(arguments[arguments.index("--output") + 1], "w").write(json.dumps({{"dependencies": found, "fixes": []}}))
print({said!r}, file=sys.stderr)
{more}
raise SystemExit({code})
"""
FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": [], "description": "x"}


class Audit:
    """``audit.sh`` with an executable in the place of pip-audit."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.noted = place / "noted.json"
        shutil.copy2(PROJECT / "audit.sh", place / "audit.sh")
        (place / "locks").mkdir()
        (place / "locks" / "requirements.txt").write_text("a==1.0 --hash=sha256:" + "0" * 64 + "\n")
        (place / "audit-ignore.txt").write_text("# none\n")

    def run(
        self, found: list[dict[str, object]] | None, code: int, said: str = "", more: str = "", seconds: int = 20
    ) -> subprocess.CompletedProcess[str]:
        fake = self.place / "pip-audit"
        facts = {"python": sys.executable, "noted": str(self.noted), "found": found, "said": said, "more": more}
        fake.write_text(FAKE.format(code=code, **facts))
        fake.chmod(0o755)
        named = {"PIP_AUDIT": str(fake), "AUDIT_PYTHON": sys.executable, "AUDIT_SECONDS": str(seconds)}
        return subprocess.run(
            [str(self.place / "audit.sh")], env={**os.environ, **named}, capture_output=True, text=True, timeout=60
        )


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path)


def test_packages_without_a_flaw_pass(audit: Audit) -> None:
    done = audit.run([{"name": "a", "version": "1.0", "vulns": []}], 0, "No known vulnerabilities found")
    assert (done.returncode, done.stdout) == (0, "audit: 1 packages without a known vulnerability\n")
    asked = json.loads(audit.noted.read_text())
    assert {"--require-hashes", "--disable-pip"} <= set(asked)
    assert asked[asked.index("--requirement") + 1] == "locks/requirements.txt"


def test_a_flaw_fails_and_says_what_to_do(audit: Audit) -> None:
    done = audit.run([{"name": "a", "version": "1.0", "vulns": [FLAW]}], 1)
    assert done.returncode == 1
    assert "audit: a 1.0: PYSEC-2026-1 (fixed in 2.0)" in done.stderr
    assert "audit-ignore.txt" in done.stderr


def test_a_flaw_that_is_named_with_a_reason_is_passed_over_and_one_without_a_reason_is_refused(audit: Audit) -> None:
    (audit.place / "audit-ignore.txt").write_text("# known\nPYSEC-2026-1 we never open such a file\n")
    assert audit.run([{"name": "a", "version": "1.0", "vulns": []}], 0).returncode == 0
    asked = json.loads(audit.noted.read_text())
    assert asked[asked.index("--ignore-vuln") + 1] == "PYSEC-2026-1"
    (audit.place / "audit-ignore.txt").write_text("PYSEC-2026-1\n")
    done = audit.run([], 0)
    assert (done.returncode, "without a reason" in done.stderr) == (1, True)


def test_a_service_that_cannot_be_reached_is_one_line_and_no_failure(audit: Audit) -> None:
    done = audit.run(None, 1, "requests.exceptions.ConnectionError: Max retries exceeded")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert "notice: not audited" in done.stdout


def test_a_service_that_does_not_answer_is_given_up(audit: Audit) -> None:
    done = audit.run(None, 0, more="import time; time.sleep(30)", seconds=1)
    assert (done.returncode, "did not answer within 1 s" in done.stdout) == (0, True)


def test_packages_that_the_service_does_not_know_are_not_said_to_be_without_a_flaw(audit: Audit) -> None:
    known = {"name": "a", "version": "1.0", "vulns": []}
    done = audit.run([known, {"name": "b", "skip_reason": "not found"}], 0, "No known vulnerabilities found")
    assert done.returncode == 0
    assert "knows nothing of 1 packages, they are not audited (b)" in done.stdout
    assert "audit: 1 packages without a known vulnerability" in done.stdout


def test_an_audit_that_breaks_in_another_way_fails(audit: Audit) -> None:
    done = audit.run(None, 2, "pip-audit: error: unrecognized arguments: --frobnicate")
    assert (done.returncode, "unrecognized arguments" in done.stderr) == (1, True)
