"""The measurements of a run, asked for by name: medians, spreads, and ratios within a round."""

from statistics import median

# With buffers of 64 KiB, for large messages.
BUFFERED = ("nginx 64k", "haproxy 64k")


class Figures:
    def __init__(self, results):
        self.all = [taken for taken in results["measurements"] if "error" not in taken]

    def rounds(self, kind, proxy, tls, what, path):
        """By round, the median of what was measured several times in it; `path` leads to the figure."""
        found = {}
        for taken in self.all:
            if (taken["kind"], taken["proxy"], taken["tls"], taken["what"]) == (kind, proxy, tls, what):
                value = taken
                for name in path.split("."):
                    value = value[name]
                found.setdefault(taken["round"], []).append(value)
        return {number: median(values) for number, values in found.items()}

    def spread(self, *key):
        """Median, least and most; None when nothing was measured."""
        return spread(self.rounds(*key).values())

    def ratio(self, kind, proxy, to, tls, what, path):
        """Of one proxy's figure to another's of the same round."""
        ours, theirs = (self.rounds(kind, name, tls, what, path) for name in (proxy, to))
        return spread(ours[number] / theirs[number] for number in ours if theirs.get(number))

    def best(self, kind, tls, what, path, among):
        """The name of the cheapest of these."""
        known = {name: self.spread(kind, name, tls, what, path) for name in among}
        known = {name: found[0] for name, found in known.items() if found}
        return min(known, key=known.get) if known else None


def spread(values):
    values = list(values)
    return (median(values), min(values), max(values)) if values else None


CPU = "cpu_us_per_message"
HANDSHAKE = "cpu_us_per_handshake"
UP = "all_up_s"


def bytes_path(reading):
    return f"bytes_per_conn.{reading}.pss"
