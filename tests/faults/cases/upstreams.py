"""Upstreams that die, hang, vanish and half close."""

import signal
import time

from fleet import Fleet
from lab import Lab
from proxies import PORT

TWO = ["127.0.0.1:23901", "127.0.0.1:23902"]
COUNT = 20


def pair(lab, **settings):
    """Two upstreams and a fleet spread over both: (echoes, fleet, clients by upstream)."""
    echoes = [lab.echo(23901), lab.echo(23902)]
    lab.start(peers=TWO, **settings)
    fleet = lab.fleet(2 * COUNT)
    lab.check(fleet.all_answer(), "all tunnels answer")
    return echoes, fleet


def result(lab, fleet, since, within, lost, what):
    """The lost half is told within a time, the other half stays."""
    told = lab.loop.until(lambda: len(fleet.ended()) >= COUNT, within + 8)
    took = max((c.ended for c in fleet.ended()), default=time.monotonic()) - since
    ended = len(fleet.ended())
    codes = ", ".join(f"{n} × {code}" for code, n in fleet.codes().items()) or "nobody is told"
    lab.saw(f"{codes}" + (f" after {took:.1f} s" if told else f" in {within + 8} s"))
    lab.check(told and took <= within, f"told within {within} s")
    lab.check(all(c.code == lost for c in fleet.ended()) and ended, f"Close {lost}")
    rest = [c for c in fleet.clients if not c.ended]
    lab.check(len(rest) == COUNT and fleet.all_answer(), "the other upstream's tunnels stay")
    lab.saw(f"others lost: {max(0, ended - COUNT)}")
    if what and lab.is_wayhold():
        lab.counted({what: COUNT})
    lab.lives()


def upstream_killed(lab: Lab):
    """one of two upstreams is killed (KILL) between frames"""
    echoes, fleet = pair(lab)
    echoes[0].kill()
    result(lab, fleet, time.monotonic(), 1, 1011, "upstream")
    # The next ones all find the living one.
    again = lab.fleet(COUNT, open_all=False)
    lab.check(len(again.open()) == COUNT, "new tunnels find the other upstream")
    lab.saw(f"new tunnels: {len(again.open())}/{COUNT}")


def upstream_killed_mid_frame(lab: Lab):
    """one of two upstreams is killed after half a frame"""
    echoes, fleet = pair(lab)
    fleet.say("!half")
    lab.check(lab.loop.until(lambda: all(len(c.data) == 516 for c in fleet.open()), 5), "half frames arrive")
    echoes[0].kill()
    since = time.monotonic()
    told = lab.loop.until(lambda: len(fleet.ended()) >= COUNT, 5)
    took = max((c.ended for c in fleet.ended()), default=since) - since
    lab.saw(f"{len(fleet.ended())}/{COUNT} ended after {took:.2f} s, others lost: {len(fleet.ended()) - COUNT}")
    lab.check(told and took < 1, "ended within 1 s")
    whole = all(len(c.data) == 516 and c.code is None for c in fleet.ended())
    lab.check(whole, "no byte behind the half frame")
    lab.check(len(fleet.open()) == COUNT, "the other upstream's tunnels stay")
    lab.lives()


def upstream_hung(lab: Lab):
    """one of two upstreams hangs (STOP) while its sockets stay open; pings to upstreams after 2 s, pong within 2 s"""
    echoes, fleet = pair(lab, connect=2, idle=10)
    # So that no other clock ends the living ones.
    fleet.chat(0.5)
    echoes[0].send_signal(signal.SIGSTOP)
    since = time.monotonic()
    result(lab, fleet, since, 6, 1001, "dead_peer")
    echoes[0].send_signal(signal.SIGCONT)
    lab.loop.run(0.2)
    lab.check(len(lab.fleet(COUNT, open_all=False).open()) == COUNT, "new tunnels open afterwards")


