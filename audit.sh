#!/usr/bin/env bash
# Ask the service of known vulnerabilities about every package of the locks. A finding fails, unless audit-ignore.txt
# names it with a reason; where the service cannot be reached, a notice says so and nothing fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

audit=${PIP_AUDIT:-.venv/bin/pip-audit}
longest=${AUDIT_SECONDS:-60}
ignore_file=${AUDIT_IGNORE:-audit-ignore.txt}
# The scanners that pickles are compared with need other versions, in an environment of their own: name their lock to ask.
if [ $# -eq 0 ]; then set -- locks/requirements{,-bench,-demo,-dev,-lock,-onnx}.txt; fi

options=(--require-hashes --disable-pip --progress-spinner off --timeout 5 --format json)
while read -r id reason; do
    case $id in '' | '#'*) continue ;; esac
    if [ -z "$reason" ]; then
        echo "audit: $ignore_file passes over $id without a reason. Write one behind it." >&2
        exit 1
    fi
    options+=(--ignore-vuln "$id")
done <"$ignore_file"
for lock in "$@"; do options+=(--requirement "$lock"); done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
code=0
timeout "$longest" "$audit" "${options[@]}" --output "$work/found.json" >"$work/said.txt" 2>&1 || code=$?
"${AUDIT_PYTHON:-.venv/bin/python}" - "$work" "$code" "$longest" <<'PYTHON'
import json, sys
from pathlib import Path

work, code, longest = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
said = (work / "said.txt").read_text(errors="replace").strip().splitlines() or ["nothing was said"]
if not (work / "found.json").exists():
    away = ("ConnectionError", "ConnectionTimeout", "ConnectTimeout", "ReadTimeout", "ServiceError", "ProxyError")
    if code == 124:
        print(f"audit: notice: not audited, the service did not answer within {longest} s")
    elif any(word in line for line in said for word in away):
        print("audit: notice: not audited, the service of known vulnerabilities cannot be reached from here")
    else:
        raise SystemExit(f"audit: pip-audit failed with code {code}: {said[-1]}")
    raise SystemExit(0)
packages = json.loads((work / "found.json").read_text())["dependencies"]
findings = [(one, vulnerability) for one in packages for vulnerability in one.get("vulns", ())]
for one, vulnerability in findings:
    fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no version yet"
    print(f"audit: {one['name']} {one['version']}: {vulnerability['id']} (fixed in {fixed})", file=sys.stderr)
if findings:
    raise SystemExit("audit: take fixed versions into requirements*.txt and run ./lock.sh, or name the finding with the "
                     "reason why it does not matter in audit-ignore.txt")
if code:
    raise SystemExit(f"audit: pip-audit failed with code {code}: {said[-1]}")
unknown = sorted({one["name"] for one in packages if "skip_reason" in one})
known = len({one["name"] for one in packages}) - len(unknown)
if unknown:
    shown = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
    print(f"audit: notice: the service knows nothing of {len(unknown)} packages, they are not audited ({shown})")
print(f"audit: {known} packages without a known vulnerability")
PYTHON
