"""The oracle's own tests: every reason, which of several is given, and what is counted."""
import io
import os
import random
import sys
from decimal import Decimal

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle
from oracle import Answers, Record, Reject, amount, parse, parse_strictly, parse_time

MEMBERS = {
    'event_id': '"event_id":"e1"', 'type': '"type":"order_placed"', 'order_id': '"order_id":"o1"',
    'customer_id': '"customer_id":null', 'event_time': '"event_time":"2011-06-01T12:00:00Z"',
    'currency': '"currency":"GBP"', 'lines': '"lines":[{"sku":"a","quantity":2,"unit_price":"1.50"}]',
}


def text(**changed):
    """A good event, members replaced (or left out by None), further ones appended as extra='"x":1'."""
    extra = changed.pop('extra', None)
    members = [v for v in {**MEMBERS, **changed}.values() if v is not None] + ([extra] if extra else [])
    return ('{' + ','.join(members) + '}').encode('utf-8', 'surrogatepass')


def lines(*items):
    return text(lines='"lines":[' + ','.join(items) + ']')


def line(sku='"a"', quantity='2', unit_price='"1.50"', more=''):
    return f'{{"sku":{sku},"quantity":{quantity},"unit_price":{unit_price}{more}}}'


def reason(value):
    got = parse(value)
    assert got == parse_strictly(value)
    return got.reason if isinstance(got, Reject) else 'ok'


def fill(size, value):
    return value[:-1] + b' ' * (size - len(value)) + b'}'


