#!/usr/bin/env bash
# Go's gorilla/websocket, as client and as server: compression, fragments, control frames, codes; and
# its own check of the Origin against the Host that Wayhold passes on.
# weight: light
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_go gorilla
need_pip websockets==15.0.1
need_apt curl openssl
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

OBSERVE="$HERE/go/observe.py"
"$PYTHON" "$OBSERVE" "ws://127.0.0.1:$BACKEND/ws" "http://127.0.0.1:$BACKEND" >"$WORK/direct"
"$PYTHON" "$OBSERVE" "wss://127.0.0.1:$HTTPS/ws" "https://127.0.0.1:$HTTPS" >"$WORK/through"
