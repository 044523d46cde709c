#!/usr/bin/env bash
# Stop what ./start.sh runs, and wait for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

pid_file=run/model_manager.pid
pid=$(cat "$pid_file" 2>/dev/null || true)

# A process id alone may be somebody else's by now; an ended process has no command line.
runs() { [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q 'start\.sh'; }

if ! runs; then
    rm -f "$pid_file"
    echo "stop: Model Manager is not running"
    exit 0
fi
kill -TERM "$pid"
for _ in $(seq 200); do
    if ! runs; then
        echo "stop: stopped"
        exit 0
    fi
    sleep 0.1
done
echo "stop: process $pid has not ended after 20 s; look at its log, then end it by hand" >&2
exit 1
