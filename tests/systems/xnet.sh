#!/usr/bin/env bash
# golang.org/x/net/websocket, as client and as server. It refuses a missing or null Origin with an
# answer of no stated length, hands out fragments one by one, and answers no Close; the same is seen
# through Wayhold, but for the Closes that it adds. Its client also meets gorilla's server.
# weight: light
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go gorilla
need_go xnet
need_pip websockets==15.0.1
need_apt curl openssl jq
certificate

HTTPS="$(free_port)"
BACKEND="$(free_port)"
GORILLA="$(free_port)"
spawn xnet "$CACHE/xnet" serve "127.0.0.1:$BACKEND"
spawn gorilla "$CACHE/gorilla" serve "127.0.0.1:$GORILLA"
wait_port "$BACKEND"
wait_port "$GORILLA"
wayhold_start <<EOT
[[server]]
listen = "127.0.0.1:$HTTPS ssl"
ssl_certificate = "$WORK/cert.pem"
ssl_certificate_key = "$WORK/key.pem"

[[server.location]]
path = "/ws"
proxy_pass = "http://127.0.0.1:$BACKEND"

[[server.location]]
path = "= /gorilla"
proxy_pass = "http://127.0.0.1:$GORILLA/ws"
EOT

step 60 "$CACHE/xnet" dial "wss://127.0.0.1:$HTTPS/ws" "$WORK/cert.pem" bye
logged '.location == "/ws" and .ws_close_code == 1000' >/dev/null
step 60 "$CACHE/xnet" dial "wss://127.0.0.1:$HTTPS/gorilla" "$WORK/cert.pem" "close 4001 because"
logged '.location == "= /gorilla" and .ws_close_code == 4001' >/dev/null

# observe NAME URL ORIGIN: into $WORK/NAME, without what tells of addresses.
observe() {
    step 60 "$PYTHON" "$HERE/go/observe.py" "$2" "$3" "bye" >"$WORK/$1.all"
    grep -vE '^header (host|origin|x-)' "$WORK/$1.all" >"$WORK/$1"
}

# seen WHAT: what was observed through Wayhold.
seen() { sed -n "s|^$1: ||p" "$WORK/through.all"; }

observe direct "ws://127.0.0.1:$BACKEND/ws" "http://127.0.0.1:$BACKEND"
observe through "wss://127.0.0.1:$HTTPS/ws" "https://127.0.0.1:$HTTPS"

eq "Origin its own" "$(seen "Origin its own")" hello
eq "Origin None" "$(seen "Origin None")" "403 "
eq "X-Forwarded-For" "$(seen "header x-forwarded-for")" 127.0.0.1
eq "what Wayhold changed" "$(diff "$WORK/direct" "$WORK/through" | grep '^[<>]')" \
    "< its answer to 4002: no Close
> its answer to 4002: 4002 (private use)
< hang-up: no Close
> hang-up: 1011 (internal error)"
eq "hang-up in the log" "$(logged '.ws_close_code == 1011' | jq -r .ws_close_cause)" eof
