"""Logs pushed from ZeroMQ through Wayhold: drive.py URL CERT WAYHOLD_PID PUBLISHER_PORT NAME=PORT…"""

import asyncio
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import zmq
import zmq.asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

URL, CERT, PID, PUBLISHER = sys.argv[1:5]
PORTS = dict(pair.split("=") for pair in sys.argv[5:])
TRUST = ssl.create_default_context(cafile=CERT)
BURST = 5000
# Of 8 KiB each: more than all buffers on the way to one who does not read.
DUMP = 2048
# Wayhold's proxy_send_timeout.
SEND_TIMEOUT = 7


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {str(got)[:200]}, wanted {str(wanted)[:200]}"
    print(f"    {what}: {str(got)[:100]}", flush=True)


async def until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.02)


def memory():
    """Wayhold's, in MiB."""
    status = pathlib.Path(f"/proc/{PID}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


class Publisher:
    def __init__(self):
        # XPUB: a PUB that hears of its subscribers.
        self.socket = zmq.asyncio.Context.instance().socket(zmq.XPUB)
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.bind(f"tcp://127.0.0.1:{PUBLISHER}")
        self.lines = []

    async def subscribed(self):
        assert await asyncio.wait_for(self.socket.recv(), 60) == b"\1"

    async def publish(self, topic, count, text="x" * 80):
        for _ in range(count):
            line = f"{len(self.lines)} {topic} {time.monotonic()} {text}"
            self.lines.append(line)
            await self.socket.send(line.encode())

    async def burst(self, count=BURST):
        """In turn, from two programs."""
        for _ in range(count // 100):
            await self.publish("web", 50)
            await self.publish("db", 50)
            await asyncio.sleep(0.005)

    def of(self, topic, first):
        lines = self.lines[first:]
        return [line for line in lines if not topic or line.split(" ", 2)[1] == topic]


class Bridges:
    def __init__(self, publisher):
        self.publisher, self.processes = publisher, {}

    async def start(self, name):
        bridge = pathlib.Path(__file__).with_name("bridge.py")
        self.processes[name] = subprocess.Popen(
            [sys.executable, bridge, name, PORTS[name], PUBLISHER]
        )
        await self.publisher.subscribed()
        await until(f"bridge {name}", lambda: listens(PORTS[name]), 60)

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


class Reader:
    """Reads a topic, and comes back where it was."""

    def __init__(self, topic):
        self.topic, self.lines, self.latency = topic, [], 0
        self.bridge, self.ends, self.ready = None, [], asyncio.Event()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        while True:
            after = f"?after={self.lines[-1].split(' ', 1)[0]}" if self.lines else ""
            async with connect(f"{URL}/{self.topic}{after}", ssl=TRUST) as connection:
                self.bridge = await connection.recv()
                self.ready.set()
                try:
                    while True:
                        self.heard(await connection.recv())
                except ConnectionClosed as closed:
                    self.ready.clear()
                    self.ends.append(closed.rcvd.code if closed.rcvd else 1006)

    def heard(self, line):
        self.lines.append(line)
        self.latency = max(self.latency, time.monotonic() - float(line.split(" ", 3)[2]))


async def check(what, publisher, readers, first=0):
    """All have all lines since that one, once and in order."""
    for reader in readers:
        wanted = publisher.of(reader.topic, first)
        await until(f"{what}: /{reader.topic}", lambda: len(reader.lines) >= len(wanted))
        assert reader.lines == wanted, f"{what}: /{reader.topic}: not the lines that were sent"
    lines, latest = sum(len(reader.lines) for reader in readers), max(r.latency for r in readers)
    print(
        f"    {what}: {lines} lines, once and in order, at {len(readers)} readers; "
        f"the latest after {latest:.2f} s",
        flush=True,
    )
    for reader in readers:
        reader.latency = 0


async def bursts(publisher, readers):
    await publisher.burst()
    await check("a burst", publisher, readers)
    sending = asyncio.create_task(publisher.burst())
    await asyncio.sleep(0.1)
    os.kill(int(PID), signal.SIGHUP)
    await sending
    await check("a burst with a reload", publisher, readers)
    equal("connections that ended", [reader.ends for reader in readers if reader.ends], [])


async def killed(publisher, bridges, readers):
    """A bridge is killed in a burst: its readers come back to the other, and miss nothing."""
    there = [reader for reader in readers if reader.bridge == "a"]
    before = [len(reader.lines) for reader in there]
    sending = asyncio.create_task(publisher.burst(BURST // 2))
    got = lambda: [len(reader.lines) - count for reader, count in zip(there, before)]
    await until("some of it arrived", lambda: min(got()) > 100)
    bridges.kill("a")
    await sending
    await publisher.burst(BURST // 2)
    await check("a burst with a bridge killed", publisher, readers)
    equal("ends of its readers", [reader.ends for reader in there], [[1011]] * len(there))
    # Some may have had all lines on their way already.
    await until("all are back", lambda: all(reader.ready.is_set() for reader in readers))
    equal("where all are", Counter(reader.bridge for reader in readers), {"b": len(readers)})


async def stopped(topic):
    """A reader that stops reading; the little that fits between is soon full."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.setblocking(False)
    where = urlsplit(URL)
    await asyncio.get_running_loop().sock_connect(raw, (where.hostname, where.port))
    connection = await connect(
        f"{URL}/{topic}",
        sock=raw,
        ssl=TRUST,
        server_hostname=where.hostname,
        max_queue=1,
        ping_interval=None,
    )
    await connection.recv()
    return connection


async def read(connection, count):
    lines = []
    try:
        while len(lines) < count:
            lines.append(await asyncio.wait_for(connection.recv(), 10))
    except ConnectionClosed:
        pass
    return lines


async def slow(publisher, readers):
    """One reader that stops for a while and one that stops for good, and the others beside them."""
    first, before = len(publisher.lines), memory()
    everything = Reader("dump")
    await everything.ready.wait()
    pausing, stuck = await stopped("dump"), await stopped("dump")
    began = time.monotonic()
    await publisher.publish("dump", DUMP, "x" * 8192)
    await publisher.burst()
    await check("a burst beside them", publisher, [r for r in readers if r.topic])
    wanted = publisher.of("dump", first)
    equal("who paused has all, in order", await read(pausing, DUMP) == wanted, True)
    await check("all of it beside them", publisher, [everything], first)
    await check("all of everything", publisher, [r for r in readers if not r.topic])
    equal("Wayhold's memory is what it was", memory() - before < 16, True)
    await asyncio.sleep(max(0, began + SEND_TIMEOUT + 4 - time.monotonic()))
    # What was on its way is still there to be read.
    got = await read(stuck, DUMP)
    equal("who stopped has a part", (0 < len(got) < DUMP, got == wanted[: len(got)]), (True, True))
    await pausing.close()


async def main():
    publisher = Publisher()
    bridges = Bridges(publisher)
    try:
        for name in PORTS:
            await bridges.start(name)
        readers = [Reader(topic) for topic in ("", "web", "db", "db") * 2]
        for reader in readers:
            await asyncio.wait_for(reader.ready.wait(), 10)
        spread = Counter(reader.bridge for reader in readers)
        equal("readers by bridge", spread, dict.fromkeys(PORTS, len(readers) // 2))
        await bursts(publisher, readers)
        await killed(publisher, bridges, readers)
        await slow(publisher, readers)
    finally:
        for name in list(bridges.processes):
            bridges.kill(name)


asyncio.run(main())
