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

# A stamp says that what the lock names is installed, as it is written and by this interpreter.
stamped() {
    [ "$(cat ".venv/.locked-$1" 2>/dev/null || true)" = "$(digest "$1")" ]
}
digest() {
    { .venv/bin/python --version && cat "locks/$1"; } 2>/dev/null | cksum
}
# Whatever it installs with is imported. It is not run: where its settings are wrong, a new environment is no better.
has_pip() {
    .venv/bin/python -c "import pip._internal.commands.install" 2>/dev/null
}

missing=()
for file in "$@"; do
    stamped "$(basename "$file")" || missing+=("$file")
done
# Making it may have been interrupted, or another Python may be behind it by now: pip is then missing, or a part of it.
if [ ! -x .venv/bin/python ] || { [ ${#missing[@]} -gt 0 ] && ! has_pip; }; then
    command -v "$python" >/dev/null ||
        refuse "'$python' is not installed. Install Python 3.11 or newer, or name it: PYTHON=/path/to/python ./setup.sh"
    "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' ||
        refuse "'$python' is $("$python" --version 2>&1), and 3.11 or newer is needed. Name one: PYTHON=/path/to/python ./setup.sh"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        refuse "'$python' cannot make virtual environments, ensurepip or venv is missing. On Debian: apt-get install python3-venv"
    [ ! -x .venv/bin/python ] || echo "setup: .venv has no pip that works, so it is made anew"
    rm -rf .venv # of a link, the link alone
    hash -r # where .venv is activated, the one before was found in it
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        refuse "'$python' could not make .venv; its own words are above. Check the space and the rights in $PWD."
    fi
    missing=("$@")
fi

for file in "${missing[@]}"; do
    name=$(basename "$file")
    echo "setup: installing locks/$name"
    # pip replaces one package after the other, so from here on no stamp of another state of the locks is true, however
    # far it comes. Those that fit stay: all locks name the same version of what stands in several.
    for stamp in .venv/.locked-*; do
        stamped "${stamp#.venv/.locked-}" || rm -f "$stamp"
    done
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --no-compile -r "locks/$name" ||
        refuse "the packages of locks/$name could not be installed; pip's own words are above."
    digest "$name" >".venv/.locked-$name"
done

# Not by pip, which has one processor for it. Packages bring files that no Python compiles: whoever imports one is told.
# Their own tests, a fifth of all files, are run by nobody here.
if [ ${#missing[@]} -gt 0 ]; then
    .venv/bin/python -m compileall -q -j 0 -x '/tests/' .venv/lib >/dev/null 2>&1 || true
fi

# Ahead of the first start: children of the server write nothing, so each of them would compile the same files anew.
.venv/bin/python -m compileall -q mm_core pages ./*.py ||
    echo "setup: the code could not be compiled ahead, so whatever starts takes longer. Check the rights in $PWD." >&2
