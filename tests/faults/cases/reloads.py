"""Reloads in bad times: names that do not resolve, certificates that are missing or expired."""

import signal
import subprocess
import time

from lab import Lab
from proxies import METRICS, PORT, http_get


def name_server(lab, text):
    """`/etc/hosts` as it should be for a while, in this run's mount namespace; asks no real server."""
    hosts, resolv = lab.folder / "hosts", lab.folder / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost\n" + text)
    resolv.write_text("nameserver 127.0.0.53\noptions timeout:5 attempts:2\n")
    switch = lab.folder / "nsswitch.conf"
    switch.write_text("hosts: files dns\n")
    for file, place in ((hosts, "/etc/hosts"), (resolv, "/etc/resolv.conf"), (switch, "/etc/nsswitch.conf")):
        lab.mount("--bind", file, place)
    return hosts


def name_fails(lab: Lab):
    """the upstream's host name stops resolving, then HUP; later it resolves again"""
    hosts = name_server(lab, "127.0.0.1 backend.faults.test\n")
    lab.echo()
    lab.start(peers=["backend.faults.test:23901"], ping=25, pong=20)
    fleet = lab.fleet(50)
    fleet.chat(0.1)
    lab.loop.run(0.5)
    hosts.write_text("127.0.0.1 localhost\n")
    lab.proxy.reload()
    lab.loop.run(2)
    lab.check(lab.proxy.answers(), "answers")
    opened = len(lab.fleet(20, open_all=False).open())
    lab.saw(f"new tunnels meanwhile: {opened}/20")
    lab.check(opened == 20, "new tunnels open meanwhile")
    if lab.is_wayhold():
        rejected = lab.loop.until(lambda: lab.proxy.metric("config_last_reload_successful") == 0, 5)
        lab.check(rejected, "the metric says so")
        lab.check("backend.faults.test" in lab.proxy.said(), "the log says so")
    hosts.write_text("127.0.0.1 localhost\n127.0.0.1 backend.faults.test\n")
    lab.proxy.reload()
    if lab.is_wayhold():
        again = lab.loop.until(lambda: lab.proxy.metric("config_last_reload_successful") == 1, 5)
        lab.check(again, "the next reload works")
    lab.loop.run(1)
    fleet.quiet()
    lab.saw(f"lost: {len(fleet.ended())} tunnels, {fleet.unanswered()} of {fleet.messages()} messages")
    lab.check(not fleet.ended() and not fleet.unanswered(), "nothing is lost")
    lab.lives()


def name_server_silent(lab: Lab):
    """the name server swallows every question (DROP, 10 s for each name) when HUP comes, then TERM 1 s later"""
    hosts = name_server(lab, "127.0.0.1 backend.faults.test\n")
    lab.echo()
    lab.filter("-p", "udp", "--dport", "53", "-j", "DROP")
    lab.start(peers=["backend.faults.test:23901"], ping=25, pong=20)
    fleet = lab.fleet(50)
    fleet.chat(0.1)
    lab.loop.run(0.5)
    hosts.write_text("127.0.0.1 localhost\n")
    lab.proxy.reload()
    lab.loop.run(1)
    lab.check(lab.proxy.answers(), "answers meanwhile")
    others = lab.fleet(20, open_all=False)
    opened = len(others.open())
    lab.saw(f"new tunnels meanwhile: {opened}/20")
    lab.check(opened == 20, "new tunnels open meanwhile")
    lab.check(not fleet.ended() and not fleet.wrong(), "no tunnel is lost")
    lost = len(fleet.ended())
    since = time.monotonic()
    lab.proxy.signal(signal.SIGTERM)
    first = lab.loop.until(lambda: fleet.ended() or others.ended(), 20)
    lab.saw(f"lost: {lost} tunnels; TERM is heard after {time.monotonic() - since:.1f} s")
    lab.check(first and time.monotonic() - since < 2, "TERM is heard within 2 s")
    lab.loop.until(lambda: not lab.proxy.alive(), 10)
    if lab.is_wayhold():
        lab.check(fleet.codes() == {1012: 50}, f"every tunnel gets Close 1012: {dict(fleet.codes())}")
        lab.check(lab.proxy.process.poll() == 0, "it ends with 0")


