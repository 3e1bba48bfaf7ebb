"""lambda-batch validate: what it says about each bad line, and lines of every form. It needs no server, so no world is made."""
import json
import os
import resource
import signal
import subprocess

import pytest

import harness

MIB = 1 << 20
GOOD = {"event_id": "e1", "type": "order_placed", "order_id": "o1", "customer_id": None, "event_time": "2010-12-01T08:26:00+00:00",
        "currency": "GBP", "lines": [{"sku": "a", "quantity": 6, "unit_price": "2.55"}]}


def event(**fields):
    return json.dumps({**GOOD, **fields})


def line(**fields):
    return event(lines=[GOOD["lines"][0], {**GOOD["lines"][0], **fields}])


def validate(data, *args, **options):
    env = {name: value for name, value in os.environ.items() if not name.startswith("LAMBDA_")}
    return subprocess.run([f"{harness.PROGRAMS}/lambda-batch", "validate", *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=env, timeout=60, check=False, **options)


CASES = [
    ("", "json: the line is empty"),
    ("{", "json: the text ends too early, behind byte 1"),
    ("\ufeff{}", "json: the line begins with a byte order mark"),
    ("{} {}", "json: byte 4 ('{') does not belong there"),
    ('{"a":NaN}', "json: byte 6 ('N') does not belong there"),
    ('{"a":012}', "json: byte 7 ('1') does not belong there"),
    ('{"a":1.}', "json: byte 8 ('}') does not belong there"),
    ('{"a":"\t"}', "json: byte 7 is the control character 0x09, not escaped"),
    ('{"a":"b\\x"}', "json: byte 8 ('\\') begins no escape that JSON has"),
    ("{}\0", "json: byte 3 is the control character 0x00, not escaped"),
    (b'{"a":"b\xff"}', "json: byte 8 (0xff) is not UTF-8, or stands outside a string"),
    ('{"a":' + "[" * 256, "size: arrays and objects are nested more than 256 deep at byte 261"),
    (event(event_id=""), "size: event_id is empty"),
    (event(order_id="é" * 33), "size: order_id has 66 bytes, at most 64 are allowed"),
    (line(name="x" * 257), "size: lines[1].name has 257 bytes, at most 256 are allowed"),
    (event(lines=[]), "size: lines has no element"),
    (event(lines=GOOD["lines"] * 5001), "size: lines has more than 5000 elements"),
    ("[]", "type: the value is an array, but must be an object"),
    (event(customer_id=7), "type: customer_id is a number, but must be a string or null"),
    (event(lines=[True]), "type: lines[0] is true, but must be an object"),
    (line(quantity="6"), "type: lines[1].quantity is a string, but must be an integer"),
    (line(unit_price=2.55), 'type: lines[1].unit_price is a number, but must be a string, such as "2.55"'),
    (event(schema_version=1.0), "type: schema_version is a number with fraction or exponent, but must be the integer 1"),
    (event(schema_version=2), "version: schema_version 2 is not known, only 1 is"),
    (event()[:-1] + ',"type":1}', "duplicate_key: type stands there twice"),
    (line()[:-3] + ',"sku":"b"}]}', "duplicate_key: lines[1].sku stands there twice"),
    ("{}", "missing: event_id is missing"),
    (event(lines=[{"sku": "a", "quantity": 1}]), "missing: lines[0].unit_price is missing"),
    (event(type="order_cancelled"), 'event_type: type "order_cancelled" is neither order_placed nor order_refunded'),
    (event(order_id="\ud800"), "text: order_id holds U+0000 or a lone surrogate"),
    (event(event_time="2010-12-01T08:26:00"), 'time: event_time "2010-12-01T08:26:00" has no offset such as Z or +01:00 at its end'),
    (event(event_time="2010-02-29T08:26:00Z"), 'time: event_time "2010-02-29T08:26:00Z" is no time such as 2026-11-23T10:00:00Z, from 1980 to 2199'),
    (event(currency="gbp"), 'currency: currency "gbp" is no currency of ISO 4217, such as GBP'),
    (line(quantity=0), "quantity: lines[1].quantity 0 is no integer from 1 to 1000000"),
    (line(unit_price="1.23456"), 'amount: lines[1].unit_price "1.23456" has more than 4 decimals'),
    (line(unit_price="-1"), 'amount: lines[1].unit_price "-1" is negative'),
    (line(unit_price="1e3"), 'amount: lines[1].unit_price "1e3" is not of the form digits or digits.digits'),
    (line(unit_price="12345678901"), 'amount: lines[1].unit_price "12345678901" has more than 10 digits before the point'),
    (line(quantity=1000000, unit_price="1000"), "amount: the total is over 1000000000 units of the currency"),
    # long values are cut, between two characters, and a terminal gets nothing to obey
    (json.dumps({**GOOD, "currency": "é" * 60}, ensure_ascii=False), 'currency: currency "' + "é" * 28 + '..." is no currency of ISO 4217, such as GBP'),
    (json.dumps({**GOOD, "currency": "a\x7fb\x9bc"}, ensure_ascii=False), 'currency: currency "a?b??c" is no currency of ISO 4217, such as GBP'),
]


def test_every_reason_has_a_sentence():
    lines = [bad if isinstance(bad, bytes) else bad.encode() for bad, _ in CASES]
    done = validate(b"\n".join([event().encode()] + lines + [event().encode()]))
    assert done.returncode == 65
    assert done.stdout.decode().splitlines() == [f"line {i}: {said}" for i, (_, said) in enumerate(CASES, 2)]
    assert f"lines={len(CASES) + 2} bad={len(CASES)} " in done.stderr.decode() and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("data,n", [
    ("", 0), ("\n", 0), ("\r\n", 0), (event(), 1), (event() + "\n", 1), (event() + "\r\n", 1), (event() + "\n\n", 1), (event() + "\r\n\r\n", 1),
    (event() + "\r\n" + event() + "\r", 2), (" " + event() + "\t\n" + event(), 2)])
def test_ends_of_lines(data, n):
    done = validate(data.encode(), "-")
    assert (done.returncode, done.stdout) == (0, b"")
    assert f"lines={n}\n" in done.stderr.decode()


def test_an_empty_line_within_is_bad():
    done = validate(f"{event()}\n\n{event()}\n\r\n\n".encode())
    assert done.returncode == 65
    assert done.stdout == b"line 2: json: the line is empty\nline 4: json: the line is empty\n"


def test_long_lines_need_no_memory(tmp_path):
    full = event().encode().ljust(2 * MIB)
    parts = [full, full + b"\r", full + b" ", full + b" \r", b"\0" * (100 * MIB), b"{}"]
    (tmp_path / "events").write_bytes(b"\n".join(parts))

    def bound():
        if "asan" not in harness.PROGRAMS:  # which reserves terabytes
            resource.setrlimit(resource.RLIMIT_DATA, (32 * MIB, 32 * MIB))
    done = validate(None, str(tmp_path / "events"), preexec_fn=bound)
    assert done.returncode == 65, done.stderr
    assert done.stdout.decode().splitlines() == [f"line {n}: size: the line has more than 2097152 bytes" for n in (3, 4, 5)] + [
        "line 6: missing: event_id is missing"]


def test_files(tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_text(event() + "\n{}\n")
    done = validate(None, str(path))
    assert (done.returncode, done.stdout) == (65, b"line 2: missing: event_id is missing\n")
    for wrong in (str(tmp_path / "none"), str(tmp_path)):
        done = validate(None, wrong)
        assert done.returncode == 66 and wrong in done.stderr.decode() and not done.stdout
    assert validate(None, "-", "-").returncode == 64


def test_output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([f"{harness.PROGRAMS}/lambda-batch", "validate"], input=b"{}\n", stdout=full, stderr=subprocess.PIPE,
                              timeout=60, check=False)
    assert done.returncode == 74 and b"cannot write" in done.stderr


def test_a_signal_ends_it():
    with subprocess.Popen([f"{harness.PROGRAMS}/lambda-batch", "validate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as waiting:
        waiting.stdin.write(b"{}\n" * 10000)
        waiting.stdin.flush()
        assert waiting.stdout.readline() == b"line 1: missing: event_id is missing\n"  # so it has begun

        def ended():
            waiting.send_signal(signal.SIGTERM)
            return waiting.poll() is not None
        harness.wait_until(ended, 10, "validate goes on")
        assert waiting.returncode == 75
