"""Many clients in one loop: they chat in numbered messages, answer pings, and remember how their
tunnels ended."""

import collections
import errno
import heapq
import itertools
import select
import socket
import struct
import time
import zlib

import frames


class Client:
    """One client's tunnel, from connect to end."""

    def __init__(self, number):
        self.number = number
        self.sock, self.data, self.out = None, bytearray(), bytearray()
        self.head, self.opened, self.ended = None, None, None
        self.code, self.end = None, None
        self.sent = self.answered = self.pings = 0
        self.waiting = None
        self.wrong = []
        self.mute = self.paused = False
        # Bytes behind the handshake, when they are only counted.
        self.sink, self.bytes, self.crc = False, 0, 0

    @property
    def is_open(self):
        return self.opened is not None and self.ended is None


class Loop:
    """The loop that all fleets of a case share."""

    def __init__(self):
        self.epoll = select.epoll()
        self.owners = {}
        self.due, self.order = [], itertools.count()

    def at(self, when, action):
        heapq.heappush(self.due, (when, next(self.order), action))

    def run(self, seconds):
        """Lets everything happen for a while."""
        self.until(lambda: False, seconds)

    def until(self, ready, seconds):
        """Until something holds, or the time is over; says whether it came to hold."""
        end = time.monotonic() + seconds
        while not ready():
            now = time.monotonic()
            if now >= end:
                return False
            wait = min(end, self.due[0][0] if self.due else end) - now
            for fd, event in self.epoll.poll(min(max(wait, 0), 0.02)):
                if fd in self.owners:
                    fleet, client = self.owners[fd]
                    fleet.serve(client, event)
            while self.due and self.due[0][0] <= time.monotonic():
                heapq.heappop(self.due)[2]()
        return True

    def close(self):
        for _, client in list(self.owners.values()):
            client.sock.close()
        self.owners.clear()
        self.epoll.close()


