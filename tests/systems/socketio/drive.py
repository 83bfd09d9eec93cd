"""Socket.IO through Wayhold: drive.py CERT WAYHOLD_PID ONE CLUSTER REDIS_PORT NAME=PORT…

ONE and CLUSTER are the URLs of one instance, which is running, and of several with Redis between.
"""

import asyncio
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from clients import JavaScript, Python

CERT, PID, ONE, CLUSTER, REDIS = sys.argv[1:6]
PORTS = dict(pair.split("=") for pair in sys.argv[6:])
TRUST = ssl.create_default_context(cafile=CERT)
WAYS = {"websocket": "websocket", "polling,websocket": "websocket", "polling": "polling"}
# The server's ping_interval and ping_timeout.
PATIENCE = 5


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {str(got)[:200]}, wanted {str(wanted)[:200]}"
    print(f"    {what}: {str(got)[:100]}", flush=True)


async def until(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.02)


async def exercise(client, url, way):
    what = f"{client.name}, {way}"
    await until(f"{what}: its transport", lambda: client.transport() == WAYS[way])
    seen = await client.who()
    equal(f"{what}, the server's word", seen["transport"], WAYS[way])
    equal(f"{what}, X-Forwarded-For", seen["HTTP_X_FORWARDED_FOR"], "127.0.0.1")
    equal(f"{what}, X-Forwarded-Proto", seen["HTTP_X_FORWARDED_PROTO"], "https")
    equal(f"{what}, Host", "https://" + seen["HTTP_HOST"], url)
    text = "text with ümlauts"
    equal(f"{what}, acknowledged", await client.ask("echo", text), text)
    equal(f"{what}, binary attachment unchanged", await client.blob(300_000), True)


async def hear(room, members, others, speaker, count):
    """What one says arrives at all of a room, once and in order, and at nobody else."""
    texts = [f"{speaker.id} {number}" for number in range(count)]
    for text in texts:
        await speaker.ask("say", room, text)
    for client in members:
        heard = [await asyncio.wait_for(client.said.get(), 20) for _ in texts]
        assert heard == texts, f"{client.name} heard {heard[:5]} …"
    await asyncio.sleep(0.2)
    for client in [*members, *others]:
        assert client.said.empty(), f"{client.name} heard {client.said.get_nowait()} too"
    print(
        f"    {speaker.name} says {count} things to {room}: heard once and in order by all "
        f"{len(members)} there, by none of {len(others)} others",
        flush=True,
    )


async def configuration():
    path = "/socket.io/?EIO=4&transport=polling"
    async with aiohttp.request("GET", ONE + path, ssl=TRUST) as answer:
        return answer.headers["X-Configuration"]


async def one_instance():
    """All transports and a reload in the middle, with one instance."""
    clients = []
    for way in WAYS:
        for kind in (Python, JavaScript):
            clients.append(kind())
            await clients[-1].start(ONE, way, CERT)
            await exercise(clients[-1], ONE, way)
    await hear("all", clients, [], clients[0], 100)
    equal("configuration", await configuration(), "first")
    os.kill(int(PID), signal.SIGHUP)
    await asyncio.sleep(0.5)
    equal("configuration", await configuration(), "second")
    # Longer than the server's pings take to be missed.
    await asyncio.sleep(PATIENCE + 1)
    await hear("all", clients, [], clients[1], 50)
    equal("connections of each", {len(client.ids) for client in clients}, {1})
    # A client that ends leaves a poll behind.
    log = [json.loads(line) for line in pathlib.Path(CERT).with_name("access.log").open()]
    equal("requests that failed", [line for line in log if line["status"] >= 400], [])
    for client in clients:
        await client.end()


class Cluster:
    def __init__(self):
        self.processes, self.clients = {}, []

    async def start(self, name):
        server = pathlib.Path(__file__).with_name("server.py")
        command = [sys.executable, server, name, PORTS[name], REDIS]
        self.processes[name] = subprocess.Popen(command)
        await until(f"instance {name}", lambda: self.listens(name), 60)

    @staticmethod
    def listens(name):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(PORTS[name]))) == 0

    async def connect(self, kind):
        self.clients.append(kind())
        await self.clients[-1].start(CLUSTER, "websocket", CERT)
        return self.clients[-1]

    async def places(self):
        """Which instance each client is on."""
        return [(await client.who())["instance"] for client in self.clients]

    async def counts(self):
        return dict(sorted(Counter(await self.places()).items()))

    async def stop(self):
        for client in self.clients:
            await client.end()
        for process in self.processes.values():
            process.kill()
            process.wait()


