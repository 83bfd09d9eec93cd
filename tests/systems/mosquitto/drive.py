"""MQTT clients of mosquitto through Wayhold: drive.py URL CERT WAYHOLD_PID

Under URL: /mqtt, where clients are pinged; /unpinged without pings, where silence is short; and
/ageing, where no connection lasts.
"""

import os
import pathlib
import queue
import signal
import ssl
import subprocess
import sys
import time

import paho.mqtt.client as paho
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from client import Client

URL, CERT, PID, LOG = sys.argv[1:]
VERSIONS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}
# CONNECT of MQTT 3.1.1 with a keepalive of one second.
CONNECT = b"\x10\x10\0\x04MQTT\x04\x02\0\x01\0\x04mute"


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {str(got)[:200]}, wanted {str(wanted)[:200]}"
    print(f"    {what}: {str(got)[:100]}", flush=True)


def client(name, path="/mqtt", **options):
    return Client(URL + path, CERT, name, **options)


def qualities():
    """300 messages of each quality of service reach all, once and in order."""
    listeners = [client(f"listener {n}", version=v) for n, v in VERSIONS.items()]
    speakers = [client(f"speaker {n}", version=v) for n, v in VERSIONS.items()]
    for listener in listeners:
        listener.subscribe("lines/#", 2)
    for version, speaker in zip(VERSIONS, speakers):
        for qos in (0, 1, 2):
            bodies = [f"{version}/{qos}/{n} with ümlauts".encode() for n in range(300)]
            sent = [speaker.publish(f"lines/{n % 3}", body, qos) for n, body in enumerate(bodies)]
            for listener in listeners:
                heard = listener.hears(len(bodies))
                assert [message.payload for message in heard] == bodies, f"quality {qos}"
                assert {message.qos for message in heard} == {qos}, f"quality {qos}"
                assert listener.heard.empty(), f"more than once, quality {qos}"
            for each in sent:
                each.wait_for_publish(10)
            print(f"    MQTT {version}, quality {qos}: {len(bodies)} heard once, in order, by both")
        # Larger ones take Paho seconds, with nothing in between either.
        large = os.urandom(30_000)
        speaker.publish("lines/large", large, 2)
        same = [listener.hears(1)[0].payload == large for listener in listeners]
        equal(f"MQTT {version}, a large one unchanged", same, [True, True])
    return [*listeners, *speakers]


def retained():
    speaker = client("keeper")
    speaker.publish("kept", b"the last word", retain=True).wait_for_publish(10)
    late = client("late comer")
    late.subscribe("kept", 1)
    (message,) = late.hears(1)
    equal("retained", (message.payload, message.retain), (b"the last word", True))
    speaker.publish("kept", b"", retain=True).wait_for_publish(10)
    # To who is there already it is a message like others.
    equal("cleared", (late.hears(1)[0].payload, late.heard.empty()), (b"", True))
    later = client("later comer")
    later.subscribe("kept", 1)
    time.sleep(0.3)
    equal("retained no more", later.heard.empty(), True)
    for each in (speaker, late, later):
        each.end()


def wills():
    """The broker learns at once of a client that is killed, and by Wayhold's pings of one that is
    frozen, long before its keepalive of 60 s."""
    heir = client("heir")
    heir.subscribe("wills/#", 1)
    for name, number, least, most in (("killed", signal.SIGKILL, 0, 2), ("frozen", signal.SIGSTOP, 2, 10)):
        command = [sys.executable, pathlib.Path(__file__).with_name("client.py")]
        command += [f"{URL}/mqtt", CERT, name, f"wills/{name}"]
        victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            equal(f"the one to be {name}", victim.stdout.readline().strip(), "ready")
            assert heir.heard.empty()
            began = time.monotonic()
            victim.send_signal(number)
            (will,) = heir.hears(1)
            took = time.monotonic() - began
        finally:
            victim.kill()
            victim.wait()
        equal(f"will of the one {name}", will.payload.decode(), f"{name} is gone")
        equal(f"it came after {took:.1f} s", least <= took <= most, True)
    polite = client("polite", will=("wills/polite", "polite is gone", 1))
    polite.end()
    time.sleep(0.5)
    equal("no will of who says good-bye", heir.heard.empty(), True)
    heir.end()


def mute():
    """Who answers Wayhold's pings but says nothing is dropped by the broker in its time."""
    trust = ssl.create_default_context(cafile=CERT)
    with connect(f"{URL}/mqtt", ssl=trust, subprotocols=["mqtt"]) as connection:
        equal("subprotocol", connection.subprotocol, "mqtt")
        connection.send(CONNECT)
        equal("CONNACK", connection.recv(5), b"\x20\x02\0\0")
        began = time.monotonic()
        try:
            connection.recv(12)
        except ConnectionClosed as closed:
            # The broker has no word for it; what the client gets is Wayhold's.
            equal("Close of the mute one", closed.rcvd and closed.rcvd.code, 1011)
        took = time.monotonic() - began
    # It looks every five seconds.
    equal(f"the mute one is dropped after {took:.1f} s", 1 < took < 9, True)


def keepalive():
    """Clients' own keepalive keeps a connection, or else it is ended for its silence."""
    with_it = client("keepalive", "/unpinged", keepalive=1)
    without = client("no keepalive", "/unpinged", keepalive=60)
    began = time.monotonic()
    mute()
    time.sleep(max(0, began + 7 - time.monotonic()))
    equal("connections with a keepalive of 1 s", (with_it.connects, with_it.ends), (1, []))
    equal("ends of the other one", len(without.ends) >= 1, True)
    for each in (with_it, without):
        each.end()


def sessions():
    """Wayhold ends connections again and again; with a session and quality 2 nothing is lost, and
    nothing comes twice."""
    listeners = [
        client(f"sleeper {n}", "/ageing", version=v, session=60) for n, v in VERSIONS.items()
    ]
    speaker = client("steady")
    for listener in listeners:
        listener.subscribe("steady", 2)
    bodies = []
    while min(listener.connects for listener in listeners) < 4 and len(bodies) < 1500:
        bodies.append(f"{len(bodies)}".encode())
        speaker.publish("steady", bodies[-1], 2)
        time.sleep(0.01)
    for listener in listeners:
        heard = [message.payload for message in listener.hears(len(bodies))]
        assert heard == bodies, f"{len(set(heard))} of {len(bodies)}, or out of order"
        assert listener.heard.empty(), "more than once"
        equal("three reconnections or more", listener.connects >= 4, True)
    print(f"    {len(bodies)} heard once, in order, by both all the same")
    for each in (speaker, *listeners):
        each.end()


def reload():
    """What connects afterwards is the new configuration's."""
    os.kill(int(PID), signal.SIGHUP)
    end = time.monotonic() + 5
    while "configuration 2 is running" not in pathlib.Path(LOG).read_text():
        assert time.monotonic() < end, "no reload within 5 s"
        time.sleep(0.05)


def main():
    clients = qualities()
    retained()
    reload()
    wills()
    keepalive()
    sessions()
    speaker = clients[-1]
    speaker.publish("lines/last", b"last", 2)
    equal("heard after a reload", [each.hears(1)[0].payload for each in clients[:2]], [b"last"] * 2)
    equal("connections of each", [each.connects for each in clients], [1, 1, 1, 1])
    for each in clients:
        each.end()


main()
