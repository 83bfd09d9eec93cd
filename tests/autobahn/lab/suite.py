"""The processes of a run: Autobahn|Testsuite, the endpoint that it tests, and Wayhold between them.

Each ends with this process's `with` block, whatever happens.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import verdicts

ROOT = Path(__file__).resolve().parents[3]
TARGET = ROOT / "target" / "autobahn"
WAYHOLD = Path(os.environ.get("WAYHOLD", ROOT / "target" / "release" / "wayhold")).resolve()
GORILLA = [str(TARGET / "endpoint")]
# The clients under test.
CLIENTS = {"gorilla": [*GORILLA, "dial"], "ws": ["node", str(ROOT / "tests/autobahn/client.js")]}
# The newest there is, unless one is named.
NAMED = "WAYHOLD" in os.environ


def build_wayhold():
    if not NAMED:
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)


def catalogue(patterns, sizes=False):
    """The cases that the suite has for these patterns; with their sizes, a table."""
    command = [str(TARGET / "venv" / "bin" / "python"), "-W", "ignore", str(ROOT / "tests/autobahn/lab/sizes.py")]
    command += ["--sizes"] * sizes + patterns
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def free_ports(count):
    """Ports nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@contextlib.contextmanager
def process(command, log, ready):
    """A process in the background, from when `ready` says so."""
    with open(log, "ab") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        end = time.monotonic() + 20
        while not ready():
            if child.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} does not start:\n{Path(log).read_text()[-3000:]}")
            time.sleep(0.05)
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def finish(command, log, seconds):
    """A process to its end, which has to be a good one."""
    env = {**os.environ, "NODE_PATH": str(TARGET / "node" / "node_modules")}
    with open(log, "ab") as output:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        result = subprocess.run(command, env=env, timeout=seconds, check=False, **quiet)
    if result.returncode != 0:
        raise RuntimeError(f"{command[0]} ends with {result.returncode}:\n{Path(log).read_text()[-3000:]}")


class Suite:
    """What all runs share: a folder, a certificate, the ports."""

    def __init__(self, folder):
        self.folder = Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split()
        command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
        command += ["-keyout", str(self.key), "-out", str(self.cert)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        self.echo, self.echo_tls, self.metrics, *self.spare = free_ports(64)

    def port(self):
        return self.spare.pop()

    def endpoint(self):
        """The server under test, in the clear and with TLS."""
        command = [*GORILLA, "serve", f"127.0.0.1:{self.echo}", f"127.0.0.1:{self.echo_tls}"]
        command += [str(self.cert), str(self.key)]
        ready = lambda: listens(self.echo) and listens(self.echo_tls)
        return process(command, self.folder / "endpoint.log", ready)

    def wayhold(self, servers):
        """Wayhold with these `[[server]]` sections."""
        config = self.folder / "wayhold.toml"
        top = f"""error_log_level = "notice"
auto_reload = false
ssl_certificate = "{self.cert}"
ssl_certificate_key = "{self.key}"
proxy_ssl_trusted_certificate = "{self.cert}"

[metrics]
listen = "127.0.0.1:{self.metrics}"
"""
        config.write_text("\n".join([top, *servers]))

        def ready():
            page = f"http://127.0.0.1:{self.metrics}/readyz"
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(page, timeout=1).status == 200

        return process([str(WAYHOLD), "-c", str(config)], self.folder / "wayhold.log", ready)

    def log(self, name):
        """Where Wayhold logs the tunnels of a run."""
        return self.folder / f"{name} access.log"

    def tunnels(self, name):
        """How many there were, once Wayhold has ended."""
        lines = self.log(name).read_text().splitlines()
        return sum(json.loads(line)["status"] == 101 for line in lines)

    def fuzzing_client(self, name, url, cases, seconds):
        """The suite as the client of `url`; its verdicts by case, and how many connections it made."""
        spec = {"servers": [{"agent": name, "url": url}], "cases": cases}
        command, log = self.wstest(name, "fuzzingclient", spec)
        finish(command, log, seconds)
        return verdicts.read(self.folder / name, name), len(cases)

    def fuzzing_server(self, name, client, server, address, tls, cases, seconds):
        """The suite as a server on the port `server`, and the client under test to it by way of the
        port `address`; the verdicts by case, and how many connections there were."""
        spec = {"url": f"ws://127.0.0.1:{server}", "cases": cases}
        # The suite refuses a Host whose port is not its own: it has to pass unchanged.
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{server}"
        where = [url, name, f"127.0.0.1:{address}"] + ([str(self.cert)] if tls else [])
        dialled, reports = self.folder / f"{name} dial.log", 0
        dialled.unlink(missing_ok=True)
        command, log = self.wstest(name, "fuzzingserver", spec)
        with process(command, log, lambda: listens(server)):
            finish([*client, *where], dialled, seconds)
            count, end = int(dialled.read_text()), time.monotonic() + 20
            # A case is over for the server some time after it is over for a client that was told 1009.
            while True:
                finish([*GORILLA, "report", *where], self.folder / f"{name} report.log", 60)
                reports += 1
                found = verdicts.read(self.folder / name, name)
                if len(found) == count or time.monotonic() > end:
                    return found, count + 1 + reports
                time.sleep(0.5)

    def wstest(self, name, mode, spec):
        """The suite's command, and where it logs to."""
        spec.update({"outdir": str(self.folder / name), "exclude-cases": [], "exclude-agent-cases": {}})
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(spec))
        # Port 0: its own page of results is not needed.
        command = [str(TARGET / "venv" / "bin" / "wstest"), "-m", mode, "-s", str(path), "-u", "0"]
        return command, self.folder / f"{name}.log"

