"""A device of a chat user: it connects, resumes and sends again what was not acknowledged."""

import asyncio
import itertools
import json

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


class Device:
    def __init__(self, url, user, name):
        self.url = f"{url}?user={user}&device={name}"
        self.user, self.name = user, name
        self.instance = None
        self.ready = asyncio.Event()
        # What happened: (instance, code) of each end, refused handshakes, how often it resumed.
        self.ends, self.refused, self.resumed = [], [], 0
        # Messages by where they stand in the user's stream, in the order of their first arrival.
        self.inbox = {}
        self.repeated = 0
        # Acknowledgements that are awaited.
        self.unacknowledged = {}
        self.ids = itertools.count()
        self.stopped = False
        self.task = asyncio.create_task(self.run())

    async def run(self):
        while not self.stopped:
            try:
                async with connect(self.url, close_timeout=5) as self.connection:
                    await self.talk()
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                if not self.stopped:
                    self.ends.append((self.instance, code))
            except Exception as error:
                self.refused.append(repr(error))
                await asyncio.sleep(0.2)
            finally:
                self.ready.clear()

    async def talk(self):
        hello = json.loads(await self.connection.recv())
        self.instance = hello["instance"]
        self.resumed += hello["resumed"]
        # First: what is said from here on is sent at once, what was said before is in the list.
        self.ready.set()
        for message, _ in list(self.unacknowledged.values()):
            await self.connection.send(json.dumps(message))
        # Iteration would hide a Close with 1000 or 1001.
        while True:
            said = json.loads(await self.connection.recv())
            if "ack" in said:
                message, acknowledged = self.unacknowledged.pop(said["ack"], (None, None))
                if acknowledged:
                    acknowledged.set_result(message)
            else:
                await self.arrived(said)

    async def arrived(self, message):
        at = message.pop("at")
        self.repeated += at in self.inbox
        self.inbox.setdefault(at, message)
        await self.connection.send(json.dumps({"seen": at}))

    async def send(self, to, text):
        """Returns when it is acknowledged, however many connections that takes."""
        message = {"id": f"{self.user}/{self.name}/{next(self.ids)}", "to": to, "text": text}
        acknowledged = asyncio.get_running_loop().create_future()
        self.unacknowledged[message["id"]] = (message, acknowledged)
        if self.ready.is_set():
            try:
                await self.connection.send(json.dumps(message))
            except ConnectionClosed:
                pass
        return await asyncio.wait_for(acknowledged, 30)

    async def close(self):
        self.stopped = True
        await self.connection.close()
        await self.task