async def rooms(cluster):
    members, others = cluster.clients[:4], cluster.clients[4:]
    for client in members:
        await client.ask("join", "some")
    await hear("some", members, others, members[1], 50)
    await hear("some", members, others, others[0], 50)
    await members[0].ask("leave", "some")
    await hear("some", members[1:], [members[0], *others], members[0], 20)
    for client in members[1:]:
        await client.ask("leave", "some")


async def questions(cluster):
    """Each asks all that are on other instances: acknowledgements go both ways."""
    placed = list(zip(cluster.clients, await cluster.places()))
    pairs = [(one, other) for one, a in placed for other, b in placed if a != b]
    for n, (one, other) in enumerate(pairs):
        answer = await one.ask("ask", other.id, f"question {n}")
        assert answer == f"{other.name}: question {n}", answer
    equal("questions answered by clients on another instance", len(pairs), 24)


async def restart(cluster, name):
    """An instance is killed: its clients are back on the others by themselves, and nobody else
    notices."""
    places = await cluster.places()
    there = [client for client, place in zip(cluster.clients, places) if place == name]
    others = [client for client in cluster.clients if client not in there]
    began = time.monotonic()
    cluster.processes.pop(name).kill()
    await until("the ends", lambda: all(client.ends for client in there))
    await asyncio.gather(*(client.connected() for client in there))
    took = time.monotonic() - began
    equal("who noticed that an instance was killed", [len(c.ends) for c in there], [1, 1])
    print(f"    {[c.ends[0] for c in there]}, back on another after {took:.1f} s", flush=True)
    assert took < 10
    await hear("all", cluster.clients, [], there[0], 50)
    await hear("all", cluster.clients, [], others[0], 50)
    equal("who else noticed", [client.name for client in others if client.ends], [])
    assert name not in await cluster.counts()
    await cluster.start(name)
    # For so long Wayhold leaves alone who refused a connection.
    await asyncio.sleep(1.2)
    for kind in (Python, JavaScript):
        newest = await cluster.connect(kind)
        equal(f"instance of a new client, {kind.name}", (await newest.who())["instance"], name)
    await hear("all", cluster.clients, [], cluster.clients[-1], 50)


async def polling_needs_one():
    """Nothing is sticky: the next poll of a session comes to an instance that does not know it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TRUST)) as session:
        path = "/socket.io/?EIO=4&transport=polling"
        async with session.get(CLUSTER + path) as answer:
            sid = (await answer.text()).split('"sid":"')[1].split('"')[0]
        async with session.post(f"{CLUSTER}{path}&sid={sid}", data="40") as answer:
            equal("a poll of a session of another instance", answer.status, 400)
            equal("the instance's words", "session" in (await answer.text()).lower(), True)


async def only_pongs():
    """Who answers Wayhold's pings but not the server's is dropped by the server, in its time."""
    path = "/socket.io/?EIO=4&transport=websocket"
    async with connect(CLUSTER.replace("https", "wss") + path, ssl=TRUST) as client:
        await client.recv()
        await client.send("40")
        await client.recv()
        began = time.monotonic()
        try:
            while True:
                await client.recv()
        except ConnectionClosed:
            took = time.monotonic() - began
    equal(f"dropped after {took:.1f} s", PATIENCE - 1.5 < took < PATIENCE + 3, True)


async def several_instances():
    cluster = Cluster()
    try:
        for name in PORTS:
            await cluster.start(name)
        # From an instance that listens Redis' messages may be a moment away.
        await asyncio.sleep(0.5)
        for _ in PORTS:
            await cluster.connect(Python)
            await cluster.connect(JavaScript)
        equal("clients by instance", await cluster.counts(), dict.fromkeys(PORTS, 2))
        await questions(cluster)
        await hear("all", cluster.clients, [], cluster.clients[0], 100)
        await rooms(cluster)
        await polling_needs_one()
        await only_pongs()
        await restart(cluster, "b")
    finally:
        await cluster.stop()


async def main():
    await one_instance()
    await several_instances()


asyncio.run(main())
