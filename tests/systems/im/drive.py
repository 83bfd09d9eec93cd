"""An IM cluster behind Wayhold: drive.py URL REDIS_PORT METRICS_PORT WAYHOLD_PID CONFIG NAME=PORT…

Users with two devices each talk while instances are restarted, killed and added.
"""

import asyncio
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter

from device import Device

URL, REDIS, METRICS, PID, CONFIG = sys.argv[1:6]
PORTS = dict(pair.split("=") for pair in sys.argv[6:])
USERS = [f"user{n}" for n in range(20)]


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"
    print(f"    {what}: {got}", flush=True)


async def until(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.02)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


class Cluster:
    """The instances, and the devices that were ever connected."""

    def __init__(self):
        self.processes, self.devices, self.sent = {}, [], []

    async def start(self, name):
        server = pathlib.Path(__file__).with_name("server.py")
        command = [sys.executable, server, name, PORTS[name], REDIS]
        self.processes[name] = subprocess.Popen(command)
        await until(f"instance {name}", lambda: listens(PORTS[name]))

    async def stop(self, name, number):
        process = self.processes.pop(name)
        process.send_signal(number)
        await until(f"the end of {name}", lambda: process.poll() is not None)

    async def connect(self, user, name):
        device = Device(URL, user, name)
        self.devices.append(device)
        await asyncio.wait_for(device.ready.wait(), 10)

    async def settled(self):
        await until("all devices connected", lambda: all(d.ready.is_set() for d in self.devices))

    def on(self, name):
        return [device for device in self.devices if device.instance == name]

    def counts(self):
        return dict(sorted(Counter(device.instance for device in self.devices).items()))

    async def chat(self, device, stop):
        """One device's talk, to whomever, until it is stopped."""
        chance = random.Random(device.url)
        while not stop.is_set():
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            self.sent.append(await device.send(chance.choice(USERS), "x" * chance.randrange(2000)))


def active(name):
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics") as page:
        text = page.read().decode()
    peer = f'peer="127.0.0.1:{PORTS[name]}"'
    pattern = rf"^wayhold_upstream_peer_tunnels_active{{[^}}]*{re.escape(peer)}[^}}]*}} (\d+)$"
    return sum(int(count) for count in re.findall(pattern, text, re.MULTILINE))


def ends(devices):
    return sorted({end for device in devices for end in device.ends})


def forget_ends(devices):
    for device in devices:
        device.ends.clear()


async def reaches(cluster, one, other):
    """A message from a device reaches another of the same user; in how many seconds."""
    began = time.monotonic()
    message = await one.send(one.user, "to my other device")
    cluster.sent.append(message)
    ids = lambda: [each["id"] for each in other.inbox.values()]
    await until(f"{other.url}", lambda: message["id"] in ids())
    return time.monotonic() - began


async def same_user(cluster):
    """From a device on one instance to the same user's device on the other."""
    for user in USERS:
        one, other = (device for device in cluster.devices if device.user == user)
        assert one.instance != other.instance, f"{user} has both devices on one instance"
        await reaches(cluster, one, other)
    print(f"    {len(USERS)} messages reached the same user's device on the other instance")


async def meanwhile(cluster, one, other, stop):
    """The same, again and again, while a third instance goes and comes back."""
    pairs = [(d, e) for d in cluster.on(one) for e in cluster.on(other) if d.user == e.user]
    slowest, count = 0, 0
    while not stop.is_set():
        slowest = max(slowest, await reaches(cluster, *pairs[count % len(pairs)]))
        count += 1
    print(f"    meanwhile {count} messages from {one} to the same user's device on {other}")
    # Milliseconds on an idle machine; the limit is for a busy one.
    equal("several, each within 5 s", (count >= 5, slowest < 5), (True, True))


