"""The kernel and the oracle agree on every value: the oracle's tables of cases, and the same ones damaged at random.

ORACLE_SEED=n repeats a run, ORACLE_CASES=n asks for more than the default.
"""
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402
import test_oracle as tables  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARSE = os.path.join(os.environ.get("LAMBDA_TEST_BUILD", os.path.join(ROOT, "build", "release")), "tests", "oracle", "kernel_parse")
PIECES = [b'"', b"\\", b",", b"}", b"[", b"0", b".", b"-", b"e", b"\xff", b"\0", b" ", b"\\u0000", b"\\ud83d", b"1", b"{", b":", b"]", b"null",
          b"true", b"60", b"Z", b"\n", "é".encode(), b'"type":1,', b'"sku":"a",', b"\xef\xbb\xbf", b"1e400"]


def table_values():
    values = [value for table in (tables.JSON, tables.SIZE, tables.TYPE, tables.DUPLICATE_KEY, tables.MISSING, tables.VERSION,
                                  tables.EVENT_TYPE, tables.TEXT, tables.CURRENCY, tables.QUANTITY, tables.AMOUNT, tables.PRECEDENCE)
              for value, _ in table]
    return values + [tables.text(event_time='"event_time":"%s"' % time.replace("\n", "\\n")) for time, _ in tables.TIMES]


def damaged(rng, base):
    value = bytearray(rng.choice(base))
    if rng.random() < 0.1:
        other = rng.choice(base)
        return bytes(value[:rng.randrange(len(value) + 1)] + other[rng.randrange(len(other) + 1):])
    for _ in range(rng.randint(1, 3)):
        if value:
            at = rng.randrange(len(value))
            value[at:at + rng.randint(0, 3)] = rng.choice(PIECES)
    return bytes(value)


def oracle_line(offset, value):
    event = oracle.parse(value)
    if isinstance(event, oracle.Reject):
        return f"{offset} {event.reason}"
    return f"{offset} {event.type} {event.time_ms} {int(event.total * 10000)} {event.units} {len(event.lines)}"


def test_kernel_and_oracle_agree():
    seed = int(os.environ.get("ORACLE_SEED", random.randrange(2**32)))
    print(f"ORACLE_SEED={seed}")
    rng = random.Random(seed)
    values = table_values()
    base = [value for value in values if value is not None and len(value) < 3000]
    values += [damaged(rng, base) for _ in range(int(os.environ.get("ORACLE_CASES", "20000")))]
    dump = b"".join(b"0 %d 0 %d\n%s\n" % (i, -1 if value is None else len(value), value or b"") for i, value in enumerate(values))
    done = subprocess.run([PARSE], input=dump, stdout=subprocess.PIPE, check=True, timeout=300)
    kernel = done.stdout.decode().splitlines()
    assert len(kernel) == len(values)
    for i, value in enumerate(values):
        expected = oracle_line(i, value)
        assert kernel[i] == expected, (value[:2000] if value else value, kernel[i], expected)
