#!/usr/bin/env bash
# Write locks/ and sbom.cdx.json anew from requirements*.txt: every package that is installed, with version and digests.
# What is locked stays as it is, unless a requirement asks for another version; --upgrade takes the newest that fit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

options=()
while [ $# -gt 0 ]; do
    case $1 in
        --upgrade) options+=(--upgrade) ;;
        --help | -h) echo "usage: ./lock.sh [--upgrade]"; exit 0 ;;
        *) echo "lock: unknown option '$1'. Usage: ./lock.sh [--upgrade]" >&2; exit 2 ;;
    esac
    shift
done

python=${PYTHON:-python3}
tools=${LOCK_TOOLS:-.venv-lock}
if [ ! -x "$tools/bin/python" ]; then "$python" -m venv "$tools"; fi
if [ -f locks/requirements-lock.txt ]; then
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/requirements-lock.txt
else
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-lock.txt
fi

compile() { # --no-emit-package: pip is there before anything is installed, and is not what is locked
    "$tools/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-package pip --no-emit-package setuptools --custom-compile-command ./lock.sh \
        "${options[@]}" "$@"
}

mkdir -p locks
# The development lock is made first: whatever stands in several of them has one version in all.
for name in requirements-dev requirements requirements-onnx requirements-bench; do
    shared=()
    if [ "$name" != requirements-dev ]; then shared=(--constraints locks/requirements-dev.txt); fi
    compile "${shared[@]}" --output-file "locks/$name.txt" "$name.txt"
done
compile --no-deps --output-file locks/requirements-demo.txt requirements-demo.txt
for name in requirements-lock requirements-scanners; do compile --output-file "locks/$name.txt" "$name.txt"; done

"$tools/bin/cyclonedx-py" requirements --output-reproducible --spec-version 1.6 --pyproject pyproject.toml \
    --output-file - locks/requirements.txt 2>/dev/null | "$tools/bin/python" deploy/finish_sbom.py >sbom.cdx.json
