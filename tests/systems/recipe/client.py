"""A client with the Python library websockets: client.py URL BACKEND

Checks everything that backend.py promises, through whatever stands between.
"""

import json
import random
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

URL, BACKEND = sys.argv[1:]
# Random: nothing that compression would make small.
LARGE = random.Random(1).randbytes(4 << 20)


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {str(got)[:200]}, wanted {str(wanted)[:200]}"
    print(f"    {BACKEND}, {what}: {str(got)[:100]}", flush=True)


def ask(connection, message):
    connection.send(message)
    return connection.recv(timeout=30)


def echoes(connection):
    equal("text", ask(connection, "text with ümlauts"), "text with ümlauts")
    equal("binary", ask(connection, b"\0\1\xff"), b"\0\1\xff")
    equal("empty", ask(connection, ""), "")
    parts = ["in ", "", "four ", "frames"]
    equal("fragmented", ask(connection, iter(parts)), "".join(parts))
    equal("a large one unchanged", ask(connection, LARGE) == LARGE, True)
    pieces = [LARGE[at : at + 65536] for at in range(0, len(LARGE), 65536)]
    equal("a large one in pieces unchanged", ask(connection, iter(pieces)) == LARGE, True)
    equal("pong", connection.ping(b"ours").wait(10), True)


def headers(connection):
    """Forged addresses are not passed on: nobody trusts this client."""
    seen = json.loads(ask(connection, "headers"))
    equal("backend", seen["backend"], BACKEND)
    equal("path", seen["path"], "/ws?room=1")
    equal("Host", seen["host"], "test.test.net")
    equal("X-Real-IP", seen["x-real-ip"], "127.0.0.1")
    equal("X-Forwarded-For", seen["x-forwarded-for"], "127.0.0.1")
    equal("User-Agent", seen["user-agent"], "client/1")


def closes(connection):
    connection.send("close 4001 because")
    try:
        connection.recv(timeout=10)
    except ConnectionClosed as closed:
        equal("closed by the backend", (closed.rcvd.code, closed.rcvd.reason), (4001, "because"))
    else:
        raise AssertionError("a message where a Close was awaited")


def dial():
    return connect(
        URL + "?room=1",
        max_size=None,
        subprotocols=["first", "second"],
        user_agent_header="client/1",
        additional_headers={"X-Forwarded-For": "192.0.2.7", "X-Real-IP": "192.0.2.8"},
    )


with dial() as connection:
    equal("subprotocol", connection.subprotocol in ("first", "second"), True)
    echoes(connection)
    headers(connection)
    closes(connection)

with dial() as connection:
    equal("text again", ask(connection, "again"), "again")
    connection.close(4002, "done")
