"""The report: Scaletune's policies ranked beside the recorded results of its peers.

Ranks are over the (box, seed) pairs that every row has; ties share. Regrets are averaged over seeds
first, then over boxes by the geometric mean, where less than a floor counts as the floor: below it
is luck.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

Row = Mapping[str, str]
Figures = dict[str, float]
Pair = tuple[str, int]  # box, seed
Results = Mapping[str, Mapping[Pair, Figures]]
PERCENTS = ("r25", "r50", "r100")
FLOORS = {"r25": 0.005, "r50": 0.005, "r100": 0.005, "full100": 0.01, "named100": 0.01}
NAMED = "named100"  # of the trial that the study's status names best, which of peers is not known
WORST = 2.0
# Those that ran on every box: a rank means the same whatever boxes are chosen.
PEERS = (
    *("random", "optuna-tpe", "ray-asha", "ray-asha-4brackets", "ray-median"),
    *("syne-asha-stop", "syne14-asha-promotion", "syne14-hyperband"),
)


def read(path: Path, workers: int) -> dict[str, dict[Pair, Figures]]:
    """The recorded results, peer by peer."""
    found: dict[str, dict[Pair, Figures]] = {}
    if not path.is_file():
        return found
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if int(row["W"]) == workers:
                pair = row["box"], int(row["seed"])
                found.setdefault(row["peer"], {})[pair] = {
                    name: float(row[name] or WORST) for name in FLOORS if name != NAMED
                }
    return found


def comparable(ours: Results, peers: Results) -> dict[str, Mapping[Pair, Figures]]:
    """Ours, and the peers that ran on all boxes of ours."""
    boxes = {box for results in ours.values() for box, _ in results}
    whole = {
        name: peers[name]
        for name in PEERS
        if name in peers and boxes <= {box for box, _ in peers[name]}
    }
    return {**whole, **ours}


def table(rows: Results) -> list[list[str]]:
    """The lines of the table, the best final rank first."""
    pairs = _shared(rows)
    if not pairs:
        return []
    ranks = {name: {at: _ranks(rows, pairs, name, at) for at in PERCENTS} for name in rows}
    lines = []
    for name in sorted(rows, key=lambda each: fmean(ranks[each]["r100"])):
        cells = [_with_error(ranks[name][at]) for at in PERCENTS]
        known = [at for at in FLOORS if at in rows[name][pairs[0]]]
        cells += [f"{geometric(rows[name], pairs, at):.4f}" for at in known]
        cells += ["–"] * (len(FLOORS) - len(known))
        lines.append([name, *cells])
    return lines


def by_box(rows: Results, at: str) -> list[list[str]]:
    """The mean regret on each box."""
    pairs = _shared(rows)
    boxes = sorted({box for box, _ in pairs})
    lines = [["", *boxes]]
    for name, results in rows.items():
        means = [[results[pair][at] for pair in pairs if pair[0] == box] for box in boxes]
        lines.append([name, *(_with_error(each, digits=3) for each in means)])
    return lines


def against(rows: Results, other: str, at: str, others: str | None = None) -> list[list[str]]:
    """How much more regret than another row, on each box: the mean of paired differences.

    With `others`, the other row's regret is that one.
    """
    pairs = _shared(rows)
    boxes = sorted({box for box, _ in pairs})
    lines = [["", *boxes]]
    for name, results in rows.items():
        if at not in results[pairs[0]]:
            continue
        more = {pair: results[pair][at] - rows[other][pair][others or at] for pair in pairs}
        of = [[more[pair] for pair in pairs if pair[0] == box] for box in boxes]
        lines.append([name, *(_with_error(each, digits=3) for each in of)])
    return lines


def times(rows: Results, other: str) -> list[list[str]]:
    """How many times another row's regret: of the means, and in brackets of the pairs one by one.

    The pairs' has a standard error, as a factor.
    """
    pairs = _shared(rows)
    lines = []
    for name, results in rows.items():
        cells = []
        for at, floor in FLOORS.items():
            ratio = geometric(results, pairs, at) / geometric(rows[other], pairs, at)
            logs = [
                math.log(max(results[pair][at], floor) / max(rows[other][pair][at], floor))
                for pair in pairs
            ]
            error = stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
            paired = f"{math.exp(fmean(logs)):.2f}, × or ÷ {math.exp(error):.2f}"
            cells.append(f"{ratio:.2f} ({paired})")
        lines.append([name, *cells])
    return lines


def geometric(results: Mapping[Pair, Figures], pairs: Iterable[Pair], at: str) -> float:
    """The geometric mean over boxes of the mean regret."""
    per_box: dict[str, list[float]] = {}
    for pair in pairs:
        per_box.setdefault(pair[0], []).append(results[pair][at])
    means = (max(fmean(each), FLOORS[at]) for each in per_box.values())
    return math.exp(fmean(math.log(mean) for mean in means))


def _shared(rows: Results) -> list[Pair]:
    """The pairs that every row has."""
    return sorted(set.intersection(*(set(each) for each in rows.values())))


def _ranks(rows: Results, pairs: Sequence[Pair], name: str, at: str) -> list[float]:
    found = []
    for pair in pairs:
        values = [round(results[pair][at], 5) for results in rows.values()]
        own = round(rows[name][pair][at], 5)
        found.append(sum(v < own for v in values) + (sum(v == own for v in values) + 1) / 2)
    return found


def _with_error(values: Sequence[float], digits: int = 2) -> str:
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{fmean(values):.{digits}f} ± {error:.{digits}f}"


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table as the documentation has it."""
    rows = [list(head), ["---"] * len(head), *map(list, lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
