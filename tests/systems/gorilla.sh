#!/usr/bin/env bash
# Go's gorilla/websocket, as client and as server: compression, fragments, control frames and codes;
# its own check of the Origin against the Host that Wayhold passes on; and the same answers as
# without Wayhold, but for the Close that a client gets when the server hangs up.
# weight: light
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go gorilla
need_pip websockets==15.0.1
need_apt curl openssl jq
certificate

HTTPS="$(free_port)"
BACKEND="$(free_port)"
spawn gorilla "$CACHE/gorilla" serve "127.0.0.1:$BACKEND"
wait_port "$BACKEND"
wayhold_start <<EOT
[[server]]
listen = "127.0.0.1:$HTTPS ssl"
ssl_certificate = "$WORK/cert.pem"
ssl_certificate_key = "$WORK/key.pem"

[[server.location]]
path = "/ws"
proxy_pass = "http://127.0.0.1:$BACKEND"
EOT

step 60 "$CACHE/gorilla" dial "wss://127.0.0.1:$HTTPS/ws" "$WORK/cert.pem"
logged '.ws_close_code == 4003 and .ws_close_initiator == "upstream" and .ws_clean' >/dev/null
eq "extensions in the log" "$(logged '.ws_close_code == 4003' | jq -r .ws_extensions)" \
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

# observe NAME URL ORIGIN: into $WORK/NAME, without what tells of addresses.
observe() {
    step 60 "$PYTHON" "$HERE/go/observe.py" "$2" "$3" "close 4001 because" >"$WORK/$1.all"
    grep -vE '^header (host|origin|x-)' "$WORK/$1.all" >"$WORK/$1"
}

# seen WHAT: what was observed through Wayhold.
seen() { sed -n "s|^$1: ||p" "$WORK/through.all"; }

observe direct "ws://127.0.0.1:$BACKEND/ws" "http://127.0.0.1:$BACKEND"
observe through "wss://127.0.0.1:$HTTPS/ws" "https://127.0.0.1:$HTTPS"

eq "Origin its own" "$(seen "Origin its own")" hello
eq "Origin https://other.test" "$(seen "Origin https://other.test")" "403 Forbidden"
eq "Host" "$(seen "header host")" "127.0.0.1:$HTTPS"
eq "X-Forwarded-For" "$(seen "header x-forwarded-for")" 127.0.0.1
eq "what Wayhold changed" "$(diff "$WORK/direct" "$WORK/through" | grep '^[<>]')" \
    "< hang-up: no Close
> hang-up: 1011 (internal error)"
eq "hang-up in the log" "$(logged '.ws_close_code == 1011' | jq -r .ws_close_cause)" eof
