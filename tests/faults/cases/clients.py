"""Clients that vanish, lose packets, stop reading, and come back all at once."""

import time

import frames
from fleet import Fleet
from lab import Lab
from proxies import PORT

MIB = 1 << 20


def client_vanishes(lab: Lab):
    """packets from and to 20 clients are swallowed (iptables DROP) while 20 others chat; ping_interval = pong_timeout = 2 s"""
    lab.echo()
    lab.start()
    lost, others = lab.fleet(20, source="127.0.0.50"), lab.fleet(20)
    others.chat(0.2)
    lab.loop.run(0.5)
    since = time.monotonic()
    lab.filter("-s", "127.0.0.50", "-j", "DROP")
    lab.filter("-d", "127.0.0.50", "-j", "DROP")
    found = lab.loop.until(lambda: lab.stats().get("ended", 0) >= 20, 12)
    took = time.monotonic() - since
    closes = lab.stats().get("close 1001", 0)
    lab.saw(f"the upstream gets {closes} × Close 1001" + (f" after {took:.1f} s" if found else ", nothing in 12 s"))
    lab.saw(f"others lost: {len(others.ended())}")
    lab.check(found and took < 6, "found within 6 s")
    lab.check(closes == 20, "the upstream gets Close 1001")
    lab.check(not others.ended() and others.all_answer(), "the others stay")
    if lab.is_wayhold():
        lab.counted({"dead_peer": 20})
    lab.lives()


def loss_and_distance(lab: Lab):
    """100 idle and 20 chatting clients behind 300 ms of round trip (an own relay) and 1 % loss (iptables statistic) on the way to the proxy, pinged after 1 s of silence, pong within 3 s; 20 s, in full ten minutes"""
    lab.echo()
    lab.start(ping=1, pong=3, idle=900)
    lab.delay(23081, PORT, 150)
    rules = [
        lab.filter("-p", "tcp", way, PORT, "-m", "statistic", "--mode", "random", "--probability", "0.01", "-j", "DROP")
        for way in ("--sport", "--dport")
    ]
    idle, chat = lab.fleet(100, port=23081), lab.fleet(20, port=23081)
    chat.chat(0.5)
    lab.loop.run(600 if lab.full else 20)
    for lift in rules:
        lift()
    chat.quiet()
    pings = sum(c.pings for c in idle.clients)
    lost = len(idle.ended()) + len(chat.ended())
    lab.saw(f"{pings} pings answered, {chat.messages()} messages; lost: {lost} of 120 tunnels, {chat.unanswered()} messages")
    lab.saw(f"p99 of a message {chat.p99():.0f} ms")
    lab.check(not lost, "no tunnel is lost")
    lab.check(not chat.unanswered() and not chat.wrong(), "no message is lost")
    if lab.is_wayhold():
        rounds = lab.proxy.metric("ws_ping_rtt_seconds_count", 'side="client"')
        mean = lab.proxy.metric("ws_ping_rtt_seconds_sum", 'side="client"') / max(rounds, 1)
        lab.saw(f"{rounds:.0f} round trips measured, {1000 * mean:.0f} ms on average")
        lab.check(pings > 100 * 10 and 0.3 <= mean < 0.5, "pings took the long way")
        lab.check(not lab.proxy.causes(), f"nobody is ended: {lab.proxy.causes()}")
    lab.lives()


loss_and_distance.at_once = True


def stopped_reader(lab, size):
    """A client stops reading while its peer sends: the slow one is closed, the others live well."""
    total = 1024 * MIB
    lab.echo(23901)
    lab.start(send=5, ping=25, pong=20)
    others = lab.fleet(50)
    others.chat(0.02)
    lab.loop.run(1)
    others.p99()
    lab.loop.run(3)
    control, before = others.p99(), lab.proxy.rss()
    slow = lab.fleet(1)
    slow.say(f"!flood {total} {size or total}")
    slow.pause(True)
    since, most = time.monotonic(), 0

    def over():
        nonlocal most
        most = max(most, lab.proxy.rss())
        return lab.stats().get("ended", 0) >= 1

    ended = lab.loop.until(over, 12)
    # The stop began when the buffers on the way were full, within the first moments.
    took = time.monotonic() - since
    fault = others.p99()
    lab.saw(f"closed after {took:.1f} s" if ended else "not closed in 12 s")
    lab.saw(f"memory +{max(0, most - before)} KiB; p99 of the others {control:.1f} → {fault:.1f} ms; others lost: {len(others.ended())}")
    lab.check(ended and 4 <= took <= 6, "closed after 5 ± 1 s")
    lab.check(most - before < 4096, "memory grows by less than 4 MiB")
    lab.check(fault < max(3 * control, control + 20), "the others' p99 stays")
    lab.check(not others.ended() and others.all_answer(), "the others stay")
    if lab.is_wayhold():
        lab.counted({"slow_consumer": 1})
    lab.lives()


def reader_stops_in_one_message(lab: Lab):
    """a client stops reading while its peer sends one message of 1 GiB; send timeout 5 s, 50 others chat"""
    stopped_reader(lab, 0)


def reader_stops_among_messages(lab: Lab):
    """the same with 16,384 messages of 64 KiB"""
    stopped_reader(lab, 64 * 1024)


