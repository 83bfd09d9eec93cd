"""Writes RESULTS.md: what was done, and what each proxy did."""

import os
import subprocess
import time

from proxies import HAProxy, Nginx, Wayhold

HEAD = """# Faults: what was done, and what happened

Written by `tests/faults/run {mode}--peers --write` on {day}: {versions}. {cores} cores, shared with other work;
what matters is what stays, and figures against a control in the same run. Everything happens in a network and mount
namespace of the run's own; clients and upstreams are on the same machine. nginx and HAProxy are set up for the same:
the same timeouts, as far as they have them. They send no pings, and say no Close of their own; the sentences behind
**not** are what the case asks of Wayhold and does not hold for them.

| fault | what was done | Wayhold | nginx | HAProxy |
|---|---|---|---|---|
"""


def version(kind, *flags):
    said = subprocess.run([kind.program, *flags], capture_output=True, text=True)
    words = (said.stdout + said.stderr).split("\n")[0]
    words = words.replace("HAProxy version", "HAProxy").rpartition("version: ")[2]
    return words.replace("/", " ").split(" - ")[0].split(" 20")[0]


def cell(text):
    return (text or "–").replace("|", "\\|").replace("\n", " ")


def write(path, rows, full):
    """Writes the page; rows of faults that were not run now, and what stands below the table, are kept."""
    versions = [version(Wayhold, "-v"), version(Nginx, "-v"), version(HAProxy, "-v")]
    head = HEAD.format(
        mode="--full " if full else "",
        day=time.strftime("%Y-%m-%d"),
        versions=", ".join(versions),
        cores=os.cpu_count(),
    )
    before = path.read_text() if path.exists() else ""
    kept = {line.split(" | ")[0]: line for line in before.splitlines() if line.startswith("| ")}
    lines = []
    for name, done, cells in rows:
        first = "| " + name.replace("_", " ")
        if cells is None:
            lines += [kept[first]] if first in kept else []
            continue
        columns = [done, *(cells.get(kind, "") for kind in ("Wayhold", "nginx", "HAProxy"))]
        lines.append(" | ".join([first, *map(cell, columns)]) + " |")
    _, heading, notes = before.partition("\n## ")
    path.write_text(head + "\n".join(lines) + "\n" + heading + notes)