X64 = 'x' * 64
JSON = [
    (b'', 'json'), (None, 'json'), (b' ', 'json'), (b'{', 'json'), (b'nul', 'json'), (b'null', 'type'), (b'1', 'type'),
    (b'-', 'json'), (b'01', 'json'), (b'1.', 'json'), (b'.5', 'json'), (b'1e', 'json'), (b'+1', 'json'), (b'1e5', 'type'),
    (b'-0.0E-1', 'type'), (b'NaN', 'json'), (b'Infinity', 'json'), (b'"a"', 'type'), (b'"a', 'json'), (b'[]', 'type'),
    (b'[1,]', 'json'), (b'[,1]', 'json'), (b'[1 2]', 'json'), (b'{}', 'missing'), (b'{,}', 'json'), (b'{"a"}', 'json'),
    (b'{"a":}', 'json'), (b'{a:1}', 'json'), (b'{"a":1,}', 'json'), (b'{} {}', 'json'), (b'{}x', 'json'), (b'[}', 'json'),
    (b'\xef\xbb\xbf' + text(), 'json'), (b' \t\r\n' + text() + b' \n', 'ok'), (b'\x0b' + text(), 'json'),
    (b'\xc2\xa0' + text(), 'json'), (text() + b'\0', 'json'),
    (text(extra='"x":"\x01"'), 'json'), (text(extra='"x":"\t"'), 'json'), (text(extra='"x":"\x7f"'), 'ok'),
    (text(extra='"x":"\\x"'), 'json'), (text(extra='"x":"\\u12g4"'), 'json'), (text(extra='"x":"\\u123"'), 'json'),
    (text(extra='"x":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"'), 'ok'),
    (text(extra='"x":"\ud800"'), 'json'),                       # an encoded surrogate is no UTF-8
    (text()[:-1] + b',"x":"\xff"}', 'json'), (text()[:-1] + b',"x":"\xc0\x80"}', 'json'),
    (text()[:-1] + b',"x":"\xf4\x90\x80\x80"}', 'json'), (text()[:-1] + b',"x":"\xe2\x82"}', 'json'),
    (text()[:-1] + b',"\xff":1}', 'json'), (text(extra='"x":"\U0010ffff\u00e9"'), 'ok'),
    (text(extra='"x":' + '9' * 10000), 'ok'), (text(extra='"x":1e999'), 'ok'), (text(extra='"x":[true,false,null]'), 'ok'),
    (text(extra='"x":tru'), 'json'), (text(extra='"x":True'), 'json'), (text(extra='"x":[[]'), 'json'),
]
SIZE = [
    (fill(2 * 1024 * 1024, text()), 'ok'), (fill(2 * 1024 * 1024 + 1, text()), 'size'), (b'x' * (2 * 1024 * 1024 + 1), 'size'),
    (text(extra='"x":' + '[' * 255 + ']' * 255), 'ok'), (text(extra='"x":' + '[' * 256 + ']' * 256), 'size'),
    (text(extra='"x":' + '[' * 256), 'size'), (b'[' * 256 + b']' * 256, 'type'), (b'[' * 257, 'size'), (b'[' * 256, 'json'),
    (text(extra='"x":' + '{"a":' * 255 + '1' + '}' * 255), 'ok'), (text(extra='"x":' + '{"a":' * 256 + '1'), 'size'),
    (text(extra='"x":' + '[' * 256 + '\xff'), 'size'), (b'{"a":01,"b":' + b'[' * 300, 'json'),
    (text(event_id='"event_id":""'), 'size'), (text(event_id=f'"event_id":"{X64}"'), 'ok'),
    (text(event_id=f'"event_id":"{X64}x"'), 'size'), (text(event_id='"event_id":"' + '\u00e9' * 32 + '"'), 'ok'),
    (text(event_id='"event_id":"' + '\u00e9' * 32 + 'x"'), 'size'), (text(event_id='"event_id":"' + '\\u0041' * 64 + '"'), 'ok'),
    (text(order_id='"order_id":""'), 'size'), (text(order_id=f'"order_id":"{X64}x"'), 'size'),
    (text(customer_id='"customer_id":""'), 'size'), (text(customer_id=f'"customer_id":"{X64}x"'), 'size'),
    (lines(line(sku='""')), 'size'), (lines(line(sku=f'"{X64}x"')), 'size'), (lines(line(more=',"name":""')), 'ok'),
    (lines(line(more=f',"name":"{X64 * 4}"')), 'ok'), (lines(line(more=f',"name":"{X64 * 4}x"')), 'size'),
    (lines(), 'size'), (lines(*[line()] * 5000), 'ok'), (lines(*[line()] * 5001), 'size'),
    (lines(*[line()] * 5000, '7'), 'size'),                      # at the 5,001st, before a look at it
    (lines(*[line()] * 4999, '7', line()), 'type'),
]
TYPE = [(text(**{name: f'"{name}":{value}'}), 'type')
        for name in ('event_id', 'type', 'order_id', 'customer_id', 'event_time', 'currency', 'lines')
        for value in ('1', 'true', '{}', '{"a":["x"]}', '1.5')]