def reader_pauses(lab: Lab):
    """a client stops reading for 3 s (send timeout 5 s) and then reads everything; 64 MiB, in full 1 GiB, in messages of 64 KiB"""
    size, total = 64 * 1024, (1024 if lab.full else 64) * MIB
    lab.echo()
    lab.start(send=5, ping=25, pong=20)
    fleet = lab.fleet(1)
    client = fleet.clients[0]
    client.sink = True
    before = lab.proxy.rss()
    fleet.say(f"!flood {total} {size}")
    fleet.pause(True)
    lab.loop.run(3)
    held = lab.proxy.rss() - before
    fleet.pause(False)
    wanted = total // size * (size + 10)
    done = lab.loop.until(lambda: client.bytes >= wanted or client.ended, 120)
    lab.saw(f"{client.bytes // MIB} of {wanted // MIB} MiB arrive, memory +{max(0, held)} KiB meanwhile")
    lab.check(done and client.bytes == wanted and client.is_open, "every byte arrives")
    lab.check(client.crc == expected_crc(total, size), "and is right")
    lab.check(held < 4096, "memory grows by less than 4 MiB")
    lab.lives()


def expected_crc(total, size):
    import zlib

    block = frames.header(frames.BINARY, size) + bytes(range(256)) * (size // 256)
    crc = 0
    for _ in range(total // size):
        crc = zlib.crc32(block, crc)
    return crc


def upstream_stops_reading(lab: Lab):
    """an upstream hangs (STOP) while a client sends it 1 GiB; send timeout 5 s, 50 others chat with another upstream"""
    import signal

    lab.echo(23901)
    other = lab.echo(23902)
    lab.start(peers=["127.0.0.1:23901", "127.0.0.1:23902"], send=5, ping=25, pong=20)
    fleet = lab.fleet(52)
    fleet.all_answer()
    other.send_signal(signal.SIGSTOP)
    living = Fleet(lab.loop, PORT, 0)
    reached = {c.number: c.answered for c in fleet.open()}
    fleet.all_answer(1)
    living.clients = [c for c in fleet.clients if c.answered > reached[c.number]]
    stuck = next(c for c in fleet.clients if c.answered == reached[c.number])
    living.chat(0.2)
    # Its frame never ends; the socket's buffers and Wayhold's bound how much is taken.
    key = b"\0\0\0\0"
    stuck.out += frames.header(frames.BINARY, 1024 * MIB, key)
    before, most, since, given = lab.proxy.rss(), 0, time.monotonic(), 0

    def over():
        nonlocal most, given
        most = max(most, lab.proxy.rss())
        if stuck.ended is None and len(stuck.out) < MIB and given < 1024 * MIB:
            stuck.out += bytes(MIB)
            given += MIB
            fleet.flush(stuck)
        return stuck.ended is not None

    ended = lab.loop.until(over, 12)
    took = time.monotonic() - since
    lab.saw(f"closed after {took:.1f} s" if ended else "not closed in 12 s")
    lab.saw(f"memory +{max(0, most - before)} KiB after {given // MIB} MiB were sent")
    lab.check(ended and 4 <= took <= 6.5, "closed after 5 ± 1 s")
    lab.check(most - before < 4096, "memory grows by less than 4 MiB")
    lab.check(living.clients and all(c.is_open for c in living.clients), "the others stay")
    other.send_signal(signal.SIGCONT)
    if lab.is_wayhold():
        lab.counted({"slow_consumer": 1})
    lab.lives()


def everybody_reconnects(lab: Lab):
    """both upstreams are killed and started again; all clients (1,000, in full 9,000) reconnect at the same moment; three times"""
    count = 9000 if lab.full else 1000
    ports = (23901, 23902)
    echoes = [lab.echo(port) for port in ports]
    lab.start(peers=[f"127.0.0.1:{port}" for port in ports], ping=25, pong=20)
    fleet = lab.fleet(count)
    memory, times = [lab.proxy.rss()], []
    for _ in range(3):
        for echo in echoes:
            echo.kill()
            echo.wait()
        told = lab.loop.until(lambda: len(fleet.ended()) == count, 30)
        lab.check(told and fleet.codes() == {1011: count}, f"all are told by Close 1011: {dict(fleet.codes())}")
        echoes = [lab.echo(port) for port in ports]
        since = time.monotonic()
        fleet = Fleet(lab.loop, PORT, count)
        opened = fleet.connect(patience=60, batch=count)
        times.append(time.monotonic() - since)
        lab.check(opened == count, f"all are back: {opened}, {dict(fleet.codes())}")
        lab.check(fleet.all_answer(30), "all answer")
        memory.append(lab.proxy.rss())
    lab.saw(f"{opened} of {count} are back after {', '.join(f'{took:.1f}' for took in times)} s")
    lab.saw(f"memory {' → '.join(str(kib // 1024) for kib in memory)} MiB")
    growth = [after - before for before, after in zip(memory, memory[1:])]
    lab.check(memory[3] < memory[0] + 64 * count, "memory stays below 64 KiB for each")
    lab.check(growth[2] < growth[0] / 2 + 4096, "each storm adds less than the one before")
    if lab.is_wayhold():
        active = lab.proxy.metric("ws_tunnels_active")
        lab.check(active == count, f"tunnels counted: {active:.0f}")
    lab.lives()
