#!/usr/bin/python3
"""The checker is checked: programs with a mistake built in on purpose (common/kernel/plant.h) must be found out by a short run of the
nemesis, by the check that is meant for it; and the same run without a mistake must find nothing."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KILLS = ("batch: kill -9 at any", "speed: kill -9 at any")
ARCHIVE = ("archive: kill", "replay: from the archive")
PROMOTE = ("kappa: another version",)
# what is built in -> the kinds that are made to happen, what the nemesis must say
PLANTS = {
    "": ((*KILLS, *ARCHIVE, *PROMOTE), None),
    "DOUBLE": (KILLS, ("redis: partition", "kappa: partition", "is not the fold of its part of the log", "differ from the oracle")),
    "LOSS": (KILLS, ("redis: partition", "kappa: partition", "is not the fold of its part of the log", "differ from the oracle")),
    "CORRECTION": (KILLS, ("and nothing was wrong",)),
    "ARCHIVE": (ARCHIVE, ("counts are",)),
    "PROMOTE": (PROMOTE, ("coverage went back",)),
}


def main():
    failed = 0
    for plant, (kinds, must_say) in PLANTS.items():
        built = os.path.join(ROOT, "build", "fault" + (f"-{plant}" if plant else ""))
        done = subprocess.run([sys.executable, os.path.join(HERE, "nemesis.py"), "--programs", os.path.join(built, "bin"), "--seed", "3", "-n", str(len(kinds)),
                               "--patience", "5", "--no-report", "--results", os.path.join(built, "results.json"), "--no-scenarios",
                               "--only", *kinds],
                              cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
        if must_say is None:
            good = done.returncode == 0
        else:
            good = done.returncode == 1 and all(text in done.stdout for text in must_say)
        print(f"{'ok' if good else 'FAILED'}: {'built with ' + plant if plant else 'no mistake built in'}: the nemesis "
              f"{'found ' + str(done.stdout.count('VIOLATION (seed') // 2) + ' violations' if done.returncode else 'found nothing'}", flush=True)
        if not good:
            print(done.stdout[-6000:])
            failed += 1
    print(f"{len(PLANTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
