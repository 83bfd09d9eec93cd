"""The process itself: no descriptors left, signals under load, a clock that jumps."""

import glob
import json
import re
import signal
import time

from fleet import Fleet
from lab import Lab
from proxies import METRICS, PORT, http_get


def descriptors_run_out(lab: Lab):
    """RLIMIT_NOFILE = 256 and 400 clients at once, of two upstreams; worker_connections allows them all"""
    lab.echo(23901), lab.echo(23902)
    top = "worker_connections = 1000"
    lab.start(peers=["127.0.0.1:23901", "127.0.0.1:23902"], nofile=256, top=top, ping=25, pong=20)
    fleet = Fleet(lab.loop, PORT, 400)
    fleet.connect(patience=4, batch=400)
    opened = fleet.open()
    turned = {end: n for end, n in fleet.codes().items()}
    waiting = 400 - len(opened) - len(fleet.ended())
    lab.saw(f"{len(opened)} of 400 open, refused: {turned or 'none'}, waiting: {waiting}")
    lab.check(len(opened) >= 50, "most of the descriptors carry tunnels")
    lab.check(fleet.all_answer(), "the open ones answer")
    if lab.is_wayhold():
        lab.check(" 200 " in http_get(METRICS, "/healthz"), "/healthz answers meanwhile")
        up = lab.proxy.metric("upstream_peer_up")
        lab.check(up == 2, f"no peer is blamed: {up:.0f} of 2 are up")
        said = lab.proxy.said().count("no descriptor is left for connections")
        lab.check(said == 1, f"said once: {said} times")
        lab.proxy.reload()
        lab.wait(lambda: lab.proxy.metric("config_reloads_total") >= 1, "the reload")
        good = lab.proxy.metric("config_last_reload_successful")
        lab.check(good == 1, "a reload works meanwhile")
    before = len(fleet.open())
    lab.check(before >= len(opened), f"no open tunnel is lost: {len(opened)} → {before}")
    fleet.reset()
    lab.loop.run(1)
    again = lab.fleet(30, open_all=False)
    lab.saw(f"afterwards {len(again.open())} of 30 open")
    lab.check(len(again.open()) == 30 and again.all_answer(), "new tunnels open afterwards")
    lab.lives()


def signals_under_load(lab: Lab):
    """200 tunnels exchange 1,000 messages a second through 20 reloads (HUP), 20 logs moved away and reopened (USR1)"""
    lab.echo()
    log = lab.folder / "access.log"
    lab.start(access_log=str(log), ping=25, pong=20)
    fleet = lab.fleet(200)
    fleet.chat(0.2)
    for number in range(20):
        lab.loop.run(0.15)
        if log.exists():
            log.rename(lab.folder / f"access.log.{number}")
        lab.proxy.reopen()
        lab.loop.run(0.15)
        lab.proxy.reload()
    lab.loop.run(0.5)
    fleet.quiet()
    lab.saw(f"{fleet.messages()} messages, lost: {len(fleet.ended())} tunnels, {fleet.unanswered()} messages")
    lab.check(not fleet.ended() and not fleet.unanswered() and not fleet.wrong(), "nothing is lost")
    processes = 1 + len(lab.proxy.children())
    lab.saw(f"{processes} processes afterwards, {lab.proxy.rss() // 1024} MiB")
    if lab.is_wayhold():
        reloads = lab.proxy.metric("config_reloads_total", 'result="success"')
        lab.check(reloads == 20, f"20 reloads: {reloads:.0f}")
        lab.check(log.exists(), "the log is there again")
    # The others keep processes for their old connections; nginx starts with a master and a worker.
    most = 1 if lab.is_wayhold() else 4
    lab.check(processes <= most, f"at most {most} processes")
    lab.lives()


