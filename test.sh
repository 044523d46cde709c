#!/usr/bin/env bash
# Set up what the checks need, then run all of them. Arguments go to pytest: ./test.sh tests/store -k lock
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
unset PYTHONDONTWRITEBYTECODE # hundreds of processes are started, and each would compile the same files anew

missing=()
command -v chromium >/dev/null || missing+=(chromium)
if command -v dpkg-query >/dev/null && ! dpkg-query -s fonts-dejavu-core >/dev/null 2>&1; then missing+=(fonts-dejavu-core); fi
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing+=(nginx-light)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "test: install ${missing[*]} first: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "test: installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
./setup.sh requirements.txt requirements-dev.txt requirements-onnx.txt requirements-bench.txt

echo "test: ruff"
.venv/bin/ruff check .
.venv/bin/ruff format --check .

# Beside the tests, which leave the processors idle now and then; what they say comes after the tests.
beside=$(mktemp -d)
(
    ./audit.sh
    echo "test: mypy"
    .venv/bin/mypy
) >"$beside/said" 2>&1 &
checks=$!
trap 'kill "$checks" 2>/dev/null || true; rm -rf "$beside"' EXIT

echo "test: everything"
# Three at once: much of the time is waiting. A file stays on one of them: its tests share what was started for them.
code=0 failed=0
.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$@" || code=$?
wait "$checks" || failed=$?
cat "$beside/said"
exit "$((code ? code : failed))"
