"""Disks that fill up, files and directories that go away."""

import json
import os
import shutil
import signal
import subprocess
import time

from lab import Lab
from proxies import PORT, http_get


def disk_full(lab: Lab):
    """the access log's file system (tmpfs, 64 KiB) is full under 50 chatting tunnels and 1,000 requests; then there is room again"""
    lab.echo()
    disk = lab.folder / "disk"
    disk.mkdir()
    lab.mount("-t", "tmpfs", "-o", "size=64k", "none", disk)
    log = disk / "access.log"
    lab.start(access_log=str(log), ping=25, pong=20)
    fleet = lab.fleet(50)
    fleet.chat(0.1)
    for _ in range(1000):
        http_get(PORT, "/ping")
        lab.loop.run(0.001)
    # In the middle of a line, as the disk will have it.
    lab.saw(f"{log.stat().st_size} bytes were written")
    full = log.stat().st_size >= 60000
    lab.check(full, "the disk is full")
    if lab.is_wayhold():
        dropped = lab.proxy.metric("access_log_dropped_total")
        lab.saw(f"{dropped:.0f} lines dropped and counted")
        lines = log.read_text().count("\n")
        lab.check(dropped + lines == 1001, f"none is forgotten: {lines} written and {dropped:.0f} counted of 1001")
        said = lab.proxy.said().count("cannot be written")
        lab.check(said == 1, f"said once: {said}")
    # Room again, behind what was written: nothing is opened anew.
    lab.undo.append(_grow(disk))
    for _ in range(100):
        http_get(PORT, "/ping")
        lab.loop.run(0.001)
    fleet.quiet()
    lab.saw(f"lost: {len(fleet.ended())} tunnels, {fleet.unanswered()} of {fleet.messages()} messages")
    lab.check(not fleet.ended() and not fleet.unanswered(), "nothing else is lost")
    if lab.is_wayhold():
        lab.wait(lambda: log.read_text().count("\n") > lines + 90, "lines again", 5)
        broken = [line for line in log.read_text().splitlines() if not whole(line)]
        good = len(log.read_text().splitlines()) - len(broken)
        dropped = lab.proxy.metric("access_log_dropped_total")
        lab.saw(f"{len(broken)} torn line" + ("s" if len(broken) != 1 else ""))
        lab.check(len(broken) <= 1, f"no line is spoilt but the last before: {broken[:2]}")
        lab.check(good + dropped == 1101, f"none is forgotten: {good} whole and {dropped:.0f} counted of 1101")
    lab.lives()


def _grow(disk):
    """Makes room; gives back nothing that has to be undone."""
    import contextlib

    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    return contextlib.ExitStack()


def whole(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


# It has no log files.
disk_full.without = ("HAProxy",)


def log_removed(lab: Lab):
    """the access log is deleted, then its folder too, under 50 chatting tunnels, with USR1 each time"""
    lab.echo()
    folder = lab.folder / "logs"
    folder.mkdir()
    log = folder / "access.log"
    lab.start(access_log=str(log), ping=25, pong=20)
    fleet = lab.fleet(50)
    fleet.chat(0.1)
    http_get(PORT, "/ping")
    log.unlink(missing_ok=True)
    lab.proxy.reopen()
    again = lab.loop.until(lambda: http_get(PORT, "/ping") and log.exists() and log.stat().st_size > 0, 5)
    lab.saw("written anew" if again else "not written anew")
    lab.check(again, "the file is there again after USR1")
    shutil.rmtree(folder)
    lab.proxy.reopen()
    lab.loop.run(0.5)
    lab.check(lab.proxy.answers(), "answers without the folder")
    folder.mkdir()
    lab.proxy.reopen()
    again = lab.loop.until(lambda: http_get(PORT, "/ping") and log.exists() and log.stat().st_size > 0, 5)
    lab.saw("and again after its folder came back" if again else "and not after its folder came back")
    lab.check(again, "the file is there again with its folder")
    fleet.quiet()
    lab.saw(f"lost: {len(fleet.ended())} tunnels, {fleet.unanswered()} of {fleet.messages()} messages")
    lab.check(not fleet.ended() and not fleet.unanswered(), "nothing is lost")
    lab.lives()


log_removed.without = ("HAProxy",)


def config_deleted(lab: Lab):
    """the whole folder of the configuration is deleted, then HUP; later it is written again"""
    lab.echo()
    lab.start(ping=25, pong=20)
    fleet = lab.fleet(50)
    fleet.chat(0.1)
    conf = lab.proxy.conf
    shutil.rmtree(conf)
    lab.loop.run(1)
    lab.proxy.signal(signal.SIGHUP)
    lab.loop.run(1)
    lab.check(lab.proxy.alive() and lab.proxy.answers(), "answers without it")
    lab.check(lab.fleet(5, open_all=False).all_answer(), "new tunnels open without it")
    if lab.is_wayhold():
        lab.check(lab.proxy.metric("config_last_reload_successful") == 0, "the metric says so")
        before = lab.proxy.metric("config_reloads_total", 'result="success"')
    conf.mkdir()
    lab.proxy.write()
    if lab.is_wayhold():
        noticed = lab.loop.until(lambda: lab.proxy.metric("config_reloads_total", 'result="success"') > before, 4)
        lab.saw("the old configuration runs on; the new folder is noticed" + ("" if noticed else " only by HUP"))
        lab.check(noticed, "the new folder is noticed without a signal")
    else:
        lab.proxy.reload()
        lab.loop.run(1)
        lab.saw("the old configuration runs on")
    fleet.quiet()
    lab.saw(f"lost: {len(fleet.ended())} tunnels, {fleet.unanswered()} of {fleet.messages()} messages")
    lab.check(not fleet.ended() and not fleet.unanswered(), "nothing is lost")
    lab.lives()
