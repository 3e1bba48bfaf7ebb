"""What a run of the nemesis found: a summary for the terminal, and docs/faults.md."""
import statistics


def table(results):
    lines = ["| kind | injected | violations | exact again after: median | max |", "| --- | --- | --- | --- | --- |"]
    for name, kind in sorted(results.kinds.items()):
        median = f"{statistics.median(kind.recovered):.1f} s" if kind.recovered else "-"
        most = f"{max(kind.recovered):.1f} s" if kind.recovered else "-"
        lines.append(f"| {name} | {kind.injected} | {kind.violations} | {median} | {most} |")
    return "\n".join(lines)


def sometimes(results):
    return "\n".join(f"- {what}: {n}" for what, n in sorted(results.sometimes.items()))


def summary(results):
    injected = sum(kind.injected for kind in results.kinds.values())
    lines = [table(results), "", "sometimes:", sometimes(results), "", "the observer:",
             "\n".join(f"- {what}: {n}" for what, n in sorted(results.looks.items())), ""]
    lines += [f"VIOLATION (seed {seed}, {now}): {text[:400]}" for seed, now, text in results.violations]
    lines.append(f"{injected} faults of {len(results.kinds)} kinds, {results.events} orders, {len(results.violations)} violations")
    return "\n".join(lines)