def certificate(lab, name, days):
    """A self-signed certificate that ends so many days from now."""
    cert, key, both = (lab.folder / f"{name}.{kind}" for kind in ("pem", "key", "both"))
    begin, end = time.time() - 40 * 86400, time.time() + days * 86400
    form = "%Y%m%d%H%M%SZ"
    ca = lab.folder / "ca.cnf"
    ca.write_text(
        f"[ca]\ndefault_ca=d\n[d]\nnew_certs_dir={lab.folder}\ndatabase={lab.folder}/{name}.db\nrand_serial=yes\n"
        "default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName=DNS:faults.test\n"
    )
    (lab.folder / f"{name}.db").write_text("")
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    request = lab.folder / f"{name}.csr"
    new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=faults.test -keyout".split()
    subprocess.run(["openssl", *new, str(key), "-out", str(request)], **quiet)
    dates = ["-startdate", time.strftime(form, time.gmtime(begin)), "-enddate", time.strftime(form, time.gmtime(end))]
    sign = ["openssl", "ca", "-batch", "-notext", "-selfsign", "-config", str(ca), "-keyfile", str(key)]
    subprocess.run([*sign, *dates, "-in", str(request), "-out", str(cert)], **quiet)
    both.write_text(cert.read_text() + key.read_text())
    return str(cert), str(key), str(both)


def served(path):
    """Whether the TLS port serves this certificate."""
    words = f"openssl s_client -connect 127.0.0.1:{PORT + 363} -servername faults.test".split()
    got = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    body = open(path).read().strip().splitlines()[1:-1]
    return all(line in got for line in body)


def certificates_at_reload(lab: Lab):
    """at reloads the certificate is expired, then missing, then half written, then whole again; 50 tunnels chat"""
    lab.echo()
    good, expired = certificate(lab, "good", 30), certificate(lab, "expired", -10)
    lab.start(tls=good, ping=25, pong=20)
    lab.check(served(good[0]), "the good one is served")
    fleet = lab.fleet(50)
    fleet.chat(0.1)
    steps = []
    lab.proxy.settings.tls = expired
    lab.proxy.reload()
    taken = lab.loop.until(lambda: served(expired[0]), 5)
    steps.append("expired: served" if taken else "expired: refused")
    if lab.is_wayhold():
        lab.check(taken, "an expired one is served, with a warning")
        lab.check("expired" in lab.proxy.said(), "the log warns")
        end = lab.proxy.metric("tls_certificate_not_after_timestamp_seconds")
        lab.check(end < time.time(), "the metric shows it")
    lab.proxy.settings.tls = good
    lab.proxy.reload()
    lab.check(lab.loop.until(lambda: served(good[0]), 5), "back to the good one")
    text = open(good[0]).read()
    for word, change in (("missing", None), ("half written", text[: len(text) // 2])):
        for path in (good[0], good[2]):
            subprocess.run(["rm", path], check=True)
            if change is not None:
                open(path, "w").write(change)
        lab.proxy.reload()
        lab.loop.run(1)
        ok = subprocess.run(
            f"openssl s_client -connect 127.0.0.1:{PORT + 363} -servername faults.test".split(),
            stdin=subprocess.DEVNULL, capture_output=True,
        ).returncode == 0
        steps.append(f"{word}: the old one stays" if ok else f"{word}: no TLS any more")
        lab.check(ok and lab.proxy.answers(), f"{word}: the old one is served on")
        if lab.is_wayhold():
            lab.check(lab.proxy.metric("config_last_reload_successful") == 0, f"{word}: the metric says so")
        for path, whole in ((good[0], text), (good[2], text + open(good[1]).read())):
            open(path, "w").write(whole)
        lab.proxy.reload()
        lab.loop.run(0.6)
    lab.check(lab.loop.until(lambda: served(good[0]), 5), "whole again: served")
    fleet.quiet()
    lab.saw("; ".join(steps))
    lab.saw(f"lost: {len(fleet.ended())} tunnels, {fleet.unanswered()} of {fleet.messages()} messages")
    lab.check(not fleet.ended() and not fleet.unanswered(), "nothing is lost")
    lab.lives()
