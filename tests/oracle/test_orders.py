"""The orders tool, as far as it needs no server: what it writes to standard output, judged by the oracle."""
import collections
import json
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import oracle
from oracle import Answers, Record, Reject

ORDERS = os.path.join(os.environ.get('LAMBDA_TEST_PROGRAMS', os.path.join(ROOT, 'build', 'bin')), 'orders')
RETAIL = os.path.join(ROOT, '..', 'shared', 'data', 'online_retail.csv.zst')
UNTIL = ('--until', '2026-11-23T00:00:00Z')
END = oracle.parse_time('2026-11-23T00:00:00Z')
DAY = 86_400_000


def orders(*args, stdin=b'', status=0):
    done = subprocess.run([ORDERS, *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == status, done.stderr.decode()
    return done


def values(*args, **more):
    out = orders(*args, '--stdout', **more).stdout
    return out.split(b'\n')[:-1]


def generate(*args):
    return values('generate', *UNTIL, *args)


# --- generate


def test_same_seed_same_bytes():
    args = ('--count', '3000', '--days', '3', '--duplicates', '0.05', '--broken', '0.05', '--refunds', '0.1')
    assert generate('--seed', '5', *args) == generate('--seed', '5', *args)
    ids = {oracle.parse(v).event_id for v in generate('--seed', '6', '--count', '3000')}
    assert len(ids) == 3000 and not ids & {oracle.parse(v).event_id for v in generate('--seed', '5', '--count', '3000')}


def test_a_history_is_good_and_in_order():
    events = [oracle.parse(v) for v in generate('--count', '20000', '--days', '14', '--refunds', '0.1')]
    assert not any(type(e) is Reject for e in events)
    times = [e.time_ms for e in events]
    assert times == sorted(times) and times[0] >= END - 14 * DAY and times[-1] < END
    placed = {e.order_id: e for e in events if e.type == 'order_placed'}
    refunds = [e for e in events if e.type == 'order_refunded']
    assert 1800 < len(refunds) < 2200
    for e in refunds:
        order = placed[e.order_id]
        assert e.total <= order.total and e.currency == order.currency and e.customer_id == order.customer_id
        assert e.time_ms >= order.time_ms and {l.sku for l in e.lines} <= {l.sku for l in order.lines}
    by_hour = collections.Counter(ms // 3_600_000 % 24 for ms in times)
    assert by_hour[12] > 8 * by_hour[3]
    assert set(map(len, (e.lines for e in events))) <= set(range(1, 13))
    skus = collections.Counter(l.sku for e in events for l in e.lines).most_common()
    assert skus[0][1] > 20 * skus[len(skus) // 2][1]


def test_a_price_per_product_and_decimals_of_the_currency():
    events = [oracle.parse(v) for v in generate('--count', '5000', '--currencies', 'GBP,JPY=5,KWD', '--products', '50')]
    prices = collections.defaultdict(set)
    texts = collections.defaultdict(set)
    for e in events:
        for l in e.lines:
            prices[e.currency, l.sku].add(l.unit_price)
            texts[e.currency].add(max(0, -l.unit_price.as_tuple().exponent))
    assert all(len(p) == 1 for p in prices.values()) and len(prices) == 150
    assert texts == {'GBP': {2}, 'JPY': {0}, 'KWD': {3}}
    counts = collections.Counter(e.currency for e in events)
    assert counts['JPY'] > 1.3 * counts['GBP'] > 2 * counts['KWD'] > 0


def test_shares():
    args = ('--count', '50000', '--days', '30')
    first = generate(*args)
    a = Answers().feed(Record(0, i, END, v) for i, v in enumerate(generate(*args, '--duplicates', '0.1', '--broken', '0.05')))
    assert 4700 < a.duplicate < 5300 and 2350 < sum(a.rejected.values()) < 2650
    assert all(a.rejected[reason] for reason in oracle.REASONS)
    moved = [(oracle.parse(v).time_ms, oracle.parse(w).time_ms)
             for v, w in zip(first, generate(*args, '--late', '0.05', '--out-of-order', '0.1'))]
    back = [old - new for old, new in moved if old != new]
    assert 4700 < sum(1000 <= ms <= 300_000 for ms in back) < 5300
    assert 2250 < sum(3_600_000 <= ms <= 72 * 3_600_000 for ms in back) < 2650
    assert all(1000 <= ms for ms in back)


def test_duplicates_are_exact_and_within_the_distance():
    seen = {}
    reach = []
    for i, v in enumerate(generate('--count', '20000', '--duplicates', '0.3', '--duplicate-distance', '50')):
        event_id = json.loads(v)['event_id']
        if event_id in seen:
            assert seen[event_id][0] == v
            reach.append(i - seen[event_id][1])
        else:
            seen[event_id] = (v, i)
    assert 5500 < len(reach) < 6500 and 40 < max(reach) < 100


def test_broken_records_say_their_reason():
    told = collections.Counter()
    for v in generate('--count', '20000', '--broken', '0.9'):
        got = oracle.parse(v)
        if b'broken-' in v and type(got) is Reject and b'"order_id":"broken-' in v:
            assert f'"order_id":"broken-{got.reason}-'.encode() in v
            told[got.reason] += 1
    assert set(told) >= set(oracle.REASONS) - {'text'}


def test_live_orders_are_of_now():
    import time
    before = time.time() * 1000 - 1
    events = [oracle.parse(v) for v in values('generate', '--rate', '1000', '--count', '300')]
    assert all(before <= e.time_ms <= time.time() * 1000 for e in events)
    assert events[-1].time_ms - events[0].time_ms >= 250
    assert events[0].event_id != oracle.parse(values('generate', '--rate', '1000', '--count', '1')[0]).event_id


# --- import

HEAD = b'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n'


def imported(*rows, head=HEAD, args=()):
    return [oracle.parse(v) for v in values('import', '-', *args, stdin=head + b''.join(r + b'\n' for r in rows))]


def test_both_headers_in_any_order():
    old = imported(b'536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom')
    new = imported(b'"UK",17850.0,2.55,12/1/2010 8:26,"6",HOLDER,85123A,536365\r',
                   head=b'\xef\xbb\xbfCountry,Customer ID,Price,InvoiceDate,Quantity,Description,StockCode,Invoice\r\n')
    assert old == new and len(old) == 1
    e = old[0]
    assert (e.event_id, e.type, e.order_id, e.customer_id, e.currency) == \
        ('invoice-536365', 'order_placed', '536365', '17850', 'GBP')
    assert e.time_ms == oracle.parse_time('2010-12-01T08:26:00Z') and str(e.total) == '15.30'


@pytest.mark.parametrize('written, expected', [
    (b'12/1/2010 8:26', '2010-12-01T08:26:00+00:00'), (b'2010-12-01 08:26', '2010-12-01T08:26:00+00:00'),
    (b'2010-12-01T08:26:07.000', '2010-12-01T08:26:07+00:00'), (b'7/1/11 8:26', '2011-07-01T08:26:00+01:00'),
    (b'2011-03-27 00:59:00', '2011-03-27T00:59:00+00:00'), (b'2011-03-27 02:00:00', '2011-03-27T02:00:00+01:00'),
    (b'2011-10-30 00:59:00', '2011-10-30T00:59:00+01:00'), (b'2011-10-30 01:30:00', '2011-10-30T01:30:00+01:00'),
    (b'2011-10-30 02:00:00', '2011-10-30T02:00:00+00:00'), (b'2012-02-29', '2012-02-29T00:00:00+00:00')])
def test_london_time(written, expected):
    row = b'1,a,n,1,' + written + b',1,,UK'
    assert imported(row)[0].time_ms == oracle.parse_time(expected)
    assert expected[-6:].encode() in values('import', '-', stdin=HEAD + row)[0]


def test_signs_and_grouping():
    events = imported(
        b'1,a,,6,2010-12-01 08:26:00,2.55,,UK', b'C2,a,x,-2,2010-12-01 08:27:00,2.555,7,UK',
        b'1,A,x,1,2010-12-01 08:29:00,0,,UK', b'3,B,Adjust bad debt,1,2010-12-01 08:30:00,-11062.06,,UK',
        b'4,a,,-5,2010-12-01 08:31:00,0,,UK', b'C5,a,,3,2010-12-01 08:31:00,1.0000000,,UK',
        b'6,a,,-1,2010-12-01 08:31:00,-2,,UK')
    assert [(e.event_id, e.type, str(e.total), e.units) for e in events] == [
        ('invoice-1', 'order_placed', '15.30', 7), ('invoice-C2', 'order_refunded', '5.110', 2),
        ('invoice-3', 'order_refunded', '11062.06', 1), ('invoice-4', 'order_refunded', '0.00', 5),
        ('invoice-C5', 'order_placed', '3.00', 3), ('invoice-6', 'order_placed', '2.00', 1)]
    assert [l.sku for l in events[0].lines] == ['a', 'A'] and events[0].customer_id is None
    assert events[0].lines[0].name is None and events[0].time_ms == oracle.parse_time('2010-12-01T08:26:00Z')


def test_what_an_event_cannot_hold():
    time = b',2010-12-01 08:26:00,'
    mixed = imported(b'1,a,,2' + time + b'1,,', b'1,a,,-1' + time + b'1,,', b'1,b,,1' + time + b'5,,')
    assert [(e.event_id, e.type, e.total, e.order_id) for e in mixed] == \
        [('invoice-1', 'order_placed', 7, '1'), ('invoice-1-2', 'order_refunded', 1, '1')]
    many = imported(*[b'1,a,,1' + time + b'1,,'] * 12000, b'2,a,,1' + time + b'1,,')
    assert [(e.event_id, len(e.lines)) for e in many] == \
        [('invoice-1', 5000), ('invoice-1-2', 5000), ('invoice-1-3', 2000), ('invoice-2', 1)]
    rich = imported(*[b'1,a,,600' + time + b'1000000,,'] * 2)
    assert [(e.event_id, e.total) for e in rich] == [('invoice-1', 600_000_000), ('invoice-1-2', 600_000_000)]
    none = imported(b'1,a,,0' + time + b'1,,', b'2,a,,1' + time + b'1,,')
    assert [e.event_id for e in none] == ['invoice-2']
    long = 'x\u00e9' * 100
    names = imported(*[b'1,a,' + name + b',1' + time + b'1,,' for name in
                       (long.encode(), b'POT \xa35', b'"7"" PLATE, ""A""\nb\x01\\"')])
    assert [l.name for l in names[0].lines] == [long[:171], 'POT \u00a35', '7" PLATE, "A"\nb\x01\\']
    assert len(long[:171].encode()) == 256


def test_skip_and_count():
    rows = [b'%d,a,,1,2010-12-01 08:26:00,1,,' % i for i in range(10)]
    every = imported(*rows)
    assert imported(*rows, args=('--count', '4')) + imported(*rows, args=('--skip', '4')) == every
    assert imported(*rows, args=('--skip', '4', '--count', '2')) == every[4:6]
    assert imported(*rows, args=('--skip', '99')) == [] == imported(*rows, args=('--count', '0'))


GOOD = b'1,a,,1,2010-12-01 08:26:00,1,,UK\n'


@pytest.mark.parametrize('text, told', [
    (b'', 'line 1'), (b'\n', 'line 1'), (b'a,b\n', 'InvoiceNo'), (HEAD.replace(b'Country', b'UnitPrice'), 'UnitPrice'),
    (HEAD + GOOD + b'1,a,,1\n', 'line 3: 4 fields'), (HEAD + GOOD[:-1] + b',x\n', 'line 2: 9 fields'),
    (HEAD + b'\n\n1,a,"x,1,2010', 'line 4: a quoted field has no end'), (HEAD + b'1,a,"x"y,1', 'line 2: text after'),
    (HEAD + b'1,a,x"y,1', 'line 2: a quote'), (HEAD + b'1,a\rb,1', 'line 2: a carriage return'),
    (HEAD + b'1,a,"x\ny",1,2010-12-01 08:26:00,1,,UK\n' + GOOD.replace(b',1,', b',one,'), "line 4: Quantity 'one'"),
    (HEAD + GOOD.replace(b'00,1,', b'00,1.23456,'), "UnitPrice '1.23456'"), (HEAD + GOOD.replace(b'00,1,', b'00,,'), "UnitPrice ''"),
    (HEAD + GOOD.replace(b'00,1,', b'00,1e3,'), 'UnitPrice'), (HEAD + GOOD.replace(b',1,', b',1000001,'), 'Quantity'),
    (HEAD + GOOD.replace(b',1,', b',1000000,').replace(b'00,1,', b'00,1000.01,'), 'over 1,000,000,000'),
    (HEAD + GOOD.replace(b'2010-12-01', b'2010-02-30'), 'InvoiceDate'), (HEAD + GOOD.replace(b'2010-12-01', b'13/1/2010'), 'InvoiceDate'),
    (HEAD + GOOD.replace(b'08:26:00', b'24:00:00'), 'InvoiceDate'), (HEAD + GOOD.replace(b'1,a', b',a', 1), 'InvoiceNo'),
    (HEAD + GOOD.replace(b',a,', b',,'), 'StockCode'), (HEAD + GOOD.replace(b',a,', b',\xff,'), 'StockCode is not UTF-8'),
    (HEAD + GOOD.replace(b',a,', b',a\0,'), 'StockCode holds a zero byte'), (b'\x28\xb5\x2f\xfdxxxx', 'zstd'),
])
def test_malformed_files(text, told):
    done = orders('import', '-', '--stdout', stdin=text, status=65)
    assert told in done.stderr.decode() and done.stdout == b''


def test_usage():
    for args in ([], ['sell'], ['generate', '--sell'], ['generate', '--count'], ['generate', '--count', '-1'],
                 ['generate', '--count', '1x'], ['generate', '--late', '1'], ['generate', '--currencies', 'GBP,XAU'],
                 ['generate', '--currencies', 'GBP=0'], ['generate', '--currencies', ''], ['generate', 'x'], ['generate', '--until', 'now'],
                 ['generate', '--rate', '5', '--days', '3'], ['generate', '--duplicates', '0.6', '--broken', '0.6'], ['import'],
                 ['import', 'a', 'b'], ['generate', '--stdout=yes'], ['generate', '-X', 'nonsense=1'], ['generate', '-X', 'x']):
        assert orders(*args, status=64).stderr.startswith((b'orders: ', b'usage: '))
    for args in (['--help'], ['generate', '--help'], ['import', '--help']):
        assert b'orders' in orders(*args).stdout
    assert b'/no/such/file' in orders('import', '/no/such/file', '--stdout', status=66).stderr


def test_no_kafka():
    done = orders('generate', '--count', '1', '--brokers', '127.0.0.1:1', status=69)
    assert b"cannot reach Kafka at '127.0.0.1:1'" in done.stderr


@pytest.mark.skipif(not os.path.exists(RETAIL), reason='../shared/data is not here')
def test_online_retail_facts():
    out = values('import', RETAIL)
    assert len(out) == 25900
    a = Answers('Europe/London').feed(Record(0, i, END, v) for i, v in enumerate(out))
    total = a.total('GBP')
    assert a.counted == 25900
    assert (str(total.net), str(total.gross), total.units) == ('9747747.934', '10666684.544', 5176446)
    events = [oracle.parse(v) for v in out]
    assert len({e.customer_id for e in events} - {None}) == 4372
    assert sum(len(e.lines) for e in events) == 541909 and max(len(e.lines) for e in events) == 1114
