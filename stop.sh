#!/usr/bin/env bash
# Stop what ./start.sh runs, and wait for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

pid_file=run/model_manager.pid
pids=()
{ read -r -d '' -a pids <"$pid_file"; } 2>/dev/null || true # of start.sh, and of what it started

# An id alone may be somebody else's by now, of another checkout too; an ended process has no command line.
programs='[ /](start\.sh|payload_server\.py|streamlit) '
runs_here() {
    local line
    line=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 1
    [[ " $line" =~ $programs ]] || return 1
    [ ! -e "/proc/$1/cwd" ] || [ "/proc/$1/cwd" -ef . ] # where a process runs is told to its user alone
}
left() {
    local pid
    for pid in "${pids[@]}"; do
        if runs_here "$pid"; then echo "$pid"; fi
    done
}

running=$(left)
if [ -z "$running" ]; then
    rm -f "$pid_file"
    echo "stop: Model Manager is not running"
    exit 0
fi
if runs_here "${pids[0]}"; then running=${pids[0]}; fi # it stops the others; where it was killed, they go on
kill -TERM $running || [ -z "$(left)" ] # of several ids, one may have ended meanwhile
for _ in $(seq 200); do
    running=$(left)
    if [ -z "$running" ]; then
        if [ "$(head -n 1 "$pid_file" 2>/dev/null || true)" = "${pids[0]}" ]; then rm -f "$pid_file"; fi
        echo "stop: stopped"
        exit 0
    fi
    sleep 0.1
done
echo "stop: process ${running//$'\n'/, } has not ended after 20 s; look at its log, then end it by hand" >&2
exit 1
