"""Writes RESULTS.md: what was done, and what each proxy did."""

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
    return words.replace("nginx version: ", "").replace("/", " ").split(" - ")[0].split(" 20")[0]


def cell(text):
    return (text or "–").replace("|", "\\|").replace("\n", " ")


def write(path, rows, full):
    import os

    versions = [version(Wayhold, "-v"), version(Nginx, "-v"), version(HAProxy, "-v")]
    head = HEAD.format(
        mode="--full " if full else "",
        day=time.strftime("%Y-%m-%d"),
        versions=", ".join(versions),
        cores=os.cpu_count(),
    )
    lines = []
    for name, done, cells in rows:
        columns = [name.replace("_", " "), done, *(cells.get(kind, "") for kind in ("Wayhold", "nginx", "HAProxy"))]
        lines.append("| " + " | ".join(map(cell, columns)) + " |\n")
    path.write_text(head + "".join(lines) + open(path.with_name("NOTES.md")).read() if path.with_name("NOTES.md").exists() else head + "".join(lines))