TYPE += [(text(**{name: f'"{name}":null'}), 'ok' if name == 'customer_id' else 'type') for name in MEMBERS]
TYPE += [
    (text(event_id='"event_id":["e1"]'), 'type'), (text(lines='"lines":"x"'), 'type'),
    (lines('1'), 'type'), (lines('null'), 'type'), (lines('[]'), 'type'), (lines(line(), '"x"'), 'type'),
    (lines(line(sku='1')), 'type'), (lines(line(sku='null')), 'type'), (lines(line(quantity='"2"')), 'type'),
    (lines(line(quantity='null')), 'type'), (lines(line(quantity='true')), 'type'), (lines(line(unit_price='1.5')), 'type'),
    (lines(line(unit_price='null')), 'type'), (lines(line(more=',"name":1')), 'type'), (lines(line(more=',"name":null')), 'ok'),
    (text(extra='"schema_version":1'), 'ok'), (text(extra='"schema_version":"1"'), 'type'),
    (text(extra='"schema_version":null'), 'type'), (text(extra='"schema_version":true'), 'type'),
    (text(extra='"schema_version":1.0'), 'type'), (text(extra='"schema_version":1e0'), 'type'),
]
DUPLICATE_KEY = [(text(extra=member), 'duplicate_key') for member in MEMBERS.values()]
DUPLICATE_KEY += [
    (text(extra='"event\\u005fid":"e2"'), 'duplicate_key'), (text(extra='"currency":17'), 'duplicate_key'),
    (text(extra='"schema_version":1,"schema_version":1'), 'duplicate_key'), (text(extra='"x":1,"x":2'), 'ok'),
    (text(extra='"sku":1,"sku":2'), 'ok'), (text(extra='"x":{"type":1,"type":2}'), 'ok'), (text(extra='"Type":1'), 'ok'),
    (text(extra='"type ":1,"type\\u0000":1,"\\ud800":1'), 'ok'),
    (lines(line(more=',"sku":"b"')), 'duplicate_key'), (lines(line(more=',"name":null,"name":null')), 'duplicate_key'),
    (lines(line(more=',"currency":1,"currency":2')), 'ok'), (lines(line(), line(more=',"quantity":0')), 'duplicate_key'),
]
MISSING = [(text(**{name: None}), 'missing') for name in MEMBERS]
MISSING += [(lines('{}'), 'missing'), (lines('{"sku":"a","quantity":1}'), 'missing'),
            (lines('{"sku":"a","unit_price":"1"}'), 'missing'), (lines(line(), '{"quantity":1,"unit_price":"1"}'), 'missing')]
VERSION = [(text(extra=f'"schema_version":{v}'), 'version') for v in ('0', '2', '-1', '-0', '99999999999999999999')]
EVENT_TYPE = [(text(type=f'"type":"{v}"'), 'event_type') for v in ('', 'order_shipped', 'ORDER_PLACED', 'order_placed ')]
EVENT_TYPE += [(text(type='"type":"order\\u005fplaced"'), 'ok'), (text(type='"type":"order_refunded"'), 'ok')]
TEXT = [(text(**{name: f'"{name}":"a{bad}b"'}), 'text')
        for name in ('event_id', 'type', 'order_id', 'customer_id', 'event_time', 'currency')
        for bad in ('\\u0000', '\\ud800', '\\uDFFF', '\\udc00\\ud800', '\\ud83d\\u0041', '\\ud83d \\ude00')]
