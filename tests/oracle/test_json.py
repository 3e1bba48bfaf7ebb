"""Our JSON scanner and Python's agree on every text: what is JSON (RFC 8259), and what it says. Tables, every truncation, every byte
in every place, and texts made and damaged at random. And the reason `json` is for what is not JSON, and for nothing else.

Python's parser is made as strict as the RFC: UTF-8 without a byte order mark, no NaN, no Infinity. JSON_SEED=n repeats a run,
JSON_CASES=n asks for more than the default.
"""
import json
import os
import random
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(os.environ.get("LAMBDA_TEST_BUILD", os.path.join(ROOT, "build", "release")), "tests", "oracle")
DEPTH_MAX = 256

SMALL = b' {"a\\u00e9\xc3\xa9" : [-1.5e+3, "\\ud83d\\ude00\\n", true,{}, null ], "b":0}\n'
TEXTS = [
    SMALL, b"", b" ", b"null", b"[]", b"{}", b"0", b"-0", b"-0.0", b"1e400", b"-1E+400", b"1e-400", b"9" * 400, b"-" + b"9" * 5000, b"0." + b"0" * 400 + b"1",
    b"NaN", b"Infinity", b"-Infinity", b"-NaN", b"[NaN]", b"+1", b"01", b"-01", b"1.", b".5", b"1e", b"1e+", b"0x10", b"1_0", b"1 2", b"--1", b"1e5.5",
    "１".encode(), "[٣]".encode(), b'"\\u0000"', b'"\x00"', b"\x00", b"{}\x00", b"\x00{}", b'{"a":1}\x00\x00', b'"\x7f"', b'"\x1f"', b'"\t"',
    b"\xef\xbb\xbf{}", b"{}\xef\xbb\xbf", b'"\xef\xbb\xbf"', b'{"\xef\xbb\xbfa":1}', b"\xff\xfe{\x00}\x00", b"{\x00}\x00", b"\x00\x00\x00{\x00\x00\x00}",
    b'"\\ud83d"', b'"\\ude00"', b'"\\ud83d\\ud83d\\ude00"', b'"\\ude00\\ud83d"', b'"\\ud83dx\\ude00"', b'"\\ud83d\\u0041"', b'"\\uD83D\\uDE00"',
    b'{"\\ud83d":1}', b'{"\\u0000":1}', b'"\\ud83d\\n"', b'"\\u12"', b'"\\u 123"', b'"\\u+123"', b'"\\u-123"', b'"\\u0x12"', b'"\\u1_23"', b'"\\U0041"',
    b'"\\x41"', b'"\\a"', b'"\\\'"', b'"\\', b'"\\u', b'"\\ud83d\\', b'"\\ud83d\\u', b'"\\ud83d\\ude0', b"'a'", b'"a',
    b'"\xed\xa0\xbd\xed\xb8\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe0\x80\x80"', b'"\xf0\x80\x80\x80"', b'"\xfe"', b'"\x80"', b'"\xc3"', b'"\xe2\x82"',
    b'"\xf0\x9f\x98\x80"', b"[1,]", b"[,1]", b"[1,,2]", b"[1 2]", b"[}", b"{]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{a:1}", b"{1:1}", b'{"a":1 "b":2}',
    b'{"a":1,"a":2}', b'{"":1}', b"//x\n{}", b"/**/{}", b"{} x", b"{}{}", b"[]]", b"]", b"}", b",", b":", b"tru", b"True", b"nullx", b"\x0b[]", b"\x0c[]",
    b"\xc2\xa0[]", "\u2028[]".encode(), b"[]\xe2\x80\xa8", b"\r\n\t []\r\n", b"[\r\n1\t,\n2 ]", b'["a\nb"]', b'"/\\/"',
]
PIECES = [b'"', b"\\", b",", b"}", b"[", b"]", b"{", b":", b"0", b"-", b".", b"e", b"E+", b"\xff", b"\x00", b" ", b"\t", b"\n", b"\\u0000", b"\\ud83d", b"\\ude00",
          b"\\u00e9", "é".encode(), "😀".encode(), b"\xed\xa0\x80", b"\xef\xbb\xbf", b"1e400", b"-0", b"9" * 30, b"null", b"true", b"NaN", b"Infinity", b'""', b"[]", b"{}",
          b'"a":', b"\\n", b"\\x", b"\x7f", b"\x80", b"/", b"\x0c", b"\xc2\xa0"]


class Number(str):
    """As it is written."""


class Object(list):
    """(key, value) in the order of the text."""


def no_constant(name):
    raise ValueError(name)


def parse(value):
    """ValueError when it is not JSON."""
    return json.loads(value.decode("utf-8"), parse_int=Number, parse_float=Number, parse_constant=no_constant, object_pairs_hook=Object)


def text_of(mark, text):
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError:
        return mark + "-"
    return mark + ("-" if b"\0" in raw else raw.hex())


def say(value, out):
    if isinstance(value, Object):
        out.append("{")
        for key, member in value:
            out.append(text_of(":", key))
            say(member, out)
        out.append("}")
    elif isinstance(value, list):
        out.append("[")
        for element in value:
            say(element, out)
        out.append("]")
    elif isinstance(value, Number):
        out.append("#" + value)
    elif isinstance(value, str):
        out.append(text_of('"', value))
    else:
        out.append({None: "null", True: "true", False: "false"}[value])


