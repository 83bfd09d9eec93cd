"""Wayhold and its peers, each with one worker, configured as somebody would who knows them. All of
them run on PROXY_CORE; the load and the echo share LOAD_CORE."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import setup

PROXY_CORE, LOAD_CORE = 0, 1
ECHO = 24000

# No access log anywhere; timeouts far longer than a run. When less than a sixteenth of its connections
# is free, nginx closes some that still wait for their request: 9,500 tunnels need more than 20,267.
NGINX = """
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 24000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    upstream echo {{ server 127.0.0.1:{echo}; }}
    server {{
        listen 127.0.0.1:{plain} backlog=4096;
        listen 127.0.0.1:{tls} ssl backlog=4096;
        location /ws {{
            proxy_pass http://echo;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $host;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
            {buffers}
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 9800
    {bufsize}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend all
    bind 127.0.0.1:{plain} backlog 4096
    bind 127.0.0.1:{tls} backlog 4096 ssl crt {both} alpn http/1.1
    default_backend echo
backend echo
    server echo 127.0.0.1:{echo}
"""

# Metrics and pings are on, as they are in production.
WAYHOLD = """
worker_processes = 1
auto_reload = false

[metrics]
listen = "127.0.0.1:{metrics}"

[[server]]
listen = ["127.0.0.1:{plain} backlog=4096", "127.0.0.1:{tls} ssl backlog=4096"]
ssl_certificate = "{cert}"
ssl_certificate_key = "{key}"

[[server.location]]
path = "/ws"
proxy_pass = "http://127.0.0.1:{echo}"
proxy_read_timeout = "1h"
proxy_send_timeout = "1h"
"""


class Process:
    """In a group of its own, ended with it."""

    def __init__(self, core, command, log):
        with open(log, "ab") as out:
            self.child = subprocess.Popen(["taskset", "-c", str(core), *command], stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=out, start_new_session=True)
        self.log = log

    @property
    def pid(self):
        return self.child.pid

    def wait_port(self, port):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.child.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"nobody listens on {port}: {Path(self.log).read_text()[-2000:]}")

    def end(self):
        """With its group; KILL when it takes long."""
        for number, patience in ((signal.SIGINT, 3), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                break
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            # Workers outlive their master for a moment.
            time.sleep(0.1)


class Lab:
    """Everything that runs, and the folder it runs in; both vanish at the end."""

    NAMES = ("floor", "floor splice", "nginx", "nginx 64k", "haproxy", "haproxy 64k", "wayhold")

    def __init__(self, tools):
        self.tools = tools
        self.running = {}

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory()
        try:
            self.folder = Path(self.scratch.name)
            self.folder.chmod(0o755)
            self.cert, self.key, self.both = setup.certificate(self.folder)
            self.echo = self.start("echo", LOAD_CORE, [self.tools.load, "echo", "--listen", f"127.0.0.1:{ECHO}"], ECHO)
            for name in self.NAMES:
                self.restart(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.running.values():
            process.end()
        self.scratch.cleanup()

    def start(self, name, core, command, port):
        process = Process(core, command, self.folder / f"{name}.log")
        self.running[name] = process
        try:
            process.wait_port(port)
        except RuntimeError:
            self.running.pop(name).end()
            raise
        return process

    def restart(self, name):
        """A new process: one without a past, for memory."""
        if name in self.running:
            self.running.pop(name).end()
        self.start(name, PROXY_CORE, self.command(name), self.port(name))

    def port(self, name, tls=False):
        return ECHO + 10 * (self.NAMES.index(name) + 1) + tls

    def command(self, name):
        kind, _, variant = name.partition(" ")
        if kind == "floor":
            return [self.tools.load, "floor", "--listen", f"127.0.0.1:{self.port(name)}",
                    "--upstream", f"127.0.0.1:{ECHO}", "--mode", variant or "copy"]
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        places = {
            "folder": folder, "cert": self.cert, "key": self.key, "both": self.both, "echo": ECHO,
            "plain": self.port(name), "tls": self.port(name, True), "metrics": self.port(name) + 2,
            "buffers": "proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 128k;" if variant else "",
            "bufsize": "tune.bufsize 65536" if variant else "",
        }
        file = folder / "config"
        text = {"nginx": NGINX, "haproxy": HAPROXY, "wayhold": WAYHOLD}[kind]
        file.write_text(text.format(**places))
        return {
            "nginx": [self.tools.nginx, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log"),
                      "-g", "daemon off;"],
            "haproxy": [self.tools.haproxy, "-db", "-f", str(file)],
            "wayhold": [self.tools.wayhold, "-c", str(file)],
        }[kind]
