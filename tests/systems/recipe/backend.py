"""A backend with the Python library websockets, and what all backends here do.

It echoes every message, except these texts: `headers` is answered with what the backend saw of the
request, as JSON; `close CODE REASON` is answered with a Close frame. Answers that are long leave in
many fragments. A line on standard output tells how each connection ended: `closed CODE REASON`.

    backend.py PORT
"""

import asyncio
import json
import logging
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# Not a traceback for each port that was looked at.
logging.getLogger("websockets").setLevel(logging.CRITICAL)
NAMES = ("X-Real-IP", "X-Forwarded-For", "Origin", "User-Agent")


def seen(request):
    headers = {name.lower(): request.headers.get(name, "") for name in NAMES}
    return headers | {
        "backend": "websockets",
        "path": request.path,
        "host": request.headers["Host"],
    }


def fragments(message):
    for at in range(0, len(message), 1000):
        yield message[at : at + 1000]


async def answer(connection, message):
    if message == "headers":
        await connection.send(json.dumps(seen(connection.request)))
    elif isinstance(message, str) and message.startswith("close "):
        _, code, reason = message.split()
        await connection.close(int(code), reason)
    elif len(message) > 1000:
        await connection.send(fragments(message))
    else:
        await connection.send(message)


async def handle(connection):
    try:
        async for message in connection:
            await answer(connection, message)
    except ConnectionClosed:
        pass
    print("closed", connection.close_code, connection.close_reason, flush=True)


async def main():
    async with serve(
        handle,
        "127.0.0.1",
        int(sys.argv[1]),
        max_size=None,
        select_subprotocol=lambda _, offered: offered[-1] if offered else None,
        server_header="websockets",
    ) as server:
        await server.serve_forever()


asyncio.run(main())
