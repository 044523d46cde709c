#!/usr/bin/env bash
# Stop what ./start.sh runs, and wait for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

pid_file=run/model_manager.pid
pid=$(cat "$pid_file" 2>/dev/null || true)
if [ -z "$pid" ] || ! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'start\.sh'; then
    rm -f "$pid_file"
    echo "stop: Model Manager is not running"
    exit 0
fi
kill -TERM "$pid"
for _ in $(seq 200); do
    if ! kill -0 "$pid" 2>/dev/null; then
        echo "stop: stopped"
        exit 0
    fi
    sleep 0.1
done
echo "stop: process $pid has not ended after 20 s; look at its log, then end it by hand" >&2
exit 1