TEXT += [
    (lines(line(sku='"\\u0000"')), 'text'), (lines(line(unit_price='"1\\u0000"')), 'text'),
    (lines(line(more=',"name":"\\ud83d"')), 'text'), (lines(line(more=',"name":"\\ud83d\\ude00\\uD83C\\uDF81"')), 'ok'),
    (text(extra='"x":"\\u0000\\ud800"'), 'ok'), (text(event_id=f'"event_id":"{X64}\\u0000"'), 'text'),
]
TIMES = [
    ('1980-01-01T00:00:00Z', 315532800000), ('1979-12-31T23:59:59.999Z', None), ('1980-01-01T00:00:00+00:01', None),
    ('1979-12-31T23:59:00-00:01', 315532800000), ('2199-12-31T23:59:59.9999Z', 7258118399999), ('2200-01-01T00:00:00Z', None),
    ('2200-01-01T00:30:00+01:00', 7258116600000), ('2199-12-31T23:30:00-01:00', None),
    ('2011-06-01t12:00:00z', 1306929600000), ('2011-06-01T12:00:00.1Z', 1306929600100),
    ('2011-06-01T12:00:00.0009999999999999999999Z', 1306929600000), ('2011-06-01T12:00:00.' + '9' * 500 + 'Z', 1306929600999),
    ('2011-06-01T12:00:00+05:30', 1306909800000), ('2011-06-01T12:00:00-00:00', 1306929600000),
    ('2011-06-01T12:00:00+23:59', 1306843260000), ('2011-06-01T12:00:00+24:00', None), ('2011-06-01T12:00:00+01:60', None),
    ('2011-06-01T12:00:00+0100', None), ('2011-06-01T12:00:00+01', None), ('2011-06-01T12:00:00', None),
    ('2011-06-01 12:00:00Z', None), ('2011-06-01T12:00:00.Z', None), ('2011-06-01T12:00:00,5Z', None),
    ('2011-06-01T12:00Z', None), ('2011-6-1T12:00:00Z', None), ('2011-06-01T24:00:00Z', None), ('2011-06-01T12:60:00Z', None),
    ('2011-06-01T12:00:61Z', None), ('2011-06-01T12:00:60Z', None), ('2011-06-30T23:59:60Z', 1309478399999),
    ('2011-07-01T00:59:60.5+01:00', 1309478399999), ('2011-06-30T23:59:60+01:00', None), ('2011-06-15T23:59:60Z', 1308182399999),
    ('1979-12-31T23:59:60Z', None), ('2199-12-31T23:59:60Z', 7258118399999), ('2011-02-29T00:00:00Z', None),
    ('2012-02-29T00:00:00Z', 1330473600000), ('2100-02-29T00:00:00Z', None), ('2000-02-29T00:00:00Z', 951782400000),
    ('2011-00-01T00:00:00Z', None), ('2011-13-01T00:00:00Z', None), ('2011-04-31T00:00:00Z', None), ('2011-04-00T00:00:00Z', None),
    ('0000-01-01T00:00:00Z', None), ('9999-12-31T23:59:59Z', None), ('12011-06-01T12:00:00Z', None), ('', None),
    (' 2011-06-01T12:00:00Z', None), ('2011-06-01T12:00:00Z\n', None), ('\u0662\u0660\u0661\u0661-06-01T12:00:00Z', None),
    ('2011-06-01T12:00:00\u2212' + '01:00', None), ('-2011-06-01T12:00:00Z', None),
]
CURRENCY = [(text(currency=f'"currency":"{code}"'), 'currency') for code in
            ('', 'gbp', 'GB', 'GBPX', 'XAU', 'XXX', 'XTS', 'HRK', 'ZWL', 'SLL', 'CUC', 'USN', 'CHE', 'CLF', 'GBP ')]
CURRENCY += [(text(currency=f'"currency":"{code}"'), 'ok') for code in oracle.CURRENCIES]
QUANTITY = [(lines(line(quantity=q)), 'quantity') for q in
            ('0', '-1', '-0', '1.0', '1e0', '1E2', '0.5', '1000001', '1000000.0', '9' * 30, '9' * 9000, '1e400')]
QUANTITY += [(lines(line(quantity=q, unit_price='"1"')), 'ok') for q in ('1', '1000000')]
AMOUNT = [(lines(line(unit_price=f'"{p}"')), 'amount') for p in
          ('', '.', '.5', '1.', '-1', '+1', '1.00001', '1,5', '1e3', ' 1', '1 ', '12345678901', '0x1', '1.2.3', '\u0661', '\\n1',
           'NaN', '--1', '1\\u0661')]