def too_deep_at(value):
    """Behind the bracket that opens one level too many, and what closes all that is open there; None if there is none."""
    closing, within, at = [], False, 0
    while at < len(value):
        byte = value[at]
        if within:
            at += byte == 0x5c
            within = byte != 0x22
        elif byte == 0x22:
            within = True
        elif byte in b"[{":
            closing.append(b"]" if byte == 0x5b else b"}")
            if len(closing) > DEPTH_MAX:
                return at + 1, b"".join(reversed(closing))
        elif byte in b"]}" and closing:
            closing.pop()
        at += 1
    return None


def expected(value):
    deep = too_deep_at(value)
    try:
        if deep:  # the reading ends there, if it gets there
            parse(value[:deep[0]] + deep[1])
            return "size"
        out = []
        say(parse(value), out)
        return " ".join(out)
    except (ValueError, RecursionError):
        return "json"


def run(program, values):
    dump = b"".join(b"0 %d 0 %d\n%s\n" % (i, len(value), value) for i, value in enumerate(values))
    done = subprocess.run([os.path.join(BUILD, program)], input=dump, stdout=subprocess.PIPE, check=True, timeout=300)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(values)
    return lines


def compare(values):
    """The scanner says what Python says, and the kernel's reason is json where Python finds no JSON."""
    sys.setrecursionlimit(10000)
    said = run("kernel_json", values)
    reasons = run("kernel_parse", values)
    verdicts = set()
    for value, ours, line in zip(values, said, reasons):
        theirs = expected(value)
        assert ours == theirs, (value[:2000], ours[:2000], theirs[:2000])
        reason = line.split()[1]
        assert (reason == "json") == (theirs == "json"), (value[:2000], reason)
        assert theirs != "size" or reason == "size", (value[:2000], reason)
        verdicts.add(theirs if theirs in ("json", "size") else "ok")
    return verdicts


def event(extra):
    return (b'{"event_id":"a","type":"order_placed","order_id":"b","customer_id":null,"event_time":"2010-12-01T08:26:00Z","currency":"GBP",'
            b'"lines":[{"sku":"a","quantity":6,"unit_price":"2.55"}],"x":' + extra + b"}")


def test_tables():
    assert compare(TEXTS + [event(text) for text in TEXTS] + [b"[" + text + b"," + text + b"]" for text in TEXTS]) == {"ok", "json"}


def test_truncation_at_every_byte():
    long = event(SMALL) + b" "
    assert compare([text[:n] for text in (SMALL, long, *TEXTS) if len(text) < 1000 for n in range(len(text) + 1)]) == {"ok", "json"}


def test_every_byte_in_every_place():
    values = []
    for at in range(len(SMALL) + 1):
        values += [SMALL[:at] + bytes([byte]) + SMALL[at + 1:] for byte in range(256) if at < len(SMALL)]
        values += [SMALL[:at] + bytes([byte]) + SMALL[at:] for byte in range(256)]
    values += [SMALL[:at] + SMALL[at + n:] for at in range(len(SMALL)) for n in range(1, 5)]
    assert compare(values) == {"ok", "json"}


def test_nesting():
    values = []
    for depth in (1, 255, 256, 257, 1000, 100000):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")):
            inner = b"1" if opening != b"[" else b""
            n = depth if len(closing) == 1 else depth // 2
            whole = opening * n + inner + closing * n
            values += [whole, whole[:-1], whole + b"]", b"[\x01" + whole, opening * n, opening * n + b"\xff", whole + b"\xff", b"[" + whole + b"]"]
    assert compare(values) == {"ok", "json", "size"}


def made(rng, depth):
    """A well-formed text, in any of its spellings."""
    def space():
        return bytes(rng.choice(b" \t\r\n") for _ in range(rng.choice((0, 0, 0, 1, 3))))

    def string():
        return b'"' + b"".join(rng.choice((b"a", b"0123456789abcdef", "é".encode(), "€".encode(), "😀".encode(), b"\\u00e9", b"\\ud83d\\ude00", b"\\ud83d", b"\\u0000",
                                           b'\\"', b"\\\\", b"\\/", b"\\b\\f\\n\\r\\t", b"\x7f", b" ", b"{", b"]")) for _ in range(rng.choice((0, 1, 2, 5)))) + b'"'
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return space() + rng.choice((b"true", b"false", b"null")) + space()
    if kind in (1, 2):
        return space() + string() + space()
    if kind in (3, 4):
        return (space() + rng.choice((b"", b"-")) + rng.choice((b"0", b"7", b"10", b"9" * rng.randint(1, 40))) + rng.choice((b"", b".0", b".25", b".000")) +
                rng.choice((b"", b"e5", b"E-400", b"e+0", b"E999")) + space())
    if kind == 5:
        return space() + b"[" + b",".join(made(rng, depth - 1) for _ in range(rng.randint(1, 4))) + b"]" + space()
    if kind == 6:
        return space() + b"{" + b",".join(space() + string() + space() + b":" + made(rng, depth - 1) for _ in range(rng.randint(1, 4))) + b"}" + space()
    return space() + rng.choice((b"[", b"{")).replace(b"[", b"[" + space() + b"]").replace(b"{", b"{" + space() + b"}") + space()


def damaged(rng, value):
    value = bytearray(value)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(value) + 1)
        piece = rng.choice(PIECES) if rng.random() < 0.7 else bytes([rng.randrange(256)])
        value[at:at + rng.randint(0, 3)] = piece
    return bytes(value)


def test_random_texts():
    seed = int(os.environ.get("JSON_SEED", random.randrange(2**32)))
    print(f"JSON_SEED={seed}")
    rng = random.Random(seed)
    values = []
    for _ in range(int(os.environ.get("JSON_CASES", "10000"))):
        good = made(rng, 5)
        assert expected(good) != "json", good
        values += [good, damaged(rng, good)]
    assert {"ok", "json"} <= compare(values)
