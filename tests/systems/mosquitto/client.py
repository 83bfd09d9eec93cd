"""An MQTT client over WebSockets: Paho's, with what it saw.

client.py URL CERT NAME TOPIC: one with a will, that says nothing until it is killed.
"""

import queue
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Client:
    def __init__(
        self, url, cert, name, *, version=paho.MQTTv311, session=0, keepalive=60, will=None
    ):
        self.heard, self.connects, self.ends = queue.Queue(), 0, []
        self.connected = threading.Event()
        # A session outlives its connections for so many seconds.
        options, lasting = {}, {}
        if version == paho.MQTTv5:
            lasting = {"clean_start": not session, "properties": Properties(PacketTypes.CONNECT)}
            lasting["properties"].SessionExpiryInterval = session
        else:
            options = {"clean_session": not session}
        kind = paho.CallbackAPIVersion.VERSION2
        self.paho = paho.Client(kind, name, protocol=version, transport="websockets", **options)
        where = urlsplit(url)
        self.paho.ws_set_options(path=where.path)
        self.paho.tls_set_context(ssl.create_default_context(cafile=cert))
        self.paho.reconnect_delay_set(1, 1)
        self.paho.on_connect = self.on_connect
        self.paho.on_disconnect = self.on_disconnect
        self.paho.on_message = lambda _, __, message: self.heard.put(message)
        if will:
            self.paho.will_set(*will)
        self.paho.connect(where.hostname, where.port, keepalive, **lasting)
        self.paho.loop_start()
        assert self.connected.wait(10), f"{name} is not connected"

    def on_connect(self, _client, _data, _flags, reason, _properties):
        assert not reason.is_failure, reason
        self.connects += 1
        self.connected.set()

    def on_disconnect(self, _client, _data, _flags, reason, _properties):
        self.connected.clear()
        self.ends.append(str(reason))

    def subscribe(self, topic, qos):
        done = threading.Event()
        self.paho.on_subscribe = lambda *_: done.set()
        # Again, where the connection ended before the answer.
        for _ in range(10):
            self.paho.subscribe(topic, qos)
            if done.wait(2):
                return
        raise AssertionError(f"{topic} is not subscribed")

    def publish(self, topic, body, qos=1, retain=False):
        return self.paho.publish(topic, body, qos, retain)

    def hears(self, count, seconds=20):
        end = time.monotonic() + seconds
        return [self.heard.get(timeout=max(0.01, end - time.monotonic())) for _ in range(count)]

    def end(self):
        self.paho.disconnect()
        self.paho.loop_stop()


if __name__ == "__main__":
    url, cert, name, topic = sys.argv[1:]
    client = Client(url, cert, name, will=(topic, f"{name} is gone", 1))
    print("ready", flush=True)
    time.sleep(60)