AMOUNT += [
    (lines(line(unit_price='"0"')), 'ok'), (lines(line(unit_price='"0000000001.2500"')), 'ok'),
    (lines(line('"a"', '1', '"1000000000"')), 'ok'), (lines(line('"a"', '1', '"1000000000.0001"')), 'amount'),
    (lines(line('"a"', '1', '"9999999999"')), 'amount'), (lines(line('"a"', '1000000', '"1000"')), 'ok'),
    (lines(line('"a"', '1000000', '"1000"'), line('"a"', '1', '"0.0001"')), 'amount'),
    (lines(*[line('"a"', '1000000', '"9999999999.9999"')] * 5000), 'amount'),
]
PRECEDENCE = [
    # not well-formed anywhere beats every rule before it
    (text(event_id='"event_id":1')[:-1], 'json'), (text(currency='"currency":"x"', extra='"x":01'), 'json'),
    (text(event_id='"event_id":1', extra='"x":' + '[' * 256), 'size'),
    # the first in the order of the text
    (text(event_id='"event_id":1', currency='"currency":"x"'), 'type'),
    (text(event_time='"event_time":"x"', currency='"currency":"x"'), 'time'),
    (b'{"currency":"x","event_time":"x"}', 'currency'),
    (text(extra='"type":1', lines='"lines":[]'), 'size'), (text(extra='"type":1', lines=None), 'duplicate_key'),
    (b'{"schema_version":2,"schema_version":1}', 'version'), (b'{"type":"x"}', 'event_type'),
    # type, then text, then its own rule
    (text(currency='"currency":"\\u0000"'), 'text'), (text(event_time='"event_time":false'), 'type'),
    # missing comes after every rule in the text, the total after that
    (text(event_id=None, currency='"currency":"x"'), 'currency'),
    (lines('{"sku":"a"}', line(quantity='0')), 'quantity'), (text(event_id=None, extra='"lines":1'), 'duplicate_key'),
    (lines('{"quantity":1000000,"unit_price":"9999999999"}'), 'missing'),
    (text(event_id=None, lines='"lines":[' + line('"a"', '1000000', '"9999999999"') + ']'), 'missing'),
    (text(lines='"lines":[' + line('"a"', '1000000', '"9999999999"') + ']', extra='"type":1'), 'duplicate_key'),
    # within lines
    (lines(line(unit_price='"x"'), '1'), 'amount'), (lines('1', line(unit_price='"x"')), 'type'),
    (lines('{"unit_price":"x","quantity":0}'), 'amount'), (lines('{"quantity":0,"unit_price":"x"}'), 'quantity'),
    (lines(*[line()] * 4999, line(quantity='0'), line()), 'quantity'),
]


@pytest.mark.parametrize('value, expected', JSON + SIZE + TYPE + DUPLICATE_KEY + MISSING + VERSION + EVENT_TYPE + TEXT +
                         CURRENCY + QUANTITY + AMOUNT + PRECEDENCE, ids=lambda v: None if v is None else repr(v)[:60])
def test_reason(value, expected):
    assert reason(value) == expected


def test_every_reason_is_in_the_tables():
    told = {expected for table in (JSON, SIZE, TYPE, DUPLICATE_KEY, MISSING, VERSION, EVENT_TYPE, TEXT, CURRENCY, QUANTITY,
                                   AMOUNT) for _, expected in table} | {'time'}
    assert told == set(oracle.REASONS) | {'ok'}


@pytest.mark.parametrize('string, expected', TIMES)
def test_time(string, expected):
    assert parse_time(string) == expected
    escaped = string.replace('\n', '\\n')
    assert reason(text(event_time=f'"event_time":"{escaped}"')) == ('time' if expected is None else 'ok')


def test_event():
    e = parse(lines(line('"A"', '3', '"1.005"', ',"name":"caf\\u00e9"'), line('"B"', '10', '"0"')))
    assert e.total == Decimal('3.015') and e.units == 13 and e.time_ms == 1306929600000
    assert e.lines[0] == ('A', 3, Decimal('1.005'), 'caf\u00e9') and e.lines[1].name is None


def test_short_cut_agrees_with_the_strict_reading():
    """Good events with bytes changed at random: what the short cut accepts, the strict reading reads the same."""
    rng = random.Random(7)
    good = [text(), text(extra='"schema_version":1'), lines(line(), line(more=',"name":"x\u00e9\\u00e9"'))]
    pieces = [b'"', b'\\', b',', b'}', b'[', b'0', b'.', b'-', b'e', b'\xff', b'\0', b' ', b'\\u0000', b'\\ud83d', b'1', b'{', b':']
    seen = set()
    for _ in range(40000):
        value = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(value))
            value[at:at + rng.randint(0, 2)] = rng.choice(pieces)
        seen.add(reason(bytes(value)))
    assert {'ok', 'json', 'missing', 'time'} <= seen


