"""From ZeroMQ to WebSockets: bridge.py NAME PORT PUBLISHER_PORT

Lines are b"NUMBER TOPIC …". A client of /logs/TOPIC gets those of a topic, one of /logs/ all; with
?after=NUMBER also the earlier ones since then, so that it can come back to any bridge. The first
message tells the bridge's name.
"""

import asyncio
import logging
import sys
from urllib.parse import parse_qs, urlsplit

import zmq
import zmq.asyncio
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# Not a traceback for each port that was looked at.
logging.getLogger("websockets").setLevel(logging.CRITICAL)
NAME, PORT, PUBLISHER = sys.argv[1:]


class Bridge:
    def __init__(self):
        # All lines since this bridge began; the first one's number.
        self.lines, self.first = [], 0
        self.news = asyncio.Condition()

    async def read(self):
        subscriber = zmq.asyncio.Context.instance().socket(zmq.SUB)
        # Nothing is dropped, however long a burst.
        subscriber.setsockopt(zmq.RCVHWM, 0)
        subscriber.subscribe(b"")
        subscriber.connect(f"tcp://127.0.0.1:{PUBLISHER}")
        while True:
            line = await subscriber.recv()
            if not self.lines:
                self.first = int(line.split(b" ", 1)[0])
            self.lines.append(line)
            async with self.news:
                self.news.notify_all()

    async def handle(self, connection):
        where = urlsplit(connection.request.path)
        topic = where.path.removeprefix("/logs/").encode()
        await connection.send(NAME)
        at = len(self.lines)
        if after := parse_qs(where.query).get("after"):
            at = max(0, int(after[0]) + 1 - self.first)
        try:
            while True:
                while at < len(self.lines):
                    line = self.lines[at]
                    at += 1
                    if not topic or line.split(b" ", 2)[1] == topic:
                        await connection.send(line, text=True)
                async with self.news:
                    await self.news.wait_for(lambda: at < len(self.lines))
        except ConnectionClosed:
            pass


async def main():
    bridge = Bridge()
    reading = asyncio.create_task(bridge.read())
    # No pings of its own: a client that reads slowly would not answer them.
    async with serve(bridge.handle, "127.0.0.1", int(PORT), ping_interval=None, compression=None):
        await reading


asyncio.run(main())
