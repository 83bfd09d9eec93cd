"""What is measured, in which order, and one measurement of it."""

import json
import subprocess
import time

from proxies import LOAD_CORE

# conns, messages in flight on each, bytes of each.
WORKLOADS = {
    "W1": (100, 1, 64),
    "W2": (100, 16, 64),
    "W3": (1000, 1, 512),
    "W4": (50, 2, 65536),
    "W5": (10, 1, 1048576),
}
SMALL, LARGE = ("W1", "W2", "W3"), ("W4", "W5")
PLAIN = {**dict.fromkeys(SMALL, ("floor", "nginx", "haproxy", "wayhold")),
         **dict.fromkeys(LARGE, ("floor", "floor splice", "nginx", "nginx 64k", "haproxy", "haproxy 64k", "wayhold"))}
TLS = {**dict.fromkeys(SMALL, ("nginx", "haproxy", "wayhold")),
       **dict.fromkeys(LARGE, ("nginx", "nginx 64k", "haproxy", "haproxy 64k", "wayhold"))}
PEERS = ("nginx", "haproxy", "wayhold")
TOUCH = 16384
# Of what nginx could carry at most in the same round: where latency tells more than throughput.
SHARE = 0.7
# A hiccup of the machine fills the last hundredth of a window: many short ones tell more than a long
# one. What a proxy does after many handshakes (giving memory back) is over before one begins.
WINDOWS = 5
WINDOW = ["--seconds", "0.6", "--warmup", "0.5"]


def plan(options):
    """Round by round, and in a round one proxy after the other for each workload, so that what
    changes on the machine meets all of them."""
    steps = []
    common = ["--seconds", f"{options.seconds}", "--warmup", f"{options.warmup}"]
    for number in range(options.rounds):
        if "run" in options.only:
            for tls, table in ((False, PLAIN), (True, TLS)):
                for workload, (conns, inflight, size) in WORKLOADS.items():
                    args = ["--conns", f"{conns}", "--inflight", f"{inflight}", "--size", f"{size}", *common]
                    steps += [step(number, "run", name, tls, workload, args) for name in table[workload]]
        if "run" in options.only:
            windows = 1 if options.quick else WINDOWS
            for tls in False, True:
                for workload in "W1", "W3":
                    conns, _, size = WORKLOADS[workload]
                    args = ["--conns", f"{conns}", "--size", f"{size}", *WINDOW]
                    names = (TLS if tls else PLAIN)[workload]
                    steps += windows * [step(number, "pace", name, tls, workload, args) for name in names]
        if "handshake" in options.only:
            for tls, what, more in ((False, "plain", []), (True, "full", []), (True, "resumed", ["--resume"])):
                steps += [step(number, "handshake", name, tls, what, [*common, *more]) for name in PEERS]
        if "storm" in options.only:
            args = ["--conns", f"{options.conns}"]
            steps += [step(number, "storm", name, False, "storm", args) for name in ("floor", *PEERS)]
            steps += [step(number, "storm", name, True, "storm", args) for name in PEERS]
        # It takes long and varies little.
        if number % 2 == 0 and "idle" in options.only:
            args = ["--conns", f"{options.conns}", "--touch", f"{TOUCH}", "--hold", "0.5" if options.quick else "2"]
            steps += [step(number, "idle", name, False, "idle", args) for name in ("floor", *PEERS)]
            steps += [step(number, "idle", name, True, "idle", args) for name in PEERS]
    return steps


def step(number, kind, proxy, tls, what, args):
    return {"round": number, "kind": kind, "proxy": proxy, "tls": tls, "what": what, "args": args}


def rate(step, taken):
    """Messages a second for a paced run."""
    where = {**{name: step[name] for name in ("round", "tls", "what")}, "kind": "run", "proxy": "nginx"}
    most = next((one.get("messages_per_second") for one in taken if where.items() <= one.items()), None)
    if not most:
        raise RuntimeError("what nginx can carry was not measured")
    return round(SHARE * most)


def take(lab, step, taken):
    """One step, after those that were `taken`."""
    proxy, tls = step["proxy"], step["tls"]
    command, args = step["kind"], step["args"]
    key = {name: step[name] for name in ("round", "kind", "proxy", "tls", "what")}
    try:
        if command == "pace":
            command, args = "run", [*args, "--rate", f"{rate(step, taken)}"]
        if step["kind"] == "idle" or proxy not in lab.running:
            lab.restart(proxy)
    except RuntimeError as error:
        return {**key, "clean": False, "error": f"{error}"}
    pid, echo = lab.running[proxy].pid, lab.running["echo"].pid
    url = f"{'wss' if tls else 'ws'}://127.0.0.1:{lab.port(proxy, tls)}/ws"
    command = ["taskset", "-c", f"{LOAD_CORE}", lab.tools.load, command, "--url", url,
               "--pid", f"{pid}", "--echo-pid", f"{echo}", *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
        # What was closed last should be gone before the next begins.
        time.sleep(0.2)
        return {**key, "clean": done.returncode == 0, **json.loads(done.stdout)}
    except (subprocess.TimeoutExpired, ValueError) as error:
        said = error if isinstance(error, subprocess.TimeoutExpired) else done.stderr.strip()
        return {**key, "clean": False, "error": f"{said}"}


def figure(measurement):
    """The one that the tables are about."""
    if measurement["kind"] == "pace":
        return measurement.get("latency_us", {}).get("p99")
    names = {"run": "cpu_us_per_message", "handshake": "cpu_us_per_handshake", "storm": "all_up_s"}
    if measurement["kind"] == "idle":
        each = measurement.get("bytes_per_conn")
        return each and each["idle"]["pss"]
    return measurement.get(names[measurement["kind"]])


def line(measurement):
    scheme = "wss" if measurement["tls"] else "ws"
    others = measurement.get("cores", {}).get("others")
    noise = f"  (others: {others} cores)" if others is not None and others > 0.3 else ""
    return f"{scheme:3} {measurement['what']:8} {measurement['proxy']:12} {figure(measurement)}{noise}"
