#!/usr/bin/env bash
# Run payload server and dashboard in the foreground; SIGTERM or Ctrl-C stops both cleanly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
usage: ./start.sh [--demo] [--web-host HOST] [--web-port PORT]

  --demo            register the demo's five models first
  --web-host HOST   address of payload server and dashboard (MODEL_MANAGER_HTTP_HOST)
  --web-port PORT   port of the payload server (MODEL_MANAGER_HTTP_PORT); the dashboard's is MODEL_MANAGER_DASHBOARD_PORT
  --help            show this
TEXT
}

misused() {
    echo "start: $1" >&2
    usage >&2
    exit 2
}

demo=
pid_file=run/model_manager.pid
while [ $# -gt 0 ]; do
    case $1 in
        --demo) demo=1 ;;
        --help | -h) usage; exit 0 ;;
        --web-host | --web-port)
            [ $# -ge 2 ] || misused "$1 needs a value"
            if [ "$1" = --web-host ]; then export MODEL_MANAGER_HTTP_HOST=$2; else export MODEL_MANAGER_HTTP_PORT=$2; fi
            shift
            ;;
        *) misused "unknown option '$1'" ;;
    esac
    shift
done

# An id alone may be somebody else's by now, of another checkout too; in a container it may well be our own.
programs='[ /](start\.sh|payload_server\.py|streamlit) '
runs_here() {
    local line
    line=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 1
    [[ $1 != "$$" && " $line" =~ $programs ]] || return 1
    [ ! -e "/proc/$1/cwd" ] || [ "/proc/$1/cwd" -ef . ] # where a process runs is told to its user alone
}
for old in $(cat "$pid_file" 2>/dev/null || true); do # of start.sh, and of what it started
    if runs_here "$old"; then
        echo "start: already running as process $old; ./stop.sh stops it" >&2
        exit 1
    fi
done

server=
dashboard=
stopping=
terminate() {
    stopping=1
    for child in $server $dashboard; do
        kill -TERM "$child" 2>/dev/null || true
    done
}
alive() {
    for child in $server $dashboard; do
        if kill -0 "$child" 2>/dev/null; then return 0; fi
    done
    return 1
}
note() { echo "$1" >>"$pid_file" || true; } # for ./stop.sh, should this end without its children
forget() {
    local first=
    if alive; then # the terminal that this writes to may have gone
        terminate
        return
    fi
    { read -r first <"$pid_file"; } 2>/dev/null || true
    if [ "$first" != $$ ]; then return; fi # another start took the file over
    rm -f "$pid_file" || true
    rmdir run 2>/dev/null || true
}
trap forget EXIT
mkdir -p run
echo $$ >"$pid_file"

./setup.sh
.venv/bin/python -c 'import sys
from mm_core.errors import SettingsError
from mm_core.settings import load_settings
try:
    load_settings()
except SettingsError as error:
    print(f"start: {error.detail}", file=sys.stderr)
    raise SystemExit(2)'

host=${MODEL_MANAGER_HTTP_HOST:-0.0.0.0}
if [ "$host" = '*' ]; then host=0.0.0.0; fi # the payload server takes it for every address, Streamlit for a name
port=${MODEL_MANAGER_HTTP_PORT:-6300}
dashboard_port=${MODEL_MANAGER_DASHBOARD_PORT:-6301}
dashboard_options=(--server.address "$host" --server.port "$dashboard_port")
if [ -n "${MODEL_MANAGER_ALLOWED_HOSTS:-}${MODEL_MANAGER_WRITE_TOKEN:-}" ]; then # the names that the payload server answers by
    IFS=', ' read -ra names <<<"${MODEL_MANAGER_ALLOWED_HOSTS:-}"
    read -ra addresses <<<"$(hostname -I 2>/dev/null || true)"
    for name in "${names[@]}" localhost 127.0.0.1 ::1 "$(uname -n)" "$host" "${addresses[@]}"; do
        dashboard_options+=(--server.allowedHosts "${name//[\[\]]/}")
    done
else
    case $host in
        localhost | 127.0.0.1) ;;                            # .streamlit/config.toml allows these two
        *) dashboard_options+=(--server.allowedHosts '*') ;; # the names that other machines use are not known here
    esac
fi
case $host in
    0.0.0.0) shown=127.0.0.1 ;;
    ::) shown='[::1]' ;;
    *:*) shown="[$host]" ;;
    *) shown=$host ;;
esac

if [ -n "$demo" ]; then
    .venv/bin/python -m demo.register_demo
fi

trap terminate TERM INT HUP
.venv/bin/python payload_server.py &
server=$!
note "$server"
.venv/bin/python -m streamlit run app.py "${dashboard_options[@]}" &
dashboard=$!
note "$dashboard"
if [ -n "$stopping" ]; then terminate; fi # a signal may have come between a start and its name

cat <<TEXT
start: payload server  http://$shown:$port/api/health
start: dashboard       http://$shown:$dashboard_port/
start: try             curl -s http://$shown:$port/api/models
start: stop            ./stop.sh, or Ctrl-C here
TEXT

code=0
wait -n "$server" "$dashboard" || code=$?
if [ -n "$stopping" ]; then
    code=0
else
    ended=dashboard
    if kill -0 "$dashboard" 2>/dev/null; then ended="payload server"; fi
    echo "start: the $ended ended by itself with code $code; stopping the other" >&2
    if [ "$code" -eq 0 ]; then code=1; fi
    terminate
fi

for ((tenths = 0; tenths < 150; tenths++)); do # seq would be a child, and end with a group that is told twice
    alive || break
    sleep 0.1 || true
done
if alive; then
    echo "start: killed what had not ended after 15 s" >&2
    kill -KILL "$server" "$dashboard" 2>/dev/null || true
    code=1
fi
wait || true
exit "$code"
