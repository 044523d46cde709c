"""Finish a bill of materials from standard input: who needs whom, as the lock says, and nothing of where it was made.

cyclonedx-py makes the components of a lock without their dependencies, and names each by its line and by the address
of a registry. Here components are named by their package URL, and the comments of the lock become the graph.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "locks" / "requirements.txt"
PINNED = re.compile(r"([A-Za-z0-9._-]+)==")
NEEDED_BY = re.compile(r"    # {1,3}(?:via )?([A-Za-z0-9][A-Za-z0-9._-]*|-r \S+)$")
ROOT = "model-manager"


def who_needs(lock: str) -> dict[str, set[str]]:
    """Return for each package of a lock which others need it; ``ROOT`` where it is in the requirements themselves."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines():
        if pinned := PINNED.match(line):
            name = pinned[1]
            found[name] = set()
        elif needed := NEEDED_BY.match(line):
            found[name].add(ROOT if needed[1].startswith("-r ") else needed[1])
    return found


def finished(document: dict[str, Any], lock: str) -> dict[str, Any]:
    """Return the document with its graph."""
    needed_by = who_needs(lock)
    references = {ROOT: ROOT}
    document["metadata"]["component"]["bom-ref"] = ROOT
    for component in document["components"]:
        references[component["name"]] = component["bom-ref"] = component["purl"]
        del component["description"]
        for reference in component["externalReferences"]:
            reference["url"] = component["purl"]
            reference["comment"] = "digests of the files of this version"
    for tool in document["metadata"]["tools"]["components"]:
        del tool["externalReferences"]
    document["components"].sort(key=lambda component: str(component["bom-ref"]))
    document["dependencies"] = [
        {"ref": reference, "dependsOn": sorted(references[each] for each, by in needed_by.items() if name in by)}
        for name, reference in sorted(references.items())
    ]
    return document


if __name__ == "__main__":
    json.dump(finished(json.load(sys.stdin), LOCK.read_text(encoding="utf-8")), sys.stdout, indent=1, sort_keys=True)
    print()
