"""The proxies that go through the faults: Wayhold, and nginx and HAProxy set up for the same."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PORT, METRICS = 23080, 23145


@dataclass
class Settings:
    """What a case asks of a proxy; seconds where a time is meant."""

    peers: list = field(default_factory=lambda: ["127.0.0.1:23901"])
    ping: int = 2
    pong: int = 2
    send: int = 60
    idle: int = 60
    connect: int = 2
    shutdown: int = 5
    nofile: int = 0
    access_log: str = ""
    tls: tuple = ()
    # Words before the command.
    within: tuple = ()
    # Wayhold alone.
    top: str = ""


def http_get(port, path, patience=5):
    """A whole answer, as text; nothing when nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: faults.test\r\nConnection: close\r\n\r\n".encode())
            parts = iter(lambda: sock.recv(65536), b"")
            return b"".join(parts).decode()
    except OSError:
        return ""


class Proxy:
    """A proxy in a folder of its own."""

    name = ""
    program = ""
    env = {}

    def __init__(self, folder, settings):
        self.folder, self.settings, self.process = Path(folder) / self.name.lower(), settings, None
        self.folder.mkdir()
        self.conf = self.folder / "conf"
        self.conf.mkdir()

    @classmethod
    def available(cls):
        return bool(shutil.which(cls.program) or os.access(cls.program, os.X_OK))

    def config(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def write(self):
        new = self.folder / "new"
        new.write_text(self.config())
        os.replace(new, self.conf / "proxy.conf")

    def start(self):
        if self.answers():
            raise RuntimeError(f"something else answers on port {PORT}")
        self.write()
        command, limit = self.command(), self.settings.nofile
        command = [*self.settings.within, *command]
        if limit:
            command = ["prlimit", f"--nofile={limit}:{limit}", *command]
        log = open(self.folder / "stderr.log", "ab")
        env = {**os.environ, **self.env}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        end = time.monotonic() + 10
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not start:\n{self.said()}")
            time.sleep(0.05)
        return self

    def answers(self):
        """Whether it is alive and serves a page of its own."""
        return " 200 " in http_get(PORT, "/ping")

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        os.kill(self.process.pid, number)

    def reload(self):
        self.write()
        self.signal(signal.SIGHUP)

    def reopen(self):
        """Has the log files opened again."""
        self.signal(signal.SIGUSR1)

    def stop(self):
        if not self.process:
            return
        # The master stands still while its workers are found: it would start new ones.
        for number, pids in ((signal.SIGSTOP, [self.process.pid]), (signal.SIGKILL, None)):
            for pid in pids or [*self.children(), self.process.pid]:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        self.process.wait()

    def said(self):
        return (self.folder / "stderr.log").read_text(errors="replace")

    def children(self):
        return []

    def rss(self):
        """Resident KiB, of all its processes."""
        total = 0
        for pid in [self.process.pid, *self.children()]:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                total += int(re.search(r"VmRSS:\s+(\d+)", status)[1])
            except (OSError, TypeError):
                pass
        return total


def descendants(pid):
    found = []
    try:
        tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return found
    for child in map(int, tasks):
        found += [child, *descendants(child)]
    return found


class Wayhold(Proxy):
    name = "Wayhold"
    program = os.environ.get("WAYHOLD", str(ROOT / "target/release/wayhold"))

    def config(self):
        s = self.settings
        log = f'access_log = {{ path = "{s.access_log}", format = "json" }}\n' if s.access_log else ""
        servers = ", ".join(f'"{peer}"' for peer in s.peers)
        tls = listen = ""
        if s.tls:
            listen = f', "127.0.0.1:{PORT + 363} ssl"'
            tls = f'ssl_certificate = "{s.tls[0]}"\nssl_certificate_key = "{s.tls[1]}"\n'
        return f"""pid = "{self.folder}/pid"
error_log_level = "info"
shutdown_timeout = "{s.shutdown}s"
{s.top}
{log}
[metrics]
listen = "127.0.0.1:{METRICS}"

[upstream.chat]
servers = [{servers}]

[[server]]
listen = ["127.0.0.1:{PORT}"{listen}]
server_name = "faults.test"
{tls}proxy_connect_timeout = "{s.connect}s"
proxy_send_timeout = "{s.send}s"
proxy_read_timeout = "{s.idle}s"

[server.websocket]
ping_interval = "{s.ping}s"
pong_timeout = "{s.pong}s"
ping_upstream = true

[[server.location]]
path = "= /ping"
return = {{ status = 200, body = "pong" }}

[[server.location]]
path = "/"
proxy_pass = "http://chat"
"""

    def command(self):
        return [self.program, "-c", str(self.conf / "proxy.conf")]

    def metric(self, name, *labels):
        """The sum of a family's series that have all of these labels."""
        page = http_get(METRICS, "/metrics")
        total = 0.0
        for line in page.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == "wayhold_" + name and all(l in series for l in labels):
                total += float(value)
        return total

    def causes(self):
        """Tunnels that have ended, by cause where Wayhold ended them, else by initiator."""
        page, found = http_get(METRICS, "/metrics"), {}
        for line in page.splitlines():
            match = re.match(r'wayhold_ws_proxy_closes_total\{cause="(\w+)".*\} (\d+)', line)
            match = match or re.match(r'wayhold_ws_tunnels_closed_total\{.*initiator="(client|upstream)".*\} (\d+)', line)
            if match and match[2] != "0":
                found[match[1]] = found.get(match[1], 0) + int(match[2])
        return found


class Nginx(Proxy):
    name = "nginx"
    program = "/usr/sbin/nginx"

    def config(self):
        s = self.settings
        servers = "\n".join(f"        server {peer};" for peer in s.peers)
        tls = listen = ""
        if s.tls:
            listen = f"listen 127.0.0.1:{PORT + 363} ssl;"
            tls = f"ssl_certificate {s.tls[0]}; ssl_certificate_key {s.tls[1]};"
        return f"""daemon off;
user root;
pid {self.folder}/pid;
worker_processes 2;
error_log {self.folder}/error.log info;
{f"worker_rlimit_nofile {s.nofile};" if s.nofile else ""}
events {{ worker_connections {s.nofile or 19000}; }}
http {{
    access_log {s.access_log or "off"};
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    upstream chat {{
        # Shared by the workers, or each would count for itself.
        zone chat 64k;
        least_conn;
{servers}
    }}
    server {{
        listen 127.0.0.1:{PORT} backlog=1024;
        {listen}
        {tls}
        server_name faults.test;
        location = /ping {{ return 200 pong; }}
        location / {{
            proxy_pass http://chat;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_connect_timeout {s.connect}s;
            proxy_send_timeout {s.send}s;
            send_timeout {s.send}s;
            proxy_read_timeout {s.idle}s;
        }}
    }}
}}
"""

    def command(self):
        return [self.program, "-p", str(self.folder), "-c", str(self.conf / "proxy.conf")]

    def children(self):
        return descendants(self.process.pid) if self.process else []


class HAProxy(Proxy):
    name = "HAProxy"
    program = "/usr/sbin/haproxy"

    def config(self):
        s = self.settings
        servers = "\n".join(f"    server s{i} {peer} check inter 1s" for i, peer in enumerate(s.peers))
        tls = f"bind 127.0.0.1:{PORT + 363} ssl crt {s.tls[2]}" if s.tls else ""
        # It does not start when the limit carries fewer, with its own ones beside them.
        conns = f"maxconn {((s.nofile or 19200) - 140) // 2}"
        return f"""global
    {conns}
    stats socket {self.folder}/sock level admin expose-fd listeners
defaults
    mode http
    {conns}
    timeout connect {s.connect}s
    timeout client {s.idle}s
    timeout server {s.idle}s
    timeout tunnel {s.send if s.send < 60 else s.idle}s
    option redispatch
    retries 2
frontend front
    bind 127.0.0.1:{PORT} backlog 1024
    {tls}
    http-request return status 200 content-type text/plain string pong if {{ path /ping }}
    default_backend chat
backend chat
    balance leastconn
{servers}
"""

    def command(self):
        return [self.program, "-W", "-f", str(self.conf / "proxy.conf")]

    def reload(self):
        self.write()
        self.signal(signal.SIGUSR2)

    def reopen(self):
        """It has no log files: USR1 is its soft stop."""

    def children(self):
        return descendants(self.process.pid) if self.process else []
