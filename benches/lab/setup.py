"""What must be there before anything is measured: packages, binaries, a certificate, descriptors."""

import datetime
import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOAD = HERE.parent / "load"

# Whose losses are noted, no more.
PEERS = ("nginx", "nginx 64k", "haproxy", "haproxy 64k")

# Two for each of 9,500 tunnels, and some for the rest.
DESCRIPTORS = 20000


class Tools:
    def __init__(self, wayhold, load, nginx, haproxy):
        self.wayhold, self.load, self.nginx, self.haproxy = wayhold, load, nginx, haproxy


def prepare(options):
    install()
    raise_descriptors(options.conns)
    wayhold = os.environ.get("WAYHOLD") or built(ROOT, "wayhold")
    return Tools(wayhold, built(LOAD, "load"), found("nginx"), found("haproxy"))


def install():
    """From the system's packages, without starting them as services."""
    wanted = {"nginx": "nginx", "haproxy": "haproxy", "openssl": "openssl", "taskset": "util-linux"}
    missing = [package for program, package in wanted.items() if not found(program)]
    if not missing:
        return
    print(f"installing: {' '.join(missing)}", file=sys.stderr)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    policy = Path("/usr/sbin/policy-rc.d")
    own = not policy.exists()
    if own:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        quiet = {"env": env, "stdout": subprocess.DEVNULL, "check": True}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], **quiet)
    finally:
        if own:
            policy.unlink()


def found(program):
    """Daemons are not in everybody's path."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def raise_descriptors(conns):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), hard))
    if conns * 2 + 200 > max(wanted, soft):
        sys.exit(f"{conns} connections need more descriptors than {max(wanted, soft)}: see ulimit -n, or --conns")


def built(crate, name):
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=crate, check=True)
    target = os.environ.get("CARGO_TARGET_DIR")
    return str((Path(target) if target else crate / "target") / "release" / name)


def certificate(folder):
    """P-256, self-signed; HAProxy wants both in one file."""
    cert, key, both = folder / "cert.pem", folder / "key.pem", folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-keyout", str(key), "-out", str(cert)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    both.write_text(cert.read_text() + key.read_text())
    for file in (cert, key, both):
        file.chmod(0o644)
    return cert, key, both


def environment(tools, options):
    return {
        "date": datetime.date.today().isoformat(),
        "kernel": platform.release(),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "quick": options.quick,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": {
            "wayhold": revision(said(tools.wayhold, "-v")),
            "nginx": said(tools.nginx, "-v").rsplit("/", 1)[-1],
            "haproxy": said(tools.haproxy, "-v").split()[2],
        },
    }


def said(program, flag):
    done = subprocess.run([program, flag], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def revision(version):
    """The version, and of a binary that was built here, the commit."""
    number = version.split()[-1].rsplit("/", 1)[-1]
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(describe, capture_output=True, text=True)
    known = done.returncode == 0 and not os.environ.get("WAYHOLD")
    return f"{number} ({done.stdout.strip()})" if known else number


def cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
