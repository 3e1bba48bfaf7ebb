#!/usr/bin/python3
"""Every test that the documents name exists: `FILE::NAME`, a function of a test in Python or C, or a kind of fault. And each document
names some."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCUMENTS = ("docs/deploy.md", "docs/gotchas.md", "docs/guarantees.md", "docs/replay.md", "docs/segments.md")


def exists(path, name):
    try:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return False
    if path.startswith("tests/faults/"):
        return f'("{name}"' in text
    return re.search(rf"^(def|static void) {re.escape(name)}\(", text, re.M) is not None


def main():
    wrong = 0
    for document in DOCUMENTS:
        with open(os.path.join(ROOT, document), encoding="utf-8") as file:
            named = re.findall(r"`(tests/[^`:]+)::([^`]+)`", file.read())
        for path, name in named:
            if not exists(path, name):
                print(f"{document}: there is no {path}::{name}")
                wrong += 1
        if not named:
            print(f"{document}: names no test")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