@pytest.mark.parametrize('value, currency, expected', [
    ('9747747.934', 'GBP', '9747747.934'), ('150000', 'GBP', '150000.00'), ('1200', 'JPY', '1200'), ('0', 'GBP', '0.00'),
    ('-0.0000', 'GBP', '0.00'), ('-0.5', 'GBP', '-0.50'), ('0.0001', 'JPY', '0.0001'), ('1.5', 'KWD', '1.500'),
    ('-12.3400', 'EUR', '-12.34'), ('0', 'JPY', '0'), ('1.25', 'JPY', '1.25')])
def test_amount(value, currency, expected):
    assert amount(Decimal(value), currency) == expected


# --- counting

T0 = 1306929600000          # 2011-06-01T12:00:00Z


def event(event_id, at_ms=T0, price='1', kind='order_placed', quantity=1, currency='GBP', sku='a'):
    days, ms = divmod(at_ms, 86400000)
    import datetime
    stamp = (datetime.datetime(1970, 1, 1) + datetime.timedelta(days, milliseconds=ms)).isoformat(timespec='milliseconds') + 'Z'
    return text(event_id=f'"event_id":"{event_id}"', type=f'"type":"{kind}"', event_time=f'"event_time":"{stamp}"',
                currency=f'"currency":"{currency}"', lines='"lines":[' + line(f'"{sku}"', str(quantity), f'"{price}"') + ']')


def net(answers, currency='GBP'):
    return answers.total(currency).net


def test_revenue_and_products():
    a = Answers('Europe/London').feed([
        Record(0, 0, T0, event('a', T0, '2.50', quantity=4)), Record(0, 5, T0, event('b', T0 + 59999, '2.50', 'order_refunded')),
        Record(0, 6, T0, event('c', T0 + 60000, '100', currency='JPY')), Record(0, 7, T0, b'x')])
    assert a.report(minutes=True, products=True) == {
        'time_zone': 'Europe/London', 'rules': 'exact',
        'counters': {'records': 4, 'counted': 3, 'duplicate': 0, 'rejected': {**dict.fromkeys(oracle.REASONS, 0), 'json': 1},
                     'late': 0},
        'days': [
            {'date': '2011-06-01', 'currency': 'GBP', 'net': '7.50', 'gross': '10.00', 'refunds': '2.50', 'orders': 1,
             'refund_count': 1, 'units': 3},
            {'date': '2011-06-01', 'currency': 'JPY', 'net': '100', 'gross': '100', 'refunds': '0', 'orders': 1,
             'refund_count': 0, 'units': 1}],
        'minutes': [
            {'minute': '2011-06-01T12:00:00Z', 'currency': 'GBP', 'net': '7.50', 'gross': '10.00', 'refunds': '2.50', 'orders': 1,
             'refund_count': 1, 'units': 3},
            {'minute': '2011-06-01T12:01:00Z', 'currency': 'JPY', 'net': '100', 'gross': '100', 'refunds': '0', 'orders': 1,
             'refund_count': 0, 'units': 1}],
        'products': [{'date': '2011-06-01', 'currency': 'GBP', 'sku': 'a', 'net': '7.50', 'units': 3},
                     {'date': '2011-06-01', 'currency': 'JPY', 'sku': 'a', 'net': '100', 'units': 1}]}


@pytest.mark.parametrize('zone, at, date', [
    ('UTC', '2011-06-01T23:30:00Z', '2011-06-01'), ('Europe/London', '2011-06-01T23:30:00Z', '2011-06-02'),
    ('Europe/London', '2011-12-01T23:30:00Z', '2011-12-01'), ('Asia/Kathmandu', '2011-06-01T18:14:59Z', '2011-06-01'),
    ('Asia/Kathmandu', '2011-06-01T18:15:00Z', '2011-06-02'), ('America/New_York', '2011-11-07T04:59:00Z', '2011-11-06'),
    ('America/New_York', '2011-11-07T05:00:00Z', '2011-11-07')])
def test_business_day(zone, at, date):
    assert Answers(zone).date(parse_time(at)) == date


