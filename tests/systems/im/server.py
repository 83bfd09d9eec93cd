"""One instance of a chat server: server.py NAME PORT REDIS_PORT

Everything that has to outlive it is in Redis: a stream of messages for each user, which is where a
message is before it is acknowledged, and for each device how far it has read. Instances wake each
other by publish and subscribe. So any device may connect to any instance, at any time.

A client says `{"id", "to", "text"}` and gets `{"ack": id}`; both users' devices get `{"at", "from",
"to", "id", "text"}` and answer `{"seen": at}`. The first thing it gets is `{"instance", "resumed"}`.
"""

import asyncio
import collections
import json
import logging
import signal
import sys
from urllib.parse import parse_qs, urlsplit

import redis.asyncio
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# Not a traceback for each port that was looked at.
logging.getLogger("websockets").setLevel(logging.CRITICAL)
NAME, PORT, REDIS_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

# A message that is sent again after a lost acknowledgement is stored once.
STORE = """
if redis.call('SET', 'id:' .. ARGV[1], '1', 'NX') then
    for _, inbox in ipairs(KEYS) do redis.call('XADD', inbox, '*', 'message', ARGV[2]) end
end
for _, inbox in ipairs(KEYS) do redis.call('PUBLISH', 'wake', inbox) end
"""


class Instance:
    def __init__(self):
        self.redis = redis.asyncio.Redis(port=REDIS_PORT, decode_responses=True)
        self.store = self.redis.register_script(STORE)
        # By inbox, what wakes the deliveries to this instance's devices.
        self.wakes = collections.defaultdict(set)

    async def listen(self, pubsub):
        async for event in pubsub.listen():
            for wake in self.wakes.get(event["data"], ()):
                wake.set()

    async def deliver(self, connection, inbox, at, wake):
        while True:
            wake.clear()
            for here, fields in await self.redis.xrange(inbox, f"({at}", "+"):
                await connection.send(json.dumps({"at": here} | json.loads(fields["message"])))
                at = here
            await wake.wait()

    async def receive(self, connection, user, session):
        async for text in connection:
            said = json.loads(text)
            if "seen" in said:
                await self.redis.hset(session, "at", said["seen"])
                continue
            message = {"from": user, "to": said["to"], "id": said["id"], "text": said["text"]}
            # A set: somebody may write to himself.
            inboxes = sorted({f"inbox:{user}", f"inbox:{said['to']}"})
            await self.store(keys=inboxes, args=[said["id"], json.dumps(message)])
            await connection.send(json.dumps({"ack": said["id"]}))

    async def handle(self, connection):
        query = parse_qs(urlsplit(connection.request.path).query)
        user, device = query["user"][0], query["device"][0]
        session, inbox, wake = f"session:{user}:{device}", f"inbox:{user}", asyncio.Event()
        at = await self.redis.hget(session, "at")
        await self.redis.hset(session, "instance", NAME)
        await connection.send(json.dumps({"instance": NAME, "resumed": at is not None}))
        self.wakes[inbox].add(wake)
        delivery = asyncio.create_task(self.deliver(connection, inbox, at or "0-0", wake))
        try:
            await self.receive(connection, user, session)
        except ConnectionClosed:
            pass
        finally:
            delivery.cancel()
            self.wakes[inbox].discard(wake)
            await asyncio.gather(delivery, return_exceptions=True)


async def main():
    instance = Instance()
    pubsub = instance.redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe("wake")
    listening = asyncio.create_task(instance.listen(pubsub))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(instance.handle, "127.0.0.1", PORT) as server:
        await stop.wait()
        server.close()
    listening.cancel()


asyncio.run(main())
