"""What a client sees of a server: observe.py URL OWN_ORIGIN COMMAND

One observation a line, on standard output. The same server, asked directly and through a proxy,
should give the same lines but for those that tell of addresses. The command makes the server close.
"""

import json
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

URL, OWN, COMMAND = sys.argv[1:]


def dial(origin=OWN):
    return connect(URL, origin=origin, compression=None, close_timeout=3, max_size=None)


def tell(what, value):
    print(f"{what}: {value}", flush=True)


def handshake(origin):
    try:
        with dial(origin) as connection:
            connection.send("hello")
            return connection.recv(timeout=5)
    except InvalidStatus as refused:
        return f"{refused.response.status_code} {refused.response.body.decode().strip()}"


def ending(command):
    """How the connection ends after a message."""
    with dial() as connection:
        connection.send(command)
        try:
            while True:
                connection.recv(timeout=10)
        except ConnectionClosed as closed:
            return closed.rcvd or "no Close"


for origin in (OWN, None, "null", "https://other.test"):
    tell(f"Origin {'its own' if origin == OWN else origin}", handshake(origin))

with dial() as connection:
    connection.send(iter(["in ", "four ", "", "frames"]))
    connection.send("next")
    parts = []
    while not parts or parts[-1] != "next":
        parts.append(connection.recv(timeout=5))
    tell("fragmented", "".join(parts[:-1]))
    tell("pong", connection.ping(b"with a payload").wait(5))
    connection.send("headers")
    for name, value in sorted(json.loads(connection.recv(timeout=5)).items()):
        tell(f"header {name}", value)
    connection.close(4002, "done")
    tell("its answer to 4002", connection.protocol.close_rcvd or "no Close")

tell("close", ending(COMMAND))
tell("hang-up", ending("drop"))