def test_exact_duplicates():
    """(partition, offset, timestamp, id, price): which price counts"""
    table = [
        ([(0, 0, 9, 'a', 1), (0, 1, 1, 'a', 2)], 1),                                # one partition: the lowest offset
        ([(0, 0, 9, 'a', 1), (1, 0, 5, 'a', 2)], 2),                                # between: the earlier timestamp
        ([(1, 0, 5, 'a', 2), (0, 0, 9, 'a', 1)], 2),
        ([(1, 0, 5, 'a', 2), (0, 0, 5, 'a', 1)], 1),                                # then the lower partition
        ([(0, 0, 9, 'a', 1), (1, 0, 5, 'a', 2), (0, 1, 1, 'a', 4)], 2),             # a partition's first stands for it
        ([(0, 0, 9, 'a', 1), (0, 1, 1, 'a', 4), (1, 0, 5, 'a', 2)], 2),
        ([(2, 0, 3, 'a', 8), (0, 0, 9, 'a', 1), (1, 0, 2, 'a', 2)], 2),
        ([(0, 0, 1, 'a', 1), (1, 0, 2, 'b', 2)], 3),
    ]
    for records, expected in table:
        a = Answers().feed(Record(p, o, ts, event(i, price=price)) for p, o, ts, i, price in records)
        assert net(a) == expected
        assert a.counted + a.duplicate == a.records == len(records)
        assert sum(p.net for p in a.products.values()) == expected


def test_values_are_read_again_from_the_dump(tmp_path):
    log = [Record(p, o, 10 * o - p, event(str(o), price=str(p + o))) for p in range(3) for o in range(5)]
    dump = tmp_path / 'dump'
    dump.write_bytes(b''.join(b'%d %d %d %d\n%s\n' % (*r[:3], len(r.value), r.value) for r in log))
    with open(dump, 'rb') as f:
        a = Answers(reread=lambda at, size: os.pread(f.fileno(), size, at)).feed(oracle.read_dump(f))
    assert net(a) == net(Answers().feed(log)) == 2 * 5 + 10
    assert a.duplicate == 10 and all(type(s.value) is tuple for s in a.winners.values())


def test_a_rejected_event_leaves_its_id_free():
    a = Answers().feed([Record(0, 0, 0, event('a', price='x')), Record(0, 1, 0, event('a', price='2')),
                        Record(0, 2, 0, event('a', price='3'))])
    assert (net(a), a.duplicate, a.rejected['amount']) == (2, 1, 1)


def test_cuts():
    log = [Record(p, o, 100 * o + p, event(f'{p}-{o % 7}', price=str(1 + o))) for o in range(12) for p in (0, 1)]
    whole = Answers().feed(log)
    for cut in ({0: 0, 1: 0}, {0: 5, 1: 9}, {0: 12, 1: 3}, {0: 7}):
        below, behind = Answers(below=cut).feed(log), Answers(start=cut).feed(log)
        if 1 not in cut:        # not named: nothing below, all behind
            assert below.records == 7
        assert net(below) + net(behind) == net(whole)
        assert below.records + behind.records == whole.records
        assert below.duplicate + behind.duplicate == whole.duplicate == 10


