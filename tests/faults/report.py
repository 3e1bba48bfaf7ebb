#!/usr/bin/python3
"""What runs of the nemesis found. Each leaves a file, build/faults/results-SEED.json; of one or more of them this makes a summary for
the terminal and the lower part of docs/faults.md, in which no figure is written by hand.

  make faults-report RESULTS='a.json b.json'
"""
import collections
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCS = os.path.join(ROOT, "docs", "faults.md")
MARK = "<!-- what follows is written by tests/faults/report.py -->"


class Kind:
    def __init__(self):
        self.injected = self.violations = self.within_s = 0
        self.recovered = []


class Results:
    """Of one run, while it runs."""

    def __init__(self, sometimes):
        self.kinds = collections.defaultdict(Kind)
        self.sometimes = collections.Counter({what: 0 for what in sometimes})
        self.looks = collections.Counter()
        self.violations = []
        self.known = {}
        self.seeds = []
        self.events = 0
        self.started, self.seconds = time.time(), 0.0
        self.commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                                     check=False).stdout.strip()

    def save(self, path):
        """After every round, so that a run that is broken off leaves what it had found."""
        self.seconds = time.time() - self.started
        kinds_now = {name: vars(kind) for name, kind in self.kinds.items()}
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(dict(vars(self), kinds=kinds_now), f, indent=1)
        os.replace(path + ".new", path)


class Sum:
    """Of the runs in these files."""

    def __init__(self, paths):
        self.runs, self.kinds = [], collections.defaultdict(Kind)
        self.sometimes, self.looks = collections.Counter(), collections.Counter()
        for path in paths:
            with open(path, encoding="utf-8") as f:
                self.runs.append(json.load(f))
        self.runs.sort(key=lambda run: run["started"])
        self.known = {name: what for run in self.runs for name, what in run["known"].items()}
        self.violations = [tuple(found) for run in self.runs for found in run["violations"]]
        for run in self.runs:
            for name, kind in run["kinds"].items():
                mine = self.kinds[name]
                mine.injected += kind["injected"]
                mine.violations += kind["violations"]
                mine.recovered += kind["recovered"]
                mine.within_s = kind["within_s"]
            self.sometimes.update(run["sometimes"])
            self.looks.update(run["looks"])


def table(of):
    lines = ["| kind | injected | violations | exact again after: median | max | within |", "| --- | --- | --- | --- | --- | --- |"]
    for name, kind in sorted(of.kinds.items()):
        median = f"{statistics.median(kind.recovered):.1f} s" if kind.recovered else "-"
        most = f"{max(kind.recovered):.1f} s" if kind.recovered else "-"
        lines.append(f"| {name} | {kind.injected} | {kind.violations} | {median} | {most} | {kind.within_s} s |")
    return "\n".join(lines)


def numbers(counter):
    lines = ["| what | times |", "| --- | --- |"]
    return "\n".join(lines + [f"| {what} | {n} |" for what, n in sorted(counter.items())])


def injected(kinds):
    return sum(kind["injected"] for name, kind in kinds.items() if not name.startswith("control"))


def ranges(seeds):
    """1-8, 12."""
    found = []
    for seed in sorted(seeds):
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found) or "-"


def runs(of):
    lines = ["| begun (UTC) | commit | seeds | minutes | faults | orders | violations |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for run in of.runs:
        lines.append(f"| {time.strftime('%Y-%m-%d %H:%M', time.gmtime(run['started']))} | {run['commit']} | {ranges(run['seeds'])} | "
                     f"{run['seconds'] / 60:.0f} | {injected(run['kinds'])} | {run['events']} | {len(run['violations'])} |")
    return "\n".join(lines)


def last_line(of):
    kinds = sum(not name.startswith("control") for name in of.kinds)
    return f"{sum(injected(run['kinds']) for run in of.runs)} faults of {kinds} kinds, {sum(run['events'] for run in of.runs)} orders, " \
           f"{len(of.violations)} violations"


def summary(paths):
    of = Sum(paths)
    lines = [table(of), "", "sometimes:", numbers(of.sometimes), "", "the observer:", numbers(of.looks), ""]
    lines += [f"VIOLATION (seed {seed}, {now}): {text[:400]}" for seed, now, text in of.violations]
    lines += [f"KNOWN ({name}): {text}" for name, text in of.known.items()]
    lines.append(last_line(of))
    return "\n".join(lines)


def write(paths):
    """Replaces the lower part of docs/faults.md."""
    of = Sum(paths)
    with open(DOCS, encoding="utf-8") as f:
        upper = f.read().split(MARK)[0]
    text = [upper + MARK, "", "## The last runs", "",
            f"**{last_line(of)}**. A seed makes the same faults again with the commit it ran on: `make faults SEED=n`.", "", runs(of), "",
            table(of), ""]
    if of.known:
        text += ["### What is not right yet", ""] + [f"- {name}: {what}." for name, what in sorted(of.known.items())] + [""]
    text += ["### That it really happened", "", "Counted by the nemesis, or found in the programs' logs:", "", numbers(of.sometimes), "",
             "### What the observer saw meanwhile", "", numbers(of.looks), ""]
    if of.violations:
        text += ["### Violations", ""] + [f"- seed {s}, {now}: {what[:300].replace(chr(10), ' ')}" for s, now, what in of.violations] + [""]
    with open(DOCS, "w", encoding="utf-8") as f:
        f.write("\n".join(text))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    write(sys.argv[1:])
    print(last_line(Sum(sys.argv[1:])))


if __name__ == "__main__":
    main()