def terminated_under_load(lab: Lab):
    """TERM while 200 tunnels exchange messages, shutdown_timeout = 5 s"""
    lab.echo()
    log = lab.folder / "access.log"
    lab.start(access_log=str(log), ping=25, pong=20)
    fleet = lab.fleet(200)
    fleet.chat(0.2)
    lab.loop.run(1)
    since = time.monotonic()
    lab.proxy.signal(signal.SIGTERM)
    lab.loop.until(lambda: len(fleet.ended()) == 200 and not lab.proxy.alive(), 8)
    took = time.monotonic() - since
    codes = ", ".join(f"{n} × {code}" for code, n in fleet.codes().items())
    # In flight when the Close came: sent, and the Close was on its way already.
    lab.saw(f"{codes}; ended after {took:.1f} s; in flight at the end: {fleet.unanswered()} of {fleet.messages()} messages")
    lab.check(fleet.codes() == {1012: 200}, "every tunnel gets Close 1012")
    times = sorted(c.ended - since for c in fleet.ended())
    lab.check(times and times[-1] - times[0] > 2, "spread over the time there is")
    lab.check(not fleet.wrong(), f"nothing behind a Close: {fleet.wrong()[:3]}")
    lab.check(fleet.unanswered() <= 20, "nothing is lost but what was in flight")
    lab.check(lab.proxy.process.poll() == 0 and took < 6, "the process ends in time with 0")
    closes = lab.stats()
    lab.check(closes.get("close 1012", 0) == 200, f"the upstream gets them too: {closes.get('close 1012', 0)}")
    if lab.is_wayhold():
        lines = [json.loads(line) for line in log.read_text().splitlines() if '"close"' in line]
        causes = [line["ws_close_cause"] for line in lines]
        lab.check(causes == ["drain"] * 200, f"200 log lines: {len(causes)}")


def monotonic_clock_far_ahead(lab: Lab):
    """the process runs in a time namespace whose monotonic clock is 20 years ahead (unshare --time); five clients stop answering pings"""
    lab.echo()
    ahead = str(20 * 365 * 86400)
    lab.start(ping=1, pong=2, within=("unshare", "--time", "--monotonic", ahead, "--boottime", ahead, "--fork", "--kill-child"))
    chat, silent = lab.fleet(50), lab.fleet(5)
    chat.chat(0.1)
    for client in silent.clients:
        client.mute = True
    since = time.monotonic()
    found = lab.loop.until(lambda: len(silent.ended()) == 5, 8)
    took = time.monotonic() - since
    chat.quiet()
    lab.saw(f"lost: {len(chat.ended())} of 50 tunnels, {chat.unanswered()} of {chat.messages()} messages; the five are found after {took:.1f} s")
    lab.check(found and took < 5, "dead peers are found in time")
    lab.check(not chat.ended() and not chat.unanswered() and not chat.wrong(), "nothing is lost")
    lab.lives()


monotonic_clock_far_ahead.without = ("nginx", "HAProxy")


def clock_jumps(lab: Lab):
    """the wall clock jumps a day ahead, then two days back (libfaketime, this process alone) under 50 idle and 50 chatting tunnels"""
    library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0]
    offset = lab.folder / "clock"
    offset.write_text("+0\n")
    lab.kind.env = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    lab.echo()
    log = lab.folder / "access.log"
    try:
        lab.start(access_log=str(log), ping=1, pong=2, idle=30)
    finally:
        lab.kind.env = {}
    idle, chat, silent = lab.fleet(50), lab.fleet(50), lab.fleet(5)
    chat.chat(0.1)
    seen = set()
    for jump in ("+1d", "-1d", "+0"):
        offset.write_text(jump + "\n")
        lab.loop.run(2)
        http_get(PORT, "/ping")
    lab.check(not idle.ended() and not chat.ended(), f"no tunnel is lost: {len(idle.ended()) + len(chat.ended())}")
    # Clocks still run while the wall clock is wrong: the silent ones are found.
    offset.write_text("-1d\n")
    for client in silent.clients:
        client.mute = True
    since = time.monotonic()
    found = lab.loop.until(lambda: len(silent.ended()) == 5, 8)
    took = time.monotonic() - since
    chat.quiet()
    lab.saw(f"lost: {len(idle.ended()) + len(chat.ended())} of 100 tunnels, {chat.unanswered()} of {chat.messages()} messages")
    lab.check(not chat.unanswered() and not chat.wrong(), "no message is lost")
    if lab.is_wayhold():
        lab.saw(f"five that answer no ping are found after {took:.1f} s")
        lab.check(found and took < 5, "dead peers are found in time")
        chat.reset()
        lab.counted({"client": 50, "dead_peer": 5})
        lab.loop.until(lambda: log.read_text().count('"close"') == 55, 5)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        seen = {line["time"][:10] for line in lines}
        longest = max(float(line.get("ws_duration", line.get("request_time", 0))) for line in lines)
        lab.check(len(seen) >= 3, f"the log shows three days: {seen}")
        lab.check(longest < 60, f"durations are real: {longest}")
    lab.check(re.search(" 200 ", http_get(PORT, "/ping")), "answering")
    lab.lives()


clock_jumps.without = ("nginx", "HAProxy")