def upstream_hangs_at_handshakes(lab: Lab):
    """one of two upstreams hangs (STOP) when 20 new clients come; proxy_read_timeout = 3 s"""
    echoes = [lab.echo(23901), lab.echo(23902)]
    lab.start(peers=TWO, idle=3, ping=1)
    echoes[0].send_signal(signal.SIGSTOP)
    started = time.monotonic()
    fleet = Fleet(lab.loop, PORT, COUNT)
    # The first ones must not be idle while the others wait.
    fleet.chat(0.5)
    fleet.connect()
    took = time.monotonic() - started
    lab.saw(f"{len(fleet.open())} of {COUNT} open after {took:.1f} s; refused: {dict(fleet.codes()) or 'none'}")
    lab.check(len(fleet.open()) == COUNT and took < 4, "all open at the other upstream, after one timeout")
    started = time.monotonic()
    again = lab.fleet(COUNT, open_all=False)
    took = time.monotonic() - started
    lab.saw(f"the next {len(again.open())} of {COUNT} after {took:.1f} s")
    lab.check(len(again.open()) == COUNT and took < 1, "the next ones do not wait")
    lab.check(fleet.all_answer() and again.all_answer(), "all answer")
    lab.lives()


def upstream_pauses(lab: Lab):
    """the upstream hangs for 3 s and goes on, within pong_timeout = 5 s"""
    echo = lab.echo()
    lab.start(pong=5)
    fleet = lab.fleet(COUNT)
    fleet.chat(0.1)
    lab.loop.run(1)
    echo.send_signal(signal.SIGSTOP)
    lab.loop.run(3)
    echo.send_signal(signal.SIGCONT)
    lab.loop.run(1)
    fleet.quiet()
    lab.saw(f"lost: {len(fleet.ended())} tunnels, {fleet.unanswered()} of {fleet.messages()} messages")
    lab.check(not fleet.ended() and not fleet.unanswered() and not fleet.wrong(), "nothing is lost")
    lab.lives()


def upstream_black_holed(lab: Lab):
    """packets from and to one of two upstreams are swallowed (iptables DROP); pings as above, proxy_connect_timeout = 2 s"""
    echoes, fleet = pair(lab, connect=2, idle=10)
    fleet.chat(0.5)
    lift = lab.swallow(23901)
    since = time.monotonic()
    result(lab, fleet, since, 6, 1001, "dead_peer")
    started = time.monotonic()
    again = lab.fleet(COUNT, open_all=False)
    lab.saw(f"new tunnels: {len(again.open())}/{COUNT} in {time.monotonic() - started:.1f} s")
    lab.check(len(again.open()) == COUNT, "new tunnels go to the other upstream")
    lift()


def upstream_reset(lab: Lab):
    """the upstream resets the connections of half the tunnels"""
    lab.echo()
    lab.start()
    fleet, others = lab.fleet(COUNT), lab.fleet(COUNT)
    fleet.say("!rst")
    since = time.monotonic()
    lab.loop.until(lambda: len(fleet.ended()) == COUNT, 5)
    took = time.monotonic() - since
    codes = ", ".join(f"{n} × {code}" for code, n in fleet.codes().items())
    lab.saw(f"{codes} after {took:.2f} s, others lost: {len(others.ended())}")
    lab.check(all(c.code == 1011 for c in fleet.clients) and took < 1, "Close 1011 within 1 s")
    lab.check(not others.ended() and others.all_answer(), "the others stay")
    lab.lives()


def upstream_half_closes(lab: Lab):
    """the upstream sends FIN without a Close and goes on reading; clients send 10 messages each afterwards"""
    lab.echo()
    lab.start()
    fleet = lab.fleet(COUNT)
    for client in fleet.clients:
        # A client that takes its time to answer a Close.
        client.paused = True
        fleet.watch(client)
    fleet.say("!fin")
    lab.loop.run(0.5)
    for number in range(10):
        fleet.say(f"late {number}")
    lab.loop.run(0.5)
    fleet.pause(False)
    lab.loop.until(lambda: len(fleet.ended()) == COUNT, 8)
    late = lab.stats().get("after fin", 0)
    codes = ", ".join(f"{n} × {code}" for code, n in fleet.codes().items())
    lab.saw(f"{codes}; {late} of {10 * COUNT} later messages reach it")
    lab.check(late == 10 * COUNT, "what the client still sends arrives")
    lab.check(all(c.code == 1011 for c in fleet.clients), "Close 1011")
    lab.lives()
