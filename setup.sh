#!/usr/bin/env bash
# Make .venv and install what Model Manager runs on; other requirement files may be named instead. What is installed is
# the file's lock below locks/: every package with its version and digests, and nothing else. A lock that was installed
# by this interpreter and has not changed since is left alone, so a second run is quick. Then all code is compiled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

[ $# -gt 0 ] || set -- requirements.txt
python=${PYTHON:-python3}

refuse() {
    echo "setup: $1" >&2
    exit 1
}

for file in "$@"; do
    [ -f "$file" ] || refuse "there is no file '$file' to install from. Usage: ./setup.sh [REQUIREMENTS_FILE ...]"
    [ -f "locks/$(basename "$file")" ] || refuse "'$file' has no lock below locks/. ./lock.sh makes the locks"
done
if [ ! -x .venv/bin/python ]; then
    command -v "$python" >/dev/null ||
        refuse "'$python' is not installed. Install Python 3.11 or newer, or name it: PYTHON=/path/to/python ./setup.sh"
    "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' ||
        refuse "'$python' is $("$python" --version 2>&1), and 3.11 or newer is needed. Name one: PYTHON=/path/to/python ./setup.sh"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        refuse "'$python' cannot make virtual environments, ensurepip or venv is missing. On Debian: apt-get install python3-venv"
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        refuse "'$python' could not make .venv; its own words are above. Check the space and the rights in $PWD."
    fi
fi

installed=
for file in "$@"; do
    lock=locks/$(basename "$file")
    stamp=.venv/.locked-$(basename "$file")
    digest=$({ .venv/bin/python --version; cat "$lock"; } | cksum)
    if [ "$(cat "$stamp" 2>/dev/null || true)" != "$digest" ]; then
        echo "setup: installing $lock"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --no-compile -r "$lock" ||
            refuse "the packages of $lock could not be installed; pip's own words are above."
        echo "$digest" >"$stamp"
        installed=yes
    fi
done

# Not by pip, which has one processor for it. Packages bring files that no Python compiles: whoever imports one is told.
if [ "$installed" ]; then .venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true; fi

# Ahead of the first start: children of the server write nothing, so each of them would compile the same files anew.
.venv/bin/python -m compileall -q mm_core pages ./*.py ||
    echo "setup: the code could not be compiled ahead, so whatever starts takes longer. Check the rights in $PWD." >&2
