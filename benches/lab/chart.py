"""chart.svg: what Wayhold and its peers cost, as multiples of what nginx costs. No background of its
own; readable on a light one and on a dark one."""

from figures import CPU, HANDSHAKE, Figures, bytes_path

GROUPS = [
    ("CPU per message", [
        ("ws, 64 B", "run", False, "W1", CPU, "µs"),
        ("ws, 64 KiB", "run", False, "W4", CPU, "µs"),
        ("ws, 1 MiB", "run", False, "W5", CPU, "µs"),
        ("wss, 64 B", "run", True, "W1", CPU, "µs"),
        ("wss, 64 KiB", "run", True, "W4", CPU, "µs"),
        ("wss, 1 MiB", "run", True, "W5", CPU, "µs"),
    ]),
    ("CPU per handshake", [
        ("ws", "handshake", False, "plain", HANDSHAKE, "µs"),
        ("wss", "handshake", True, "full", HANDSHAKE, "µs"),
    ]),
    ("Memory per idle tunnel", [
        ("ws", "idle", False, "idle", bytes_path("idle"), "B"),
        ("wss", "idle", True, "idle", bytes_path("idle"), "B"),
        ("wss, after 16 KiB", "idle", True, "idle", bytes_path("touched"), "B"),
    ]),
]
BARS = (("wayhold", "Wayhold"), ("haproxy", "HAProxy"), ("haproxy 64k", "HAProxy, 64k buffers"),
        ("nginx 64k", "nginx, 64k buffers"), ("nginx", "nginx"))

WIDTH, LEFT, UNIT = 760, 150, 330  # UNIT: the width of nginx's bar
LIMIT = 1.5                       # longer bars are cut off
BAR, GAP, ROW, TITLE = 9, 2, 12, 30

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a; }
.title { font-weight: 600; fill: #24292f; }
.value { font-size: 10px; }
.wayhold { fill: #1a7f64; } .haproxy { fill: #a57cc2; } .haproxy64k { fill: #d3bde2; }
.nginx { fill: #9aa4af; } .nginx64k { fill: #c3cad1; }
.value.ours { fill: #1a7f64; font-weight: 600; }
.one { stroke: #8c959f; stroke-dasharray: 2 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #9da7b1; } .title { fill: #e6edf3; }
  .wayhold { fill: #3fb68f; } .haproxy { fill: #a27fc0; } .haproxy64k { fill: #6d5284; }
  .nginx { fill: #6e7781; } .nginx64k { fill: #4b535c; }
  .value.ours { fill: #3fb68f; }
}
"""


def svg(results):
    figures = Figures(results)
    parts, top = [], 44
    for title, rows in GROUPS:
        drawn = [row for row in (draw(figures, *row) for row in rows) if row]
        if not drawn:
            continue
        parts.append(f'<text class="title" x="0" y="{top + 14}">{title}</text>')
        top += TITLE
        for label, bars in drawn:
            middle = top + len(bars) * (BAR + GAP) / 2 + 3
            parts.append(f'<text x="{LEFT - 10}" y="{middle:.0f}" text-anchor="end">{label}</text>')
            for bar in bars:
                parts.append(bar.format(y=top, text=top + BAR - 1))
                top += BAR + GAP
            top += ROW
        top += 6
    if not parts:
        return ""
    one = f'<line class="one" x1="{LEFT + UNIT}" x2="{LEFT + UNIT}" y1="40" y2="{top}"/>'
    note = f'<text class="value" x="{LEFT + UNIT}" y="34" text-anchor="middle">nginx = 1</text>'
    body = "\n".join([legend(), note, one, *parts])
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
            f'role="img" aria-label="CPU and memory of Wayhold, HAProxy and nginx, as multiples of nginx">\n'
            f"<style>{STYLE}</style>\n{body}\n</svg>\n")


def draw(figures, label, kind, tls, what, path, unit):
    if not figures.ratio(kind, "wayhold", "nginx", tls, what, path):
        return None
    bars = []
    for name, _ in BARS:
        found = figures.spread(kind, name, tls, what, path)
        ratio = figures.ratio(kind, name, "nginx", tls, what, path)
        if found and ratio:
            bars.append(bar(name, ratio[0], found[0], unit))
    return label, bars


def bar(name, ratio, value, unit):
    width = max(1, min(ratio, LIMIT) * UNIT)
    cut = " ▸" if ratio > LIMIT else ""
    ours = " ours" if name == "wayhold" else ""
    amount = f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
    return (f'<rect class="{css(name)}" x="{LEFT}" y="{{y}}" width="{width:.1f}" height="{BAR}" rx="1.5"/>'
            f'<text class="value{ours}" x="{LEFT + width + 5:.1f}" y="{{text}}">'
            f"{ratio:.2f} · {amount} {unit}{cut}</text>")


def css(name):
    return name.replace(" ", "")


def legend():
    parts, x = [], LEFT
    for name, label in BARS:
        parts.append(f'<rect class="{css(name)}" x="{x:.0f}" y="6" width="10" height="10" rx="1.5"/>'
                     f'<text x="{x + 15:.0f}" y="15">{label}</text>')
        x += 30 + 6.4 * len(label)
    return "\n".join(parts)
