"""What a case works with: a folder, upstreams, fleets, packet filters, and the list of what holds."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fleet import Fleet, Loop
from proxies import PORT, Settings, http_get

HERE = Path(__file__).resolve().parent


class Lab:
    """One run of one case with one proxy; everything in it ends with it."""

    def __init__(self, kind, full):
        self.kind, self.full = kind, full
        self.folder = Path(tempfile.mkdtemp(prefix="faults-"))
        self.loop = Loop()
        self.processes, self.undo = [], []
        self.proxy = None
        self.figures, self.misses = [], []

    # What runs

    def start(self, **settings):
        self.proxy = self.kind(self.folder, Settings(**settings)).start()
        return self.proxy

    def process(self, script, *words):
        command = [sys.executable, str(HERE / script), *map(str, words)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def echo(self, port=23901):
        process = self.process("echo.py", port)
        self.wait(lambda: http_get(port, "/"), "an upstream")
        return process

    def stats(self, port=23901):
        import json

        return json.loads(http_get(port, "/stats").partition("\r\n\r\n")[2])

    def delay(self, port, to, ms):
        process = self.process("delay.py", port, to, ms)
        time.sleep(0.3)
        return process

    def fleet(self, count, path="/", port=PORT, source="127.0.0.1", open_all=True):
        fleet = Fleet(self.loop, port, count, path, source)
        opened = fleet.connect()
        if open_all and opened != count:
            raise RuntimeError(f"{opened} of {count} tunnels opened: {fleet.codes()}")
        return fleet

    def wait(self, ready, what, patience=10):
        end = time.monotonic() + patience
        while not ready():
            if time.monotonic() > end:
                raise RuntimeError(f"waited in vain for {what}")
            time.sleep(0.02)

    # What goes wrong

    def filter(self, *rule):
        """An iptables rule on INPUT, for as long as the case runs or until it is lifted."""
        subprocess.run(["iptables", "-w", "-A", "INPUT", *map(str, rule)], check=True)
        lift = contextlib.ExitStack()
        lift.callback(subprocess.run, ["iptables", "-w", "-D", "INPUT", *map(str, rule)], check=True)
        self.undo.append(lift)
        return lift.close

    def swallow(self, port):
        """Nothing comes through this port any more, in either direction."""
        rules = [self.filter("-p", "tcp", way, port, "-j", "DROP") for way in ("--sport", "--dport")]
        return lambda: [lift() for lift in rules]

    def mount(self, *words):
        """A mount in this run's own mount namespace."""
        subprocess.run(["mount", *map(str, words)], check=True)
        lift = contextlib.ExitStack()
        lift.callback(subprocess.run, ["umount", str(words[-1])], check=True)
        self.undo.append(lift)
        return lift.close

    # What is found

    def saw(self, text):
        self.figures.append(text)

    def check(self, holds, what):
        """Something that has to hold; for another proxy it is only noted."""
        if not holds:
            self.misses.append(what)
        return holds

    def counted(self, causes):
        """What Wayhold's counters say in the end; closing takes `close_timeout` at most."""
        self.loop.until(lambda: self.proxy.causes() == causes, 7)
        self.check(self.proxy.causes() == causes, f"counted as {causes}: {self.proxy.causes()}")

    def is_wayhold(self):
        return self.kind.name == "Wayhold"

    def lives(self):
        """The end of every case: the process is there and answers."""
        self.check(self.proxy.alive() and self.proxy.answers(), "alive and answering")

    def close(self):
        self.loop.close()
        if self.proxy:
            self.proxy.stop()
        for process in self.processes:
            process.kill()
            process.wait()
        for lift in reversed(self.undo):
            lift.close()
        shutil.rmtree(self.folder, ignore_errors=True)
