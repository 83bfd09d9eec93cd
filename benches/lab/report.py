"""The tables of RESULTS.md."""

from figures import BUFFERED, CPU, HANDSHAKE, UP, Figures, bytes_path
from measure import LARGE, PLAIN, SHARE, SMALL, TLS, WORKLOADS

ROWS = ("floor", "floor splice", "nginx", "nginx 64k", "haproxy", "haproxy 64k", "wayhold")
NAMES = {"floor": "floor (copy)", "floor splice": "floor (splice)", "nginx": "nginx", "nginx 64k": "nginx, 64k buffers",
         "haproxy": "HAProxy", "haproxy 64k": "HAProxy, 64k buffers", "wayhold": "**Wayhold**"}


def markdown(results):
    figures = Figures(results)
    parts = [head(results["environment"]), *messages(figures), memory(figures), handshakes(figures), storm(figures),
             latency(figures), targets(figures), trouble(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def head(env):
    versions = env["versions"]
    quick = "\n\n**A quick run: one round of short runs. These figures mean little.**" if env["quick"] else ""
    return (
        "# Wayhold beside nginx, HAProxy and a bare relay\n\n"
        "Written by `benches/run`; README.md says what is measured, results.json has every round. Each cell is the "
        f"median and, in parentheses, the least and the most of the rounds ({env['rounds']}; idle: every "
        "other one). A ratio is taken within a round, then its median over the rounds.\n\n"
        f"Wayhold {versions['wayhold']} · nginx {versions['nginx']} · HAProxy {versions['haproxy']} · Linux "
        f"{env['kernel']} · {env['cpu']}, {env['cores']} cores · {env['date']} · {env['minutes']} minutes{quick}"
    )


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(found, form=number):
    if not found:
        return "–"
    middle, least, most = map(form, found)
    return middle if least == most else f"{middle} ({least}–{most})"


def table(first, columns, rows):
    """Rows without a figure are left out; without rows, so is the table."""
    rows = [row for row in rows if any(text != "–" for text in row[1:])]
    if not rows:
        return ""
    lines = [[first, *columns], ["---"] + ["--:"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def titled(title, text):
    return f"## {title}\n\n{text}" if text else ""


def messages(figures):
    legend = " · ".join(f"{name}: {conns} × {inflight} × {size(count)}"
                        for name, (conns, inflight, count) in WORKLOADS.items())
    for tls, scheme, known in ((False, "ws → ws", PLAIN), (True, "wss → ws", TLS)):
        absolute = table(scheme, WORKLOADS, (
            [NAMES[name], *(cell(figures.spread("run", name, tls, what, CPU)) for what in WORKLOADS)] for name in ROWS))
        if not absolute:
            continue
        ratios = table("Wayhold ÷", WORKLOADS, (
            [NAMES[name], *(cell(figures.ratio("run", "wayhold", name, tls, what, CPU)) for what in WORKLOADS)]
            for name in ROWS if name != "wayhold"))
        yield titled(f"CPU µs per message, {scheme}",
                     f"Connections × messages in flight on each × bytes: {legend}.\n\n{absolute}\n\n{ratios}")


def size(count):
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count // factor} {unit}"
    return f"{count} B"


def memory(figures):
    readings = [(tls, reading) for tls in (False, True) for reading in ("idle", "touched", "closed")]
    said = {"idle": "", "touched": ", after 16 KiB", "closed": ", left when closed"}
    columns = [f"{'wss' if tls else 'ws'}{said[reading]}" for tls, reading in readings]
    whole = lambda value: f"{value:,.0f}"
    rows = ([NAMES[name], *(cell(figures.spread("idle", name, tls, "idle", bytes_path(reading)), whole)
                            for tls, reading in readings)] for name in ROWS)
    return titled("Bytes of process memory (pss) per idle connection", table("", columns, rows))


def handshakes(figures):
    kinds = ((False, "plain"), (True, "full"), (True, "resumed"))
    columns = ["plain", "TLS full (P-256)", "TLS resumed"]
    rows = [[NAMES[name], *(cell(figures.spread("handshake", name, tls, what, HANDSHAKE)) for tls, what in kinds)]
            for name in ROWS]
    rows += [[f"Wayhold ÷ {NAMES[name]}", *(cell(figures.ratio("handshake", "wayhold", name, tls, what, HANDSHAKE))
                                            for tls, what in kinds)] for name in ("nginx", "haproxy")]
    return titled("CPU µs per handshake (connect, TLS, upgrade, one message, close)", table("", columns, rows))


def storm(figures):
    columns = ["ws: all up, s", "wss: all up, s", "failed, ws", "failed, wss"]
    rows = []
    for name in ROWS:
        failed = [figures.spread("storm", name, tls, "storm", "failed") for tls in (False, True)]
        rows.append([NAMES[name], *(cell(figures.spread("storm", name, tls, "storm", UP)) for tls in (False, True)),
                     *(f"{found[2]}" if found else "–" for found in failed)])
    conns = {taken["conns"] for taken in figures.all if taken["kind"] == "storm"}
    return titled(f"A storm of {max(conns, default=0):,} connections at once", table("", columns, rows))


def latency(figures):
    cells = [(tls, what, part) for tls in (False, True) for what in ("W1", "W3") for part in ("p50", "p99")]
    columns = [f"{'wss' if tls else 'ws'} {what} {part}" for tls, what, part in cells]

    def of(kind):
        rows = ([NAMES[name], *(cell(figures.spread(kind, name, tls, what, f"latency_us.{part}"), "{:,.0f}".format)
                                for tls, what, part in cells)] for name in ROWS)
        return table("", columns, rows)

    notes = [("run", "Under full load in a closed loop, where it mirrors throughput.\n\n"),
             ("pace", f"At {SHARE:.0%} of what nginx could carry at most in the same round, sent by the clock, in short "
                     "windows; of a round, their median.\n\n")]
    text = "\n\n".join(note + of(kind) for kind, note in notes if of(kind))
    return titled("Latency, µs", text)


P99 = "latency_us.p99"
# What is wanted: (what, kind, tls, workloads, figure, the peer, the most).
TARGETS = [
    ("small messages plain ÷ floor", "run", False, SMALL, CPU, "floor", 1.05),
    ("small messages plain ÷ nginx", "run", False, SMALL, CPU, "nginx", 1.0),
    ("64 KiB plain ÷ floor", "run", False, ("W4",), CPU, "floor", 1.0),
    ("1 MiB plain ÷ floor", "run", False, ("W5",), CPU, "floor", 0.6),
    ("large messages plain ÷ nginx", "run", False, LARGE, CPU, "nginx", 0.3),
    ("small messages wss ÷ nginx", "run", True, SMALL, CPU, "nginx", 0.9),
    ("large messages wss ÷ nginx", "run", True, LARGE, CPU, "nginx", 0.4),
    ("large messages wss ÷ the best peer", "run", True, LARGE, CPU, None, 1.0),
    ("p99 at 70 % load, plain ÷ nginx", "pace", False, ("W1", "W3"), P99, "nginx", 1.0),
    ("p99 at 70 % load, wss ÷ nginx", "pace", True, ("W1", "W3"), P99, "nginx", 1.0),
    ("handshake plain ÷ nginx", "handshake", False, ("plain",), HANDSHAKE, "nginx", 1.1),
    ("handshake TLS full ÷ nginx", "handshake", True, ("full",), HANDSHAKE, "nginx", 0.55),
    ("storm plain ÷ nginx", "storm", False, ("storm",), UP, "nginx", 1.0),
    ("storm TLS ÷ nginx", "storm", True, ("storm",), UP, "nginx", 1.0),
]
# (what, tls, reading, the most bytes)
BYTES = [
    ("idle ws tunnel", False, "idle", 1024),
    ("idle ws tunnel, after 16 KiB", False, "touched", 1024),
    ("idle wss tunnel", True, "idle", 6144),
    ("idle wss tunnel, after 16 KiB", True, "touched", 6144),
]


def targets(figures):
    rows = []
    for what, kind, tls, workloads, path, peer, most in TARGETS:
        found = []
        for workload in workloads:
            to = peer or figures.best(kind, tls, workload, path, ("nginx", "haproxy", *BUFFERED))
            found.append(to and figures.ratio(kind, "wayhold", to, tls, workload, path))
        if all(found):
            met = all(ratio[0] <= most for ratio in found)
            rows.append([what, f"≤ {most}", " · ".join(cell(ratio) for ratio in found), "yes" if met else "**no**"])
    for what, tls, reading, most in BYTES:
        if found := figures.spread("idle", "wayhold", tls, "idle", bytes_path(reading)):
            met = found[0] <= most
            rows.append([what, f"≤ {most:,} B", cell(found), "yes" if met else "**no**"])
    return titled("Targets", table("", ["target", "measured", "met"], rows))


def trouble(results):
    """What did not go well, and when somebody else was running."""
    lines = []
    for taken in results["measurements"]:
        name = f"{NAMES[taken['proxy']]}, {'wss' if taken['tls'] else 'ws'} {taken['what']}, round {taken['round'] + 1}"
        if not taken["clean"]:
            lines.append(f"- {name}: {taken.get('error') or taken['integrity']}")
    noisy = [taken for taken in results["measurements"] if taken.get("cores", {}).get("others", 0) > 0.3]
    if noisy:
        lines.append(f"- in {len(noisy)} of {len(results['measurements'])} measurements others kept more than 0.3 "
                     "cores busy: distrust these figures")
    return titled("To be distrusted", "\n".join(lines))
