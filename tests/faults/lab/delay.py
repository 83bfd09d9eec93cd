"""A relay that holds every byte back for a while, both ways: `delay.py PORT TO-PORT MILLISECONDS`.
It stands for distance; loss comes from the packet filter."""

import heapq
import itertools
import select
import socket
import sys
import time


class Delay:
    def __init__(self, port, to, delay):
        self.to, self.delay = ("127.0.0.1", to), delay
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.peer = {}
        self.due, self.order = [], itertools.count()

    def run(self):
        while True:
            wait = max(0, self.due[0][0] - time.monotonic()) if self.due else -1
            for fd, _ in self.epoll.poll(wait):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.peer:
                    self.read(fd)
            while self.due and self.due[0][0] <= time.monotonic():
                _, _, sock, chunk = heapq.heappop(self.due)
                self.write(sock, chunk)

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(self.to)
        for sock, other in ((client, server), (server, client)):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peer[sock.fileno()] = (sock, other)
            self.epoll.register(sock, select.EPOLLIN)

    def read(self, fd):
        sock, other = self.peer[fd]
        try:
            chunk = sock.recv(65536)
        except OSError:
            chunk = b""
        if not chunk:
            self.epoll.unregister(fd)
            del self.peer[fd]
        heapq.heappush(self.due, (time.monotonic() + self.delay, next(self.order), other, chunk))

    def write(self, sock, chunk):
        try:
            # The messages are far smaller than what a socket takes.
            sock.sendall(chunk) if chunk else sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass


if __name__ == "__main__":
    Delay(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000).run()
