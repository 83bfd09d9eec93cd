"""An upstream as a process of its own, to be stopped, cut off and killed: it echoes messages, and
obeys those that begin with `!`:

    !half            half a frame, and no more
    !fin             FIN, without a Close; what comes after it is counted
    !rst             a reset
    !close CODE      a Close
    !flood N SIZE    N bytes of payload in frames of SIZE

`GET /stats` tells what it has seen, as JSON; any other plain request gets `plain`.
"""

import collections
import json
import select
import socket
import struct
import sys

import frames

BLOCK = bytes(range(256)) * 256
KEEP = 1 << 20


class Conn:
    def __init__(self, sock):
        self.sock, self.data, self.out = sock, bytearray(), bytearray()
        self.tunnel = self.fin = self.done = False
        # What is left of a flood: bytes, and the size of its frames.
        self.flood, self.size = 0, 0


class Echo:
    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=16384)
        self.listener.setblocking(False)
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.conns = {}
        self.seen = collections.Counter()

    def run(self):
        while True:
            for fd, event in self.epoll.poll():
                if fd == self.listener.fileno():
                    self.accept()
                    continue
                conn = self.conns.get(fd)
                if conn is None:
                    continue
                try:
                    if event & ~select.EPOLLOUT:
                        self.read(conn)
                    self.write(conn)
                except OSError:
                    self.drop(conn)

    def accept(self):
        for _ in range(256):
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.conns[sock.fileno()] = Conn(sock)
            self.epoll.register(sock, select.EPOLLIN)

    def drop(self, conn):
        if self.conns.pop(conn.sock.fileno(), None) is None:
            return
        self.epoll.unregister(conn.sock)
        conn.sock.close()
        self.seen["ended"] += conn.tunnel

    def read(self, conn):
        try:
            chunk = conn.sock.recv(65536)
        except BlockingIOError:
            return
        if not chunk:
            conn.done = True
            return
        conn.data += chunk
        if not conn.tunnel:
            self.head(conn)
        while conn.tunnel and not conn.done and (got := frames.take(conn.data)):
            self.frame(conn, *got)

    def head(self, conn):
        end = conn.data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(conn.data[:end])
        del conn.data[: end + 4]
        if b"websocket" in head.lower():
            conn.tunnel = True
            self.seen["tunnels"] += 1
            conn.out += frames.switching(head)
            return
        body = b"plain\n"
        if head.startswith(b"GET /stats"):
            body = json.dumps(self.seen).encode()
        conn.out += b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        conn.out += body
        conn.done = True

    def frame(self, conn, opcode, payload):
        if opcode == frames.CLOSE:
            self.seen["close %d" % int.from_bytes(payload[:2], "big")] += 1
            if not conn.fin:
                conn.out += frames.frame(frames.CLOSE, payload[:2])
            conn.done = True
        elif opcode == frames.PING:
            self.seen["pings"] += 1
            conn.out += frames.frame(frames.PONG, payload)
        elif opcode in (frames.TEXT, frames.BINARY):
            self.seen["messages"] += 1
            if conn.fin:
                self.seen["after fin"] += 1
            elif payload.startswith(b"!"):
                self.obey(conn, payload.decode().split())
            else:
                conn.out += frames.frame(opcode, payload)

    def obey(self, conn, words):
        if words[0] == "!half":
            conn.out += frames.header(frames.BINARY, 1024) + BLOCK[:512]
        elif words[0] == "!fin":
            conn.sock.shutdown(socket.SHUT_WR)
            conn.fin = True
        elif words[0] == "!rst":
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionResetError
        elif words[0] == "!close":
            conn.out += frames.close(int(words[1]))
        elif words[0] == "!flood":
            conn.flood, conn.size = int(words[1]), int(words[2])

    def refill(self, conn):
        """The next bytes of a flood."""
        if not conn.flood or len(conn.out) > KEEP:
            return
        # `left` bytes of the frame under way are still to come.
        left = conn.flood % conn.size
        if left == 0:
            conn.out += frames.header(frames.BINARY, conn.size)
            left = conn.size
        step = min(left, len(BLOCK))
        conn.out += BLOCK[:step]
        conn.flood -= step
        self.seen["flooded"] += step

    def write(self, conn):
        for _ in range(16):
            self.refill(conn)
            if not conn.out:
                break
            try:
                sent = conn.sock.send(conn.out)
            except BlockingIOError:
                break
            del conn.out[:sent]
        if conn.done and not conn.out:
            self.drop(conn)
            return
        want = select.EPOLLIN | (select.EPOLLOUT if conn.out or conn.flood else 0)
        self.epoll.modify(conn.sock, want)


if __name__ == "__main__":
    Echo(int(sys.argv[1])).run()
