"""What a run of the nemesis found: a summary for the terminal, and docs/faults.md."""
import os
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MARK = "<!-- what follows is written by tests/faults/report.py -->"


def table(results):
    lines = ["| kind | injected | violations | exact again after: median | max | within |", "| --- | --- | --- | --- | --- | --- |"]
    for name, kind in sorted(results.kinds.items()):
        median = f"{statistics.median(kind.recovered):.1f} s" if kind.recovered else "-"
        most = f"{max(kind.recovered):.1f} s" if kind.recovered else "-"
        lines.append(f"| {name} | {kind.injected} | {kind.violations} | {median} | {most} | {kind.within_s} s |")
    return "\n".join(lines)


def numbers(counter):
    lines = ["| what | times |", "| --- | --- |"]
    return "\n".join(lines + [f"| {what} | {n} |" for what, n in sorted(counter.items())])


def injected(results):
    return sum(kind.injected for name, kind in results.kinds.items() if not name.startswith("control"))


def last_line(results):
    kinds = sum(not name.startswith("control") for name in results.kinds)
    return f"{injected(results)} faults of {kinds} kinds, {results.events} orders, {len(results.violations)} violations"


def summary(results):
    lines = [table(results), "", "sometimes:", numbers(results.sometimes), "", "the observer:", numbers(results.looks), ""]
    lines += [f"VIOLATION (seed {seed}, {now}): {text[:400]}" for seed, now, text in results.violations]
    lines += [f"KNOWN ({name}): {text}" for name, text in results.known.items()]
    lines.append(last_line(results))
    return "\n".join(lines)


def write(results, path):
    """Replaces the lower part of docs/faults.md."""
    with open(path, encoding="utf-8") as f:
        upper = f.read().split(MARK)[0]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    text = [upper + MARK, "", "## The last run", "",
            f"{time.strftime('%Y-%m-%d', time.gmtime(results.started))}, commit {commit}, {results.rounds} rounds, {results.seconds / 60:.0f} minutes: "
            f"**{last_line(results)}**. The seeds: {', '.join(map(str, results.seeds))}; each again by `make faults SEED=n`.", "",
            table(results), ""]
    if results.known:
        text += ["### What is not right yet", ""] + [f"- {name}: {what}." for name, what in sorted(results.known.items())] + [""]
    text += ["### That it really happened", "", "Counted by the nemesis, or found in the programs' logs:", "", numbers(results.sometimes), "",
             "### What the observer saw meanwhile", "", numbers(results.looks), ""]
    if results.violations:
        text += ["### Violations", ""] + [f"- seed {s}, {now}: {what[:300].replace(chr(10), ' ')}" for s, now, what in results.violations] + [""]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(text))
