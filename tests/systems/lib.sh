# shellcheck shell=bash disable=SC2016,SC2034,SC2119,SC2120
# What the scripts here share; each sources it first:
#
#   #!/usr/bin/env bash
#   # What this shows, in a line or two.
#   # weight: light
#   source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#
# It gives a folder of its own that vanishes at the end ($WORK), a Wayhold with a certificate, and
# every process started with `spawn` or `wayhold_start` ended by its id, however the script ends.
# Variables that may be set: WAYHOLD (the binary), SYSTEMS_PORTS (a range, such as 21000-21999),
# SYSTEMS_KEEP (keep $WORK).

set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
CACHE="$ROOT/target/systems"
WAYHOLD="${WAYHOLD:-$ROOT/target/release/wayhold}"
WORK="$(mktemp -d)"
PIDS=()
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$CACHE"

# --- saying and asserting ---------------------------------------------------------------------

say() { printf '    %s\n' "$*"; }

fail() {
    printf '    failed: %s\n' "$*" >&2
    exit 1
}

# eq WHAT GOT WANTED
eq() {
    [[ "$2" == "$3" ]] || fail "$1: got '$2', wanted '$3'"
    say "$1: $2"
}

# matches WHAT GOT REGEX
matches() {
    [[ "$2" =~ $3 ]] || fail "$1: got '$2', wanted a match of '$3'"
    say "$1: $2"
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS <= end)) || return 1
        sleep 0.1
    done
}

# --- processes and ports ----------------------------------------------------------------------

# spawn NAME COMMAND…: in the background, in a process group of its own; its output goes to
# $WORK/NAME.log, its id to $SPAWNED.
spawn() {
    [[ "$BASHPID" == "$$" ]] || fail "$1 would be started by a subshell, and never ended"
    local name="$1"
    shift
    setsid "$@" >>"$WORK/$name.log" 2>&1 </dev/null &
    SPAWNED=$!
    PIDS+=("$SPAWNED")
}