def test_speed_horizon():
    def counted(*records, **limits):
        return Answers(rules='speed', **{'horizon_records': 10, 'horizon_ms': 1000, **limits}).feed(
            Record(p, o, ts, value) for p, o, ts, value in records).counted

    a, b, bad = event('a'), event('b'), b'x'
    assert counted((0, 0, 0, a), (0, 10, 1000, a)) == 1                       # both limits belong to the horizon
    assert counted((0, 0, 0, a), (0, 11, 0, a)) == 2
    assert counted((0, 0, 0, a), (0, 1, 1001, a)) == 2
    assert counted((0, 0, 0, a), (1, 0, 0, a)) == 2                           # a partition each
    assert counted((0, 0, 0, a), (0, 10, 0, a), (0, 20, 0, a)) == 1           # a duplicate keeps the id known
    assert counted((0, 0, 0, a), (0, 1, 5000, bad), (0, 2, 0, a)) == 2        # T is the greatest so far, of all records
    assert counted((0, 0, 5000, bad), (0, 1, 4900, a), (0, 2, 0, a)) == 1
    assert counted((0, 0, 5000, bad), (0, 1, 0, a), (0, 2, 0, a)) == 2        # an age is measured from the record's own time
    assert counted((0, 0, 900, a), (0, 1, 0, a), (0, 2, 1001, a)) == 2        # and of the last one with the id
    assert counted((0, 0, 0, event('a', price='x')), (0, 1, 0, a)) == 1
    assert counted((0, 0, 0, a), (0, 1, 0, b), (0, 2, 0, b)) == 2


def test_late():
    minute = 60000
    end = T0 + minute

    def late(*records, **more):
        return Answers(grace_ms=30 * minute, max_skew_ms=10 * minute, **more).feed(
            Record(0, o, ts, event(i, at)) for o, (ts, i, at) in enumerate(records)).late

    def now(i, at):
        return at, i, at

    assert late(now('a', end + 30 * minute), now('b', T0)) == 1
    assert late(now('a', end + 30 * minute - 1), now('b', T0)) == 0
    assert late(now('a', end + 30 * minute), now('b', T0 + 59999), now('c', T0)) == 2
    assert late(now('a', end + 30 * minute), now('a', T0)) == 0               # a duplicate is not counted, so not late
    ahead = end + 30 * minute
    assert late((ahead - 10 * minute, 'a', ahead), now('b', T0)) == 1
    assert late((ahead - 10 * minute - 1, 'a', ahead), now('b', T0)) == 0     # too far ahead: does not move E
    assert late(now('a', T0), now('a', ahead), now('b', T0)) == 1             # a duplicate moves E too
    for rules in ('exact', 'speed'):
        assert late(now('a', ahead), now('b', T0), rules=rules) == 1
        assert late(now('a', ahead), now('b', T0), rules=rules, start={0: 1}) == 1


def test_late_ledger_and_exclusion():
    ahead = T0 + 3600_000
    log = [Record(0, 0, ahead, event('a', ahead)), Record(0, 1, ahead, event('b', T0)), Record(1, 5, ahead + 1, event('b', T0)),
           Record(0, 2, ahead, event('b', T0))]
    for rules, exclude in (('exact', False), ('speed', False), ('speed', True)):
        answers = Answers(rules=rules, exclude_late=exclude).feed(log)
        (late,) = answers.late_events.values()
        assert late.lateness_ms == 3600_000 and late.currency == 'GBP' and late.net == late.net.copy_abs()
        assert (answers.excluded, answers.late) == (int(exclude), 1)
        assert answers.records == answers.counted + answers.duplicate + answers.excluded
    with pytest.raises(ValueError):
        Answers(exclude_late=True)


def test_dump():
    log = [Record(0, 0, 5, b'a\nb\0\xff'), Record(1, 7, -1, b''), Record(0, 3, 6, None), Record(2, 0, 0, b'\n')]
    dump = b''.join(b'%d %d %d %d\n%s\n' % (r.partition, r.offset, r.timestamp, -1 if r.value is None else len(r.value),
                                            r.value or b'') for r in log)
    assert [r[:4] for r in oracle.read_dump(io.BytesIO(dump))] == [r[:4] for r in log]
    with pytest.raises(SystemExit):
        list(oracle.read_dump(io.BytesIO(dump[:-2])))
    with pytest.raises(SystemExit):
        list(oracle.read_dump(io.BytesIO(b'0 0 x 1\na\n')))


def test_order_of_offsets_is_checked():
    with pytest.raises(ValueError):
        Answers().feed([Record(0, 1, 0, event('a')), Record(0, 1, 0, event('b'))])
