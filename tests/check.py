#!/usr/bin/python3
"""Runs the tests and counts them: the unit programs (cmocka), then everything that pytest finds, on a private stack.

Ends with one line, "N passed, N failed, N skipped". The exit status is 0 only if nothing failed. Tests that read ../shared
skip where it is not there; with CI=true that is a failure.
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible",
            "--show-leak-kinds=definite,indirect,possible"]
PYTEST_DIRS = ["tests/oracle", "tests/model", "tests/stack", "tests/system"]


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.skips = []

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)


def run_unit(build, count, valgrind):
    """Each program is one process: one that dies or prints no result counts as a failed test. The fuzzers replay their files."""
    before = VALGRIND if valgrind else []
    programs = sorted(p for p in glob.glob(os.path.join(build, "tests/unit/test_*")) + glob.glob(os.path.join(build, "tests/fuzz/fuzz_*"))
                      if os.access(p, os.X_OK) and not p.endswith((".o", ".d")))
    if not programs:
        count.fail("no unit test programs under " + build)
    for program in programs:
        name = os.path.basename(program)
        started = time.monotonic()
        try:
            done = subprocess.run([*before, program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
            output, status = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as late:
            output, status = (late.stdout or b"").decode(errors="replace") + "\ntimed out\n", -1
        passed = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test", output, re.M))
        failed = sorted(set(re.findall(r"^\[  FAILED  \] (?!\d+ test)(\S+)", output, re.M)))
        count.passed += passed
        for test in failed:
            count.fail(f"{name}: {test}")
        if (status != 0 or passed == 0) and not failed:
            count.fail(f"{name}: ended with status {status}")
        print(f"  {name}: {passed} passed, {len(failed)} failed ({time.monotonic() - started:.1f} s)", flush=True)
        if status != 0:
            print(output, flush=True)


def run_pytest(build, programs, selection, count):
    report = os.path.join(ROOT, build, "pytest.xml")
    if os.path.exists(report):
        os.unlink(report)
    env = dict(os.environ, LAMBDA_TEST_PROGRAMS=os.path.abspath(programs), LAMBDA_TEST_BUILD=os.path.abspath(build), PYTHONDONTWRITEBYTECODE="1")
    for name in list(env):  # settings of a demo in the caller's shell must not reach the tests
        if name.startswith("LAMBDA_") and not name.startswith("LAMBDA_TEST_"):
            del env[name]
    places = selection or [d for d in PYTEST_DIRS if glob.glob(os.path.join(ROOT, d, "test_*.py"))]
    status = subprocess.run([sys.executable, "-m", "pytest", "-q", "-ra", "--durations=15", "-p", "no:cacheprovider", "--import-mode=importlib",
                             f"--junitxml={report}", *places], cwd=ROOT, env=env).returncode
    if not os.path.exists(report):
        count.fail(f"pytest ended with status {status} and no report")
        return
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            count.fail(name)
        elif case.find("skipped") is not None:
            count.skipped += 1
            count.skips.append(f"{name}: {case.find('skipped').get('message')}")
        else:
            count.passed += 1
    if status not in (0, 1) :
        count.fail(f"pytest ended with status {status}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--unit-only", action="store_true")
    parser.add_argument("--valgrind", action="store_true", help="unit programs under memcheck; what it finds is a failure")
    parser.add_argument("tests", nargs="*", help="only these, as pytest takes them (no unit programs then)")
    args = parser.parse_args()
    count = Count()
    if not args.tests:
        run_unit(args.build, count, args.valgrind)
    if not args.unit_only:
        run_pytest(args.build, args.programs, args.tests, count)
    if os.environ.get("CI") == "true":
        for skip in count.skips:  # nothing may be left out where the result decides
            count.fail("skipped in CI: " + skip)
        count.skipped = 0
    for name in count.failures:
        print("FAILED", name)
    for skip in count.skips:
        print("SKIPPED", skip)
    print(f"{count.passed} passed, {count.failed} failed" + (f", {count.skipped} skipped" if count.skipped else ""))
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
