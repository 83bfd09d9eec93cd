"""What the suite found in a run, and what is wrong about it."""

import json
from collections import Counter

import cases

# Of a case's report: the two verdicts, how the connection ended, and what the suite received, by
# message and in frames of each opcode.
FIELDS = (
    "behavior",
    "behaviorClose",
    "remoteCloseCode",
    "remoteCloseReason",
    "closedByMe",
    "droppedByMe",
    "wasClean",
    "received",
    "rxFrameStats",
)
# What the endpoint's own verdicts may be: a run in which everything fails would compare well too.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


# A case that differs is run again twice, both ways. It is taken for the suite's own timing if it was one
# of its timers, of half a second or more, that ended the case, and neither run shows it again; of these
# there may be so many in a run.
REPEATS, STALLS = 2, 3


class Verdict(dict):
    """The fields, which are compared, and whether a timer of the suite ended the case."""

    def __init__(self, report):
        super().__init__({field: report[field] for field in FIELDS})
        self.timer = ["KLE"] in report["wirelog"] or ["TIE"] in report["wirelog"]
        self.good = {report["behavior"], report["behaviorClose"]} <= GOOD


def read(folder, agent):
    """{case: Verdict} of the suite's report."""
    index = json.loads((folder / "index.json").read_text())[agent]
    return {case: Verdict(json.loads((folder / entry["reportfile"]).read_text())) for case, entry in index.items()}


def difference(before, now):
    if now is None:
        return "not run"
    changed = [field for field in FIELDS if before[field] != now[field]]
    return ", ".join(f"{field} {str(before[field])[:60]} → {str(now[field])[:60]}" for field in changed)


def doubtful(run, direct):
    """The cases to repeat: those that differ and should not, or are not good without Wayhold."""
    if run is direct:
        return [case for case in run.cases if case in run.verdicts and not run.verdicts[case].good]
    return [case for case in run.cases if case not in run.ended and run.verdicts.get(case) != direct.verdicts.get(case)]


def stalled(run, case, accepted):
    """Whether the verdict is the timer's, and the repetitions are as they should be."""
    again = [found[case] for found in run.repeated if case in found]
    return case in run.verdicts and run.verdicts[case].timer and len(again) == REPEATS and all(map(accepted, again))


def of_direct(run):
    """What is wrong about a run without Wayhold: all that the others are compared with."""
    wrong = []
    for case in run.cases:
        verdict = run.verdicts.get(case)
        if verdict is None:
            wrong.append(f"{run.name}: case {case}: not run")
        elif not verdict.good:
            if stalled(run, case, lambda again: again.good):
                run.stalls.append(case)
            else:
                wrong.append(f"{run.name}: case {case}: {verdict['behavior']}, {verdict['behaviorClose']}")
    return wrong + too_many(run)


def of_run(run, direct):
    """What is wrong about a run through Wayhold."""
    wrong = []
    for case in sorted({*run.cases, *run.verdicts}, key=cases.order):
        before, now = direct.good(case), run.verdicts.get(case)
        if case not in run.cases:
            wrong.append(f"{run.name}: case {case}: not wanted")
        elif not before:
            # Said of the direct run.
            continue
        elif case in run.ended:
            if now is None or now in before or now["remoteCloseCode"] != cases.TOO_BIG:
                wrong.append(f"{run.name}: case {case}: not ended by the limit")
        elif now not in before:
            if stalled(run, case, lambda again: again in before):
                run.stalls.append(case)
            else:
                wrong.append(f"{run.name}: case {case}: {difference(before[0], now)}")
    if run.limit and not run.ended:
        wrong.append(f"{run.name}: no case exceeds the limit")
    if run.connections != run.expected_connections:
        wrong.append(f"{run.name}: {run.connections} tunnels in the log, not {run.expected_connections}")
    return wrong + too_many(run)


def too_many(run):
    return [f"{run.name}: timers ended {run.stalls}"] if len(run.stalls) > STALLS else []


def row(run, direct):
    """Its line of the table."""
    count = Counter(verdict["behavior"] for verdict in run.verdicts.values())
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in count.most_common())
    ended = run.ended & set(run.verdicts)
    changed = [case for case in run.verdicts if case not in ended and run.verdicts[case] not in direct.good(case)]
    differ = "–" if run is direct else str(len(set(changed) - set(run.stalls)))
    if ended:
        differ += f", and {len(ended)} ended by the limit"
    if run.stalls:
        differ += f" (a timer, not again: {', '.join(run.stalls)})"
    limit = f"`{run.limit}`" if run.limit else "–"
    return (run.kind, run.way, limit, str(len(run.verdicts)), verdicts, differ, f"{run.seconds:.0f} s")