# end PID [SIGNAL]: a process that spawn started, with its group; KILL when it takes over 5 s.
end() {
    kill -"${2:-TERM}" -- "-$1" 2>/dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL -- "-$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# step SECONDS COMMAND…: runs it to its end, in a process group of its own that is ended with it,
# browsers included; fails when it fails.
step() {
    local seconds="$1" status=0
    shift
    setsid timeout "$seconds" "$@" </dev/null &
    local pid=$!
    PIDS+=("$pid")
    wait "$pid" || status=$?
    kill -KILL -- "-$pid" 2>/dev/null || true
    ((status == 0)) || fail "$* (status $status)"
}

cleanup() {
    local status=$? i log
    trap - EXIT INT TERM
    set +e
    for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do
        end "${PIDS[i]}"
    done
    if ((status != 0)); then
        exec >&2
        for log in "$WORK"/*.log; do
            [[ -s "$log" ]] || continue
            printf -- '--- %s\n' "${log##*/}"
            tail -n 20 "$log" | cut -c -300
        done
    fi
    if [[ -n "${SYSTEMS_KEEP:-}" ]]; then
        say "kept: $WORK"
    else
        rm -rf "$WORK"
    fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# free_port: prints a port nobody listens on, each time another one. Below the range that the
# kernel gives to outgoing connections, so that none of them takes it before it is used.
free_port() {
    local range="${SYSTEMS_PORTS:-21000-21999}" port
    local low="${range%-*}" high="${range#*-}"
    for _ in $(seq 200); do
        port=$((low + RANDOM % (high - low + 1)))
        grep -qx "$port" "$WORK/ports" 2>/dev/null && continue
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
        echo "$port" >>"$WORK/ports"
        echo "$port"
        return
    done
    fail "no free port in $range"
}

open_port() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_port PORT [SECONDS]: until somebody listens there.
wait_port() {
    wait_for "${2:-20}" open_port "$1" || fail "nobody listens on port $1"
}

# alone NAME…: runs the script once more, in a network namespace where every port is free and the
# names are 127.0.0.1's. To be called when all is installed: there is no way out of it.
alone() {
    if [[ -z "${SYSTEMS_ALONE:-}" ]]; then
        need_apt iproute2
        rm -rf "$WORK"
        trap - EXIT
        SYSTEMS_ALONE=1 exec unshare --net --mount bash "$0"
    fi
    ip link set lo up
    echo "127.0.0.1 localhost $*" >"$WORK/hosts"
    mount --bind "$WORK/hosts" /etc/hosts
}

# --- installing -------------------------------------------------------------------------------

# One at a time, also among scripts that run at once.
locked() { flock "$CACHE/lock" "$@"; }

# need_apt PACKAGE…
need_apt() {
    local missing=() package
    for package in "$@"; do
        [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing: ${missing[*]}"
    {
        locked apt-get update -qq &&
            locked apt-get install -y -qq --no-install-recommends "${missing[@]}"
    } >"$WORK/apt.log" 2>&1 || fail "apt-get install ${missing[*]}"
}

# need_pip PACKAGE…: into a virtual environment that the scripts share; $PYTHON runs in it.
need_pip() {
    PYTHON="$CACHE/venv/bin/python"
    locked bash -c '
        venv="$1"; shift
        [[ -x "$venv/bin/pip" ]] || python3 -m venv "$venv" || exit 1
        for package in "$@"; do
            grep -qxF -- "$package" "$venv/installed" 2>/dev/null && continue
            "$venv/bin/pip" install -q --disable-pip-version-check "$package" || exit 1
            # Another version of it is gone.
            sed -i "/^${package%%=*}==/d" "$venv/installed" 2>/dev/null
            echo "$package" >>"$venv/installed"
        done' _ "$CACHE/venv" "$@" >"$WORK/pip.log" 2>&1 || fail "pip install $*"
}

# need_npm PACKAGE…: into a folder that the scripts share; `node` and $NODE_BIN find them.
need_npm() {
    export NODE_PATH="$CACHE/node/node_modules"
    NODE_BIN="$NODE_PATH/.bin"
    command -v npm >/dev/null || need_apt nodejs npm
    locked bash -c '
        folder="$1"; shift
        mkdir -p "$folder" && cd "$folder" || exit 1
        [[ -f package.json ]] || echo "{\"private\": true}" >package.json
        for package in "$@"; do
            grep -qxF -- "$package" installed 2>/dev/null && continue
            npm install --silent --no-audit --no-fund "$package" || exit 1
            sed -i "\\|^${package%@*}@|d" installed 2>/dev/null
            echo "$package" >>installed
        done' _ "$CACHE/node" "$@" >"$WORK/npm.log" 2>&1 || fail "npm install $*"
}

# need_go NAME: builds go/NAME.go offline, from Debian's packages, into $CACHE/NAME.
need_go() {
    need_apt golang-go golang-github-gorilla-websocket-dev golang-golang-x-net-dev
    [[ "$CACHE/$1" -nt "$HERE/go/$1.go" ]] && return
    GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$CACHE/gocache" GOFLAGS=-p=2 \
        locked go build -o "$CACHE/$1" "$HERE/go/$1.go" >"$WORK/go.log" 2>&1 || fail "go build $1"
}

# need_chromium: Debian's, and what chromium.py drives it with.
need_chromium() {
    need_apt chromium chromium-driver
    need_pip selenium==4.35.0
    export PYTHONPATH="$HERE"
}

# --- Wayhold ----------------------------------------------------------------------------------

# certificate NAME…: a self-signed one for these names and 127.0.0.1; $WORK/cert.pem and key.pem.
# Python, OpenSSL and Node trust it from then on.
certificate() {
    local names="IP:127.0.0.1,DNS:localhost" name
    for name in "$@"; do
        names+=",DNS:$name"
    done
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj "/CN=${1:-localhost}" -addext "subjectAltName=$names" \
        -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>"$WORK/openssl.log" || fail "openssl req"
    export SSL_CERT_FILE="$WORK/cert.pem" NODE_EXTRA_CA_CERTS="$WORK/cert.pem"
}

METRICS_PORT="$(free_port)"

# wayhold_config: writes $WORK/wayhold.toml from standard input, with a pid file, a JSON access log
# ($WORK/access.log) and without auto_reload, unless it says otherwise, and with a metrics page.
wayhold_config() {
    local text
    text="$(cat)"
    {
        printf 'pid = "%s/wayhold.pid"\nerror_log_level = "notice"\n' "$WORK"
        grep -q '^access_log' <<<"$text" ||
            printf 'access_log = { path = "%s/access.log", format = "json" }\n' "$WORK"
        grep -q '^auto_reload' <<<"$text" || echo 'auto_reload = false'
        printf '%s\n\n[metrics]\nlisten = "127.0.0.1:%s"\n' "$text" "$METRICS_PORT"
    } >"$WORK/wayhold.toml.new"
    mv "$WORK/wayhold.toml.new" "$WORK/wayhold.toml"
}

# wayhold_start: the configuration on standard input; returns when it is ready. $WAYHOLD_PID.
wayhold_start() {
    if [[ ! -x "$WAYHOLD" ]]; then
        say "building: $WAYHOLD"
        (cd "$ROOT" && cargo build --release --locked) >"$WORK/cargo.log" 2>&1 ||
            fail "cargo build --release --locked"
    fi
    [[ -f "$WORK/cert.pem" ]] || certificate
    wayhold_config
    "$WAYHOLD" -t -c "$WORK/wayhold.toml" >"$WORK/check.log" 2>&1 || fail "wayhold -t"
    spawn wayhold "$WAYHOLD" -c "$WORK/wayhold.toml"
    WAYHOLD_PID="$SPAWNED"
    wait_for 10 curl -fsS "http://127.0.0.1:$METRICS_PORT/readyz" || fail "wayhold is not ready"
}

# metric NAME [LABEL…]: the sum over all its series that have these labels, such as 'code="1000"'.
metric() {
    local page
    page="$(curl -fsS "http://127.0.0.1:$METRICS_PORT/metrics")"
    # Counters with labels are not there before they count.
    [[ "$1" == *_total ]] || grep -q "^# TYPE $1 " <<<"$page" || fail "there is no metric $1"
    python3 -c '
import sys
name, *labels = sys.argv[1:]
lines = [line for line in sys.stdin if line.startswith((name + "{", name + " "))]
print(int(sum(float(line.split()[-1]) for line in lines if all(label in line for label in labels))))
' "$@" <<<"$page"
}

# wayhold_reload: of what wayhold_config wrote last; returns when it holds.
wayhold_reload() {
    local before
    before="$(metric wayhold_config_revision)"
    kill -HUP "$WAYHOLD_PID"
    wait_for 10 newer_revision "$before" || fail "wayhold did not reload"
}

newer_revision() { (($(metric wayhold_config_revision) > $1)); }

# logged FILTER [SECONDS]: waits for a line of the access log that the jq filter selects; prints it.
logged() {
    local line
    wait_for "${2:-5}" log_has "$1" || fail "no line in the access log with: $1"
    line="$(jq -c "select($1)" "$WORK/access.log" | tail -n 1)"
    printf '%s\n' "$line"
}

log_has() { jq -e -n "[inputs | select($1)] | length > 0" "$WORK/access.log"; }
