#!/usr/bin/env bash
# Make .venv and install what Model Manager runs on; extra requirement files may be named. A second run is quick.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

requirements=("${@:-requirements.txt}")
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null; then
    echo "setup: '$python' is not installed. Install Python 3.11 or newer, or name it: PYTHON=/path/to/python ./setup.sh" >&2
    exit 1
fi
if ! "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))'; then
    echo "setup: '$python' is $("$python" --version 2>&1); Python 3.11 or newer is needed. Name one: PYTHON=… ./setup.sh" >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "setup: a virtual environment cannot be made. On Debian: apt-get install python3-venv" >&2
        exit 1
    fi
fi

digest=$(cat requirements*.txt | sha256sum | cut -d' ' -f1)
for file in "${requirements[@]}"; do
    stamp=.venv/.installed-$(basename "$file")
    if [ "$(cat "$stamp" 2>/dev/null || true)" != "$digest" ]; then
        echo "setup: installing $file"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$file"
        echo "$digest" >"$stamp"
    fi
done