class Fleet:
    """Clients that do the same."""

    def __init__(self, loop, port, count, path="/", source="127.0.0.1"):
        self.loop, self.address, self.path, self.source = loop, ("127.0.0.1", port), path, source
        self.clients = [Client(number) for number in range(count)]
        self.period = None
        self.latencies = []

    # Opening

    def connect(self, patience=30, batch=200):
        """Opens all, `batch` at a time; says how many are open."""
        end = time.monotonic() + patience
        for at in range(0, len(self.clients), batch):
            some = self.clients[at : at + batch]
            for client in some:
                self.start(client)
            self.loop.until(lambda: all(c.opened or c.ended for c in some), end - time.monotonic())
        return len(self.open())

    def start(self, client):
        client.sock = sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.source != "127.0.0.1":
            sock.bind((self.source, 0))
        self.loop.owners[sock.fileno()] = (self, client)
        client.out += frames.request(self.path)
        result = sock.connect_ex(self.address)
        self.loop.epoll.register(sock, select.EPOLLIN | select.EPOLLOUT)
        if result not in (0, errno.EINPROGRESS):
            self.finish(client, errno.errorcode[result])

    # Talking

    def say(self, text):
        for client in self.open():
            self.send(client, frames.frame(frames.TEXT, text.encode(), mask=True))

    def chat(self, period):
        """From now on each sends a message every `period` seconds, once the last was answered."""
        self.period = period
        now = time.monotonic()
        for client in self.clients:
            self.loop.at(now + period * client.number / len(self.clients), lambda c=client: self.next(c))

    def quiet(self):
        """No more messages; those under way are still waited for."""
        self.period = None
        return self.loop.until(lambda: not any(c.waiting for c in self.open()), 10)

    def next(self, client):
        if self.period is None or client.ended is not None:
            return
        if client.is_open and client.waiting is None:
            client.waiting = time.monotonic()
            client.sent += 1
            text = b"%d:%d" % (client.number, client.sent)
            self.send(client, frames.frame(frames.TEXT, text, mask=True))
        self.loop.at(time.monotonic() + self.period, lambda: self.next(client))

    def send(self, client, data):
        client.out += data
        self.flush(client)

    # What came of it

    def open(self):
        return [c for c in self.clients if c.is_open]

    def ended(self):
        return [c for c in self.clients if c.ended]

    def codes(self):
        return collections.Counter(c.code or c.end for c in self.ended())

    def wrong(self):
        return [w for c in self.clients for w in c.wrong]

    def messages(self):
        return sum(c.answered for c in self.clients)

    def unanswered(self):
        return sum(c.sent - c.answered for c in self.clients)

    def p99(self):
        """Of the round trips since the last call, in milliseconds."""
        values, self.latencies = sorted(self.latencies), []
        return 1000 * values[len(values) * 99 // 100] if values else float("nan")

    def all_answer(self, patience=5):
        """Whether every open tunnel still carries a message both ways."""
        before = {c.number: c.answered for c in self.open()}
        period, self.period = self.period, None
        for client in self.open():
            if client.waiting is None:
                client.waiting = time.monotonic()
                client.sent += 1
                text = b"%d:%d" % (client.number, client.sent)
                self.send(client, frames.frame(frames.TEXT, text, mask=True))
        done = self.loop.until(
            lambda: all(self.clients[n].answered > a for n, a in before.items()), patience
        )
        self.period = period
        return done

    def reset(self):
        """All vanish at once, by a reset."""
        for client in self.clients:
            if client.sock and client.ended is None:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.finish(client, "left")

    # The loop's side

    def serve(self, client, event):
        try:
            if event & select.EPOLLOUT:
                self.flush(client)
            if event & ~select.EPOLLOUT and not client.paused and client.ended is None:
                self.read(client)
        except OSError as error:
            self.finish(client, "reset" if isinstance(error, ConnectionResetError) else str(error))

    def flush(self, client):
        if client.ended is not None:
            return
        try:
            while client.out:
                del client.out[: client.sock.send(client.out)]
        except BlockingIOError:
            pass
        except OSError:
            # What there is to read tells how it ended.
            client.out.clear()
        self.watch(client)

    def watch(self, client):
        want = 0 if client.paused else select.EPOLLIN
        self.loop.epoll.modify(client.sock, want | (select.EPOLLOUT if client.out else 0))

    def pause(self, paused):
        """Stops reading, or goes on."""
        for client in self.open():
            client.paused = paused
            self.watch(client)

    def read(self, client):
        try:
            chunk = client.sock.recv(1 << 18)
        except BlockingIOError:
            return
        if not chunk:
            self.finish(client, "cut" if client.data else "eof")
            return
        if client.sink:
            client.bytes += len(chunk)
            client.crc = zlib.crc32(chunk, client.crc)
            return
        client.data += chunk
        if client.opened is None:
            self.answer(client)
        while client.opened and (got := frames.take(client.data)):
            self.frame(client, *got)

    def answer(self, client):
        end = client.data.find(b"\r\n\r\n")
        if end < 0:
            return
        client.head = bytes(client.data[:end]).decode()
        del client.data[: end + 4]
        if client.head.startswith("HTTP/1.1 101"):
            client.opened = time.monotonic()
        else:
            self.finish(client, client.head[9:12])

    def frame(self, client, opcode, payload):
        if client.code is not None:
            client.wrong.append("a frame behind the Close")
        if opcode == frames.PING:
            client.pings += 1
            if not client.mute:
                self.send(client, frames.frame(frames.PONG, payload, mask=True))
        elif opcode == frames.CLOSE:
            client.code = int.from_bytes(payload[:2], "big")
            self.send(client, frames.frame(frames.CLOSE, payload[:2], mask=True))
        elif opcode == frames.TEXT:
            expected = b"%d:%d" % (client.number, client.sent)
            if client.waiting is None or payload != expected:
                client.wrong.append(f"{payload!r} instead of {expected!r}")
                return
            self.latencies.append(time.monotonic() - client.waiting)
            client.waiting = None
            client.answered += 1

    def finish(self, client, how):
        client.end, client.ended = how, time.monotonic()
        self.loop.owners.pop(client.sock.fileno(), None)
        client.sock.close()
