#!/usr/bin/python3
"""Who may include whom. Prints each include that breaks a rule; exit 1 if there is one.

- batch/, speed/ and serving/ never include one another; common/ includes none of them; nothing includes tests/ but tests/.
- common/kernel/ is pure: it includes only itself, common/base.h, common/err.h, common/mem.h and headers of the C language.
- A third-party header is included only by the module named for it; uv.h only in serving/.
- Every .c file includes common/base.h first.
"""
import os
import re
import subprocess
import sys

LAYERS = ("batch", "speed", "serving")
KERNEL_MAY = {"common/base.h", "common/err.h", "common/mem.h"}
C_HEADERS = {"assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h",
             "stdio.h", "stdlib.h", "string.h", "emmintrin.h"}
# header -> files (regular expressions) that may include it; tests may include all
FOREIGN = [
    (r"librdkafka/.*", r"(common/kafka|(batch|speed)/kafka).*"),
    (r"hiredis/.*|hiredis\.h|async\.h", r"(common|batch|speed|serving)/redis.*"),
    (r"libpq-fe\.h", r"(common|batch|speed|serving)/pg.*"),
    (r"uv\.h", r"serving/.*"),
    (r"xxhash\.h", r"common/kernel/hash\.h"),
    (r"zstd\.h", r"common/zstd.*"),
]


def broken(path, header, quoted):
    top = path.split("/")[0]
    if top == "tests":
        return None
    target = header.split("/")[0]
    if quoted:
        if target == "tests":
            return "nothing but tests/ includes tests/"
        if top in LAYERS and target in LAYERS and target != top:
            return f"{top}/ never includes {target}/"
        if top == "common" and target in LAYERS:
            return "common/ includes no layer"
        if path.startswith("common/kernel/") and not header.startswith("common/kernel/") and header not in KERNEL_MAY:
            return "the kernel is pure"
        return None
    if path.startswith("common/kernel/") and header not in C_HEADERS and not (header == "xxhash.h" and path == "common/kernel/hash.h"):
        return "the kernel is pure"
    for pattern, may in FOREIGN:
        if re.fullmatch(pattern, header) and not re.fullmatch(may, path):
            return f"only {may} includes it"
    return None


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=root, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    found = 0
    for path in files:
        with open(os.path.join(root, path), encoding="utf-8") as source:
            includes = re.findall(r'^\s*#\s*include\s*(["<])([^">]+)[">]', source.read(), re.M)
        if path.endswith(".c") and (not includes or includes[0][1] != "common/base.h"):
            print(f"{path}: the first include is not common/base.h")
            found += 1
        for mark, header in includes:
            why = broken(path, header, mark == '"')
            if why:
                print(f"{path}: includes {header}: {why}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