async def goes(cluster, name, number, code):
    """An instance goes and comes back; nobody on the others notices."""
    there, others = cluster.on(name), [d for d in cluster.devices if d.instance != name]
    forget_ends(cluster.devices)
    resumed = sum(device.resumed for device in there)
    await cluster.stop(name, number)
    await until("the ends", lambda: all(device.ends for device in there))
    await cluster.settled()
    await asyncio.sleep(1)
    equal(f"how the {len(there)} devices on {name} saw it go", ends(there), [(name, code)])
    equal("once each", {len(device.ends) for device in there}, {1})
    equal(f"ends that the other {len(others)} devices saw", ends(others), [])
    equal("resumed elsewhere", sum(device.resumed for device in there) - resumed, len(there))
    await cluster.start(name)
    # For so long Wayhold leaves alone who refused a connection.
    await asyncio.sleep(1.2)


async def newcomers(cluster, device, name):
    """New devices of all users; they go where the fewest are."""
    for user in USERS:
        await cluster.connect(user, device)
    newest = cluster.devices[-len(USERS) :]
    equal(f"instances of the new devices, {device}", {d.instance for d in newest}, {name})


def third():
    """The configuration gets one more peer, and Wayhold a HUP."""
    text = pathlib.Path(CONFIG).read_text()
    peer = f'"127.0.0.1:{PORTS["b"]}'
    assert peer in text
    text = text.replace(peer, f'"127.0.0.1:{PORTS["c"]} fail_timeout=1s", {peer}')
    pathlib.Path(CONFIG).write_text(text)
    os.kill(int(PID), signal.SIGHUP)


def check_messages(cluster):
    ids = [message["id"] for message in cluster.sent]
    equal("acknowledged once each", len(set(ids)), len(ids))
    sender = lambda message: message["id"].split("/")[0]
    for device in cluster.devices:
        got = [each["id"] for each in device.inbox.values()]
        wanted = {m["id"] for m in cluster.sent if device.user in (m["to"], sender(m))}
        assert set(got) == wanted, f"{device.url}: {len(got)} messages of {len(wanted)}"
        assert len(got) == len(set(got)), f"{device.url}: one message twice"
        order = [tuple(map(int, at.split("-"))) for at in device.inbox]
        assert order == sorted(order), f"{device.url}: out of order"
    total = sum(len(device.inbox) for device in cluster.devices)
    print(
        f"    {len(ids)} messages, {total} deliveries to {len(cluster.devices)} devices, none lost"
    )
    print(f"    delivered again after a resumption: {sum(d.repeated for d in cluster.devices)}")


async def main():
    cluster = Cluster()
    await cluster.start("a")
    await cluster.start("b")
    for user in USERS:
        await cluster.connect(user, "phone")
        await cluster.connect(user, "laptop")
    equal("devices by instance", cluster.counts(), {"a": 20, "b": 20})
    await same_user(cluster)

    stop = asyncio.Event()
    talks = [asyncio.create_task(cluster.chat(device, stop)) for device in cluster.devices]
    await asyncio.sleep(1)
    await goes(cluster, "a", signal.SIGTERM, 1001)
    equal("devices by instance", cluster.counts(), {"b": 40})
    await newcomers(cluster, "tablet", "a")
    equal("devices by instance", cluster.counts(), {"a": 20, "b": 40})
    await goes(cluster, "b", signal.SIGKILL, 1011)
    equal("devices by instance", cluster.counts(), {"a": 60})

    forget_ends(cluster.devices)
    await cluster.start("c")
    third()
    log = pathlib.Path(CONFIG).with_name("wayhold.log")
    await until("a third peer", lambda: "configuration 2" in log.read_text())
    await asyncio.sleep(1)
    for user in USERS:
        await cluster.connect(user, "watch")
    equal("devices by instance", cluster.counts(), {"a": 60, "b": 10, "c": 10})
    equal("ends that a reload made", ends(cluster.devices), [])
    for name, count in cluster.counts().items():
        equal(f"tunnels that Wayhold counts on {name}", active(name), count)

    over = asyncio.Event()
    crossing = asyncio.create_task(meanwhile(cluster, "a", "b", over))
    await goes(cluster, "c", signal.SIGTERM, 1001)
    over.set()
    await crossing

    stop.set()
    await asyncio.gather(*talks)
    await asyncio.sleep(1)
    equal("handshakes that failed", [error for d in cluster.devices for error in d.refused], [])
    check_messages(cluster)
    for device in cluster.devices:
        await device.close()
    for name in list(cluster.processes):
        await cluster.stop(name, signal.SIGTERM)


asyncio.run(main())
