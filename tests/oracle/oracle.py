#!/usr/bin/env python3
"""The oracle: what the orders in a log come to, told independently of the product.

It follows docs/events.md, in another language, with exact decimals, and shares nothing with the kernel: not its code, not
its tables. It is slow and simple on purpose, but for a short cut that only ever accepts (see parse()).

  oracle.py answers --dump FILE [--rules exact|speed] [--time-zone ZONE] [--below 0:100,1:80] [--from 0:50] ...
  oracle.py parse --ndjson FILE          what becomes of each record, one line each

A dump is what this prints, exact for any bytes:
  kcat -C -b BROKERS -t orders -e -q -X isolation.level=read_committed -f '%p %o %T %S\\n%s\\n'
"""
import argparse
import collections
import datetime
import decimal
import io
import json
import os
import re
import sys
import zoneinfo
from decimal import Decimal

REASONS = ('json', 'size', 'type', 'duplicate_key', 'missing', 'version', 'event_type', 'text', 'time', 'currency',
           'quantity', 'amount')
VALUE_MAX = 2 * 1024 * 1024
DEPTH_MAX = 256
LINES_MAX = 5000
TOTAL_MAX = Decimal(1_000_000_000)
MINUTE_MS = 60_000
DAY_MS = 86_400_000
EPOCH = datetime.date(1970, 1, 1).toordinal()
TIME_MIN = (datetime.date(1980, 1, 1).toordinal() - EPOCH) * DAY_MS
TIME_END = (datetime.date(2200, 1, 1).toordinal() - EPOCH) * DAY_MS

# amounts are exact, or an exception
decimal.setcontext(decimal.Context(prec=60, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow]))


def load_currencies():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'currencies.txt'), encoding='ascii') as f:
        return {code: int(decimals) for code, decimals in (line.split() for line in f)}


CURRENCIES = load_currencies()

Event = collections.namedtuple('Event', 'event_id type order_id customer_id time_ms currency lines total units')
Line = collections.namedtuple('Line', 'sku quantity unit_price name')
Reject = collections.namedtuple('Reject', 'reason')
Late = collections.namedtuple('Late', 'date currency net lateness_ms')
# at: where a dump holds the value, for Answers(reread=...)
Record = collections.namedtuple('Record', 'partition offset timestamp value at', defaults=(None,))


class Refused(Exception):
    """Carries the reason out of the reading."""


# --- reading JSON (RFC 8259), to the letter ---------------------------------------------------------------------------

# A value is (kind, content): object [(key, value)...] in the order of the text, array [value...], string str (lone
# surrogates kept), number text, or true, false, null.
SPACE = re.compile(rb'[ \t\n\r]*')
NUMBER = re.compile(rb'-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?')
PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
HEX4 = re.compile(rb'[0-9A-Fa-f]{4}')
ESCAPES = {ord('"'): '"', ord('\\'): '\\', ord('/'): '/', ord('b'): '\b', ord('f'): '\f', ord('n'): '\n',
           ord('r'): '\r', ord('t'): '\t'}
LITERALS = ((b'true', 'true'), (b'false', 'false'), (b'null', 'null'))


def read_string(text, at):
    """text[at] is the opening quote -> (str, position behind the closing one)"""
    units = []              # str pieces, and ints for the UTF-16 units of \\u
    at += 1
    while True:
        end = PLAIN.match(text, at).end()
        if end > at:
            try:
                units.append(text[at:end].decode('utf-8', 'strict'))
            except UnicodeDecodeError:
                raise Refused('json') from None
        if end >= len(text) or text[end] < 0x20:
            raise Refused('json')
        if text[end] == ord('"'):
            return join_units(units), end + 1
        escape = text[end + 1] if end + 1 < len(text) else None
        if escape == ord('u'):
            digits = HEX4.match(text, end + 2)
            if not digits:
                raise Refused('json')
            units.append(int(digits.group(), 16))
            at = end + 6
        elif escape in ESCAPES:
            units.append(ESCAPES[escape])
            at = end + 2
        else:
            raise Refused('json')


def join_units(units):
    out = []
    high = None             # a high surrogate that waits for its low one
    for unit in units:
        if high is not None:
            if isinstance(unit, int) and 0xdc00 <= unit <= 0xdfff:
                out.append(chr(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00)))
                high = None
                continue
            out.append(chr(high))
            high = None
        if isinstance(unit, str):
            out.append(unit)
        elif 0xd800 <= unit <= 0xdbff:
            high = unit
        else:
            out.append(chr(unit))
    if high is not None:
        out.append(chr(high))
    return ''.join(out)


def read_scalar(text, at):
    c = text[at:at + 1]
    if c == b'"':
        string, at = read_string(text, at)
        return ('string', string), at
    number = NUMBER.match(text, at)
    if number:
        return ('number', number.group().decode('ascii')), number.end()
    for literal, kind in LITERALS:
        if text.startswith(literal, at):
            return (kind, None), at + len(literal)
    raise Refused('json')


def read_key(text, at):
    """-> (key, position of the member's value)"""
    if text[at:at + 1] != b'"':
        raise Refused('json')
    key, at = read_string(text, at)
    at = SPACE.match(text, at).end()
    if text[at:at + 1] != b':':
        raise Refused('json')
    return key, SPACE.match(text, at + 1).end()


def read_json(text):
    """The whole text as one value. Raises Refused('json'), or Refused('size') where it opens level 257."""
    root = []
    stack = [('root', root)]    # open containers
    key = None
    at = SPACE.match(text).end()
    while True:
        # a value stands at `at`
        opener = text[at:at + 1]
        if opener in (b'{', b'['):
            if len(stack) > DEPTH_MAX:
                raise Refused('size')
            value = ('object' if opener == b'{' else 'array', [])
            attach(stack[-1], key, value)
            at = SPACE.match(text, at + 1).end()
            if text[at:at + 1] != (b'}' if opener == b'{' else b']'):
                stack.append(value)
                key, at = read_key(text, at) if opener == b'{' else (None, at)
                continue
            at += 1
        else:
            value, at = read_scalar(text, at)
            attach(stack[-1], key, value)
        # behind a value: close what ends here, then go on to the next member
        at = SPACE.match(text, at).end()
        while len(stack) > 1 and text[at:at + 1] == (b'}' if stack[-1][0] == 'object' else b']'):
            stack.pop()
            at = SPACE.match(text, at + 1).end()
        if len(stack) == 1:
            if at != len(text):
                raise Refused('json')
            return root[0]
        if text[at:at + 1] != b',':
            raise Refused('json')
        at = SPACE.match(text, at + 1).end()
        key, at = read_key(text, at) if stack[-1][0] == 'object' else (None, at)


def attach(container, key, value):
    container[1].append((key, value) if container[0] == 'object' else value)


# --- judging an event, in the order of its text -----------------------------------------------------------------------

TIME = re.compile(r'([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?'
                  r'(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))')
PRICE = re.compile(r'[0-9]{1,10}(?:\.[0-9]{1,4})?')
QUANTITY = re.compile(r'[1-9][0-9]{0,6}')
INTEGER = re.compile(r'-?[0-9]+')
TYPES = ('order_placed', 'order_refunded')
REQUIRED = ('event_id', 'type', 'order_id', 'customer_id', 'event_time', 'currency', 'lines')
LINE_REQUIRED = ('sku', 'quantity', 'unit_price')

DAYS = {}                   # 'yyyy-mm-dd' -> days since 1970, or None


def day_number(text):
    try:
        return DAYS[text]
    except KeyError:
        pass
    try:
        day = datetime.date(int(text[0:4]), int(text[5:7]), int(text[8:10])).toordinal() - EPOCH
    except ValueError:
        day = None
    DAYS[text] = day
    return day


def parse_time(text):
    """RFC 3339 -> milliseconds since 1970, or None"""
    m = TIME.fullmatch(text)
    if not m:
        return None
    day = day_number(text[:10])
    hour, minute, second = int(m[4]), int(m[5]), int(m[6])
    if day is None or hour > 23 or minute > 59 or second > 60:
        return None
    offset = 0
    if m[8]:
        if int(m[9]) > 23 or int(m[10]) > 59:
            return None
        offset = (int(m[9]) * 60 + int(m[10])) * (-1 if m[8] == '-' else 1)
    at = ((day * 24 + hour) * 60 + minute - offset) * 60 + min(second, 59)
    ms = at * 1000 + int(((m[7] or '') + '000')[:3])
    if second == 60:
        if at % 86400 != 86399:
            return None
        ms = at * 1000 + 999
    return ms if TIME_MIN <= ms < TIME_END else None


def judge_text(value, least, most, nullable=False):
    """A text of `least` to `most` bytes (most None: its own rule follows)."""
    kind, text = value
    if nullable and kind == 'null':
        return None
    if kind != 'string':
        raise Refused('type')
    try:
        length = len(text.encode('utf-8', 'strict'))
    except UnicodeEncodeError:
        raise Refused('text') from None
    if '\0' in text:
        raise Refused('text')
    if most is not None and not least <= length <= most:
        raise Refused('size')
    return text


def judge_price(value):
    text = judge_text(value, 0, None)
    if not PRICE.fullmatch(text):
        raise Refused('amount')
    return Decimal(text)


def judge_quantity(value):
    kind, text = value
    if kind != 'number':
        raise Refused('type')
    if not QUANTITY.fullmatch(text) or int(text) > 1_000_000:
        raise Refused('quantity')
    return int(text)


LINE_FIELDS = {
    'sku': lambda v: judge_text(v, 1, 64),
    'quantity': judge_quantity,
    'unit_price': judge_price,
    'name': lambda v: judge_text(v, 0, 256, nullable=True),
}


def judge_members(members, fields):
    found = {}
    for key, value in members:
        if key in fields:
            if key in found:
                raise Refused('duplicate_key')
            found[key] = fields[key](value)
    return found


def judge_lines(value):
    if value[0] != 'array':
        raise Refused('type')
    lines = []
    for element in value[1]:
        if len(lines) == LINES_MAX:
            raise Refused('size')
        if element[0] != 'object':
            raise Refused('type')
        lines.append(judge_members(element[1], LINE_FIELDS))
    if not lines:
        raise Refused('size')
    return lines


def judge_version(value):
    kind, text = value
    if kind != 'number' or not INTEGER.fullmatch(text):
        raise Refused('type')
    if text != '1':
        raise Refused('version')


def judge_type(value):
    text = judge_text(value, 0, None)
    if text not in TYPES:
        raise Refused('event_type')
    return text


def judge_time(value):
    ms = parse_time(judge_text(value, 0, None))
    if ms is None:
        raise Refused('time')
    return ms


def judge_currency(value):
    text = judge_text(value, 0, None)
    if text not in CURRENCIES:
        raise Refused('currency')
    return text


FIELDS = {
    'schema_version': judge_version,
    'event_id': lambda v: judge_text(v, 1, 64),
    'type': judge_type,
    'order_id': lambda v: judge_text(v, 1, 64),
    'customer_id': lambda v: judge_text(v, 1, 64, nullable=True),
    'event_time': judge_time,
    'currency': judge_currency,
    'lines': judge_lines,
}


def parse_strictly(value):
    """bytes or None -> Event or Reject: the rules of docs/events.md, in their order."""
    try:
        if value is None:
            raise Refused('json')
        if len(value) > VALUE_MAX:
            raise Refused('size')
        kind, members = read_json(value)
        if kind != 'object':
            raise Refused('type')
        found = judge_members(members, FIELDS)
        if any(name not in found for name in REQUIRED):
            raise Refused('missing')
        if any(name not in line for line in found['lines'] for name in LINE_REQUIRED):
            raise Refused('missing')
        lines = tuple(Line(l['sku'], l['quantity'], l['unit_price'], l.get('name')) for l in found['lines'])
        total = sum((l.unit_price * l.quantity for l in lines), Decimal(0))
        if total > TOTAL_MAX:
            raise Refused('amount')
    except Refused as refused:
        return Reject(refused.args[0])
    return Event(found['event_id'], found['type'], found['order_id'], found['customer_id'], found['event_time'],
                 found['currency'], lines, total, sum(l.quantity for l in lines))


# --- the short cut ----------------------------------------------------------------------------------------------------

class Unsure(Exception):
    pass


def no_pairs_twice(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unsure
    return members


def unsure(_):
    raise Unsure


DECODER = json.JSONDecoder(object_pairs_hook=no_pairs_twice, parse_constant=unsure, parse_float=unsure, strict=True)
PRICES = {}                 # text -> Decimal


def short_text(text, least, most):
    if type(text) is not str or not least <= len(text) <= most or not text.isascii() and len(text.encode()) > most:
        raise Unsure
    return text


def short_price(text):
    if type(text) is not str or not PRICE.fullmatch(text):
        raise Unsure
    price = PRICES[text] = Decimal(text)
    return price


def short_line(line):
    sku, quantity, text = line['sku'], line['quantity'], line['unit_price']
    if type(quantity) is not int or not 1 <= quantity <= 1_000_000:
        raise Unsure
    short_text(sku, 1, 64)
    name = line.get('name')
    if name is not None:
        short_text(name, 0, 256)
    return Line(sku, quantity, PRICES.get(text) or short_price(text), name)


def parse_shortly(value):
    """The Event of a value that obviously is one; else raises anything. An escaped U+0000, a lone surrogate, deep nesting,
    a key that stands twice at any level, a number with a fraction: not obvious."""
    if len(value) > 200_000 or b'\\u0000' in value or value.count(b'[') + value.count(b'{') > DEPTH_MAX:
        raise Unsure
    e = DECODER.decode(value.decode('utf-8', 'strict'))
    if type(e) is not dict or e['type'] not in TYPES or e['currency'] not in CURRENCIES:
        raise Unsure
    if 'schema_version' in e and (type(e['schema_version']) is not int or e['schema_version'] != 1):
        raise Unsure
    customer = e['customer_id']
    if customer is not None:
        short_text(customer, 1, 64)
    ms = parse_time(e['event_time'])
    if ms is None or type(e['lines']) is not list:
        raise Unsure
    lines = tuple(map(short_line, e['lines']))
    total = sum([l.unit_price * l.quantity for l in lines], Decimal(0))
    if not lines or total > TOTAL_MAX:
        raise Unsure
    return Event(short_text(e['event_id'], 1, 64), e['type'], short_text(e['order_id'], 1, 64), customer, ms,
                 e['currency'], lines, total, sum([l.quantity for l in lines]))


def parse(value):
    """bytes or None -> Event or Reject(reason). Python's own reader is lenient, so it only gets to accept what is beyond
    doubt; everything else, every refusal among it, is decided by parse_strictly()."""
    try:
        return parse_shortly(value)
    except Exception:       # whatever it was: no answer yet
        return parse_strictly(value)


# --- the log ----------------------------------------------------------------------------------------------------------

def read_dump(f):
    """Records of a dump (see above), in its order. A size of -1 is a record without value (None)."""
    while True:
        head = f.readline()
        if not head:
            return
        try:
            partition, offset, timestamp, size = map(int, head.split())
        except ValueError:
            raise SystemExit(f'oracle: not the head of a record: {head[:80]!r}') from None
        at = f.tell() if size >= 0 and f.seekable() else None
        value = f.read(size) if size >= 0 else b''
        if len(value) != max(size, 0) or f.read(1) != b'\n':
            raise SystemExit(f'oracle: the dump breaks off in partition {partition}, offset {offset}')
        yield Record(partition, offset, timestamp, value if size >= 0 else None, at)


def read_ndjson(f):
    """One value a line, as partition 0; the offset is the line's number from 0. There is no record time: all have the
    same, behind every event time, so that no event is ahead of it."""
    for offset, line in enumerate(f):
        yield Record(0, offset, TIME_END, line[:-1] if line.endswith(b'\n') else line)


# --- what it comes to -------------------------------------------------------------------------------------------------

class Revenue:
    __slots__ = ('gross', 'refunds', 'orders', 'refund_count', 'units')

    def __init__(self):
        self.gross = self.refunds = Decimal(0)
        self.orders = self.refund_count = self.units = 0

    @property
    def net(self):
        return self.gross - self.refunds

    def add(self, event, times=1):
        """times -1 takes the event out again"""
        if event.type == 'order_placed':
            self.gross += event.total * times
            self.orders += times
            self.units += event.units * times
        else:
            self.refunds += event.total * times
            self.refund_count += times
            self.units -= event.units * times

    def empty(self):
        return not (self.orders or self.refund_count)


class Product:
    __slots__ = ('net', 'units', 'lines')

    def __init__(self):
        self.net = Decimal(0)
        self.units = self.lines = 0


def amount(value, currency):
    """At least the currency's own number of decimals, and no needless zeros beyond them."""
    text = format(value, '.4f')
    keep = CURRENCIES[currency]
    whole, fraction = text.split('.')
    while len(fraction) > keep and fraction.endswith('0'):
        fraction = fraction[:-1]
    if not whole.strip('-0') and not fraction.strip('0'):
        whole = '0'
    return f'{whole}.{fraction}' if fraction else whole


class Seen:
    """Where the counted event with an id stands."""
    __slots__ = ('timestamp', 'partition', 'offset', 'inside', 'value')

    def __init__(self, record, inside, reread):
        self.timestamp, self.partition, self.offset, self.inside = record.timestamp, record.partition, record.offset, inside
        # what it takes to read the event again, should another partition's take its place
        self.value = (record.at, len(record.value)) if reread and record.at is not None else record.value


class Partition:
    """What the rules look back at within one partition."""
    def __init__(self):
        self.last_offset = -1
        self.greatest_timestamp = None      # T
        self.greatest_time = None           # E: of the valid events that may move it
        self.seen = {}                      # speed: event_id -> (offset, timestamp) of its last valid record
        self.beaten = set()                 # exact: ids whose first one here lost to another partition's


class Answers:
    """The numbers of a log. Feed the records of each partition in the order of their offsets, then read.

      rules    'exact': an event counts once in the whole log. 'speed': once per partition within the horizon, which
               reaches back `horizon_records` records and `horizon_ms` of record time
      below    {partition: offset}: only the records below it exist. A partition that is not named: all, if below is None,
               else none
      start    {partition: offset}: only the records from it on are counted, those before it are still looked back at
      reread   function(at, size) -> bytes of the dump, so that the values need not be kept in memory

    minutes[(minute_ms, currency)], days[(date, currency)]: Revenue; products[(date, currency, sku)]: Product;
    customers[(customer_id, minute_ms, currency)]: Revenue; late_events[(partition, offset)]: Late;
    records, counted, duplicate, late, excluded, rejected[reason].

      exclude_late   late events are not counted but as `excluded`; by the speed rules only"""

    def __init__(self, time_zone='UTC', rules='exact', below=None, start=None, horizon_records=1_000_000,
                 horizon_ms=DAY_MS, max_skew_ms=10 * MINUTE_MS, grace_ms=30 * MINUTE_MS, products=True, reread=None,
                 exclude_late=False):
        if rules not in ('exact', 'speed') or exclude_late and rules != 'speed':
            raise ValueError(rules)
        self.zone = zoneinfo.ZoneInfo(time_zone)
        self.rules, self.below, self.start = rules, below, start or {}
        self.horizon_records, self.horizon_ms = horizon_records, horizon_ms
        self.max_skew_ms, self.grace_ms = max_skew_ms, grace_ms
        self.with_products = products
        self.exclude_late = exclude_late
        self.reread = reread
        self.minutes = collections.defaultdict(Revenue)
        self.days = collections.defaultdict(Revenue)
        self.products = collections.defaultdict(Product)
        self.customers = collections.defaultdict(Revenue)
        self.late_events = {}
        self.records = self.counted = self.duplicate = self.excluded = 0
        self.rejected = collections.Counter()
        self.partitions = collections.defaultdict(Partition)
        self.winners = {}                   # exact: event_id -> Seen
        self.dates = {}

    def date(self, time_ms):
        minute = time_ms // MINUTE_MS
        date = self.dates.get(minute)
        if date is None:
            at = datetime.datetime.fromtimestamp(minute * 60, datetime.timezone.utc)
            date = self.dates[minute] = at.astimezone(self.zone).date().isoformat()
        return date

    def feed(self, records):
        for record in records:
            self.add(record)
        return self

    def add(self, record):
        p = self.partitions[record.partition]
        if record.offset <= p.last_offset:
            raise ValueError(f'partition {record.partition}: offset {record.offset} after {p.last_offset}')
        if self.below is not None and record.offset >= self.below.get(record.partition, 0):
            return
        p.last_offset = record.offset
        if p.greatest_timestamp is None or record.timestamp > p.greatest_timestamp:
            p.greatest_timestamp = record.timestamp
        inside = record.offset >= self.start.get(record.partition, 0)
        self.records += inside
        event = parse(record.value)
        if type(event) is Reject:
            self.rejected[event.reason] += inside
            return
        lateness = self.lateness(p, record, event)
        if self.rules == 'speed':
            first = self.first_within_horizon(p, record, event)
        else:
            first = self.first_in_log(p, record, event, inside)
        if first and inside:
            if lateness:
                net = event.total if event.type == 'order_placed' else -event.total
                self.late_events[record.partition, record.offset] = Late(
                    self.date(event.time_ms), event.currency, net, lateness)
            if lateness and self.exclude_late:
                self.excluded += 1
                return
            self.counted += 1
            self.tally(event, 1)
        elif inside:
            self.duplicate += 1

    def lateness(self, p, record, event):
        """How far event time was ahead of a late event; 0 if it is not late."""
        end = event.time_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
        late = 0
        if p.greatest_time is not None and p.greatest_time >= end + self.grace_ms:
            late = p.greatest_time - event.time_ms
        if event.time_ms <= record.timestamp + self.max_skew_ms and (p.greatest_time is None or event.time_ms > p.greatest_time):
            p.greatest_time = event.time_ms
        return late

    def first_within_horizon(self, p, record, event):
        before = p.seen.get(event.event_id)
        p.seen[event.event_id] = (record.offset, record.timestamp)
        return before is None or record.offset - before[0] > self.horizon_records or \
            p.greatest_timestamp - before[1] > self.horizon_ms

    def first_in_log(self, p, record, event, inside):
        """True if the event counts as far as is known; one of another partition that it beats is taken out."""
        other = self.winners.get(event.event_id)
        if other is not None:
            # in one partition the lowest offset stands for it, whatever its timestamp
            if other.partition == record.partition or \
                    event.event_id in p.beaten:
                return False
            if (other.timestamp, other.partition) < (record.timestamp, record.partition):
                p.beaten.add(event.event_id)
                return False
            self.take_out(event.event_id, other)
        self.winners[event.event_id] = Seen(record, inside, self.reread)
        return True

    def take_out(self, event_id, seen):
        p = self.partitions[seen.partition]
        p.beaten.add(event_id)
        if seen.inside:
            self.tally(parse(seen.value if type(seen.value) is bytes else self.reread(*seen.value)), -1)
            self.counted -= 1
            self.duplicate += 1
            self.late_events.pop((seen.partition, seen.offset), None)

    def tally(self, event, times):
        date = self.date(event.time_ms)
        self.minutes[event.time_ms // MINUTE_MS * MINUTE_MS, event.currency].add(event, times)
        self.days[date, event.currency].add(event, times)
        if event.customer_id is not None:
            self.customers[event.customer_id, event.time_ms // MINUTE_MS * MINUTE_MS, event.currency].add(event, times)
        if not self.with_products:
            return
        sign = times if event.type == 'order_placed' else -times
        for line in event.lines:
            product = self.products[date, event.currency, line.sku]
            product.net += line.unit_price * line.quantity * sign
            product.units += line.quantity * sign
            product.lines += times

    @property
    def late(self):
        return len(self.late_events)

    def total(self, currency):
        """All days of one currency."""
        sums = Revenue()
        for (_, code), r in self.days.items():
            if code == currency:
                sums.gross += r.gross
                sums.refunds += r.refunds
                sums.orders += r.orders
                sums.refund_count += r.refund_count
                sums.units += r.units
        return sums

    def report(self, minutes=False, products=False):
        """Plain data for JSON: amounts as text, sorted, without rows that hold no event."""
        out = {
            'time_zone': self.zone.key, 'rules': self.rules,
            'counters': {'records': self.records, 'counted': self.counted, 'duplicate': self.duplicate,
                         'rejected': {r: self.rejected[r] for r in REASONS}, 'late': self.late},
            'days': [{'date': date, **revenue_row(currency, r)}
                     for (date, currency), r in sorted(self.days.items()) if not r.empty()],
        }
        if minutes:
            out['minutes'] = [{'minute': minute_text(minute), **revenue_row(currency, r)}
                              for (minute, currency), r in sorted(self.minutes.items()) if not r.empty()]
        if products:
            out['products'] = [{'date': date, 'currency': currency, 'sku': sku, 'net': amount(p.net, currency),
                                'units': p.units}
                               for (date, currency, sku), p in sorted(self.products.items()) if p.lines]
        return out


def minute_text(minute_ms):
    return datetime.datetime.fromtimestamp(minute_ms // 1000, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def revenue_row(currency, r):
    return {'currency': currency, 'net': amount(r.net, currency), 'gross': amount(r.gross, currency),
            'refunds': amount(r.refunds, currency), 'orders': r.orders, 'refund_count': r.refund_count, 'units': r.units}


# --- the command ------------------------------------------------------------------------------------------------------

def vector(text):
    """'0:100,1:80' -> {0: 100, 1: 80}"""
    try:
        return {int(p): int(o) for p, o in (pair.split(':') for pair in text.split(','))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': PARTITION:OFFSET,... is expected") from None


def arguments(argv):
    parser = argparse.ArgumentParser(prog='oracle.py', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=('answers', 'parse'))
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--dump', metavar='FILE', help='- is standard input')
    source.add_argument('--ndjson', metavar='FILE')
    parser.add_argument('--time-zone', default='UTC')
    parser.add_argument('--rules', choices=('exact', 'speed'), default='exact')
    parser.add_argument('--below', type=vector, metavar='VECTOR', help='only records below these offsets')
    parser.add_argument('--from', dest='start', type=vector, metavar='VECTOR', help='count only from these offsets on')
    parser.add_argument('--horizon-records', type=int, default=1_000_000)
    parser.add_argument('--horizon-ms', type=int, default=DAY_MS)
    parser.add_argument('--max-skew-ms', type=int, default=10 * MINUTE_MS)
    parser.add_argument('--grace-ms', type=int, default=30 * MINUTE_MS)
    parser.add_argument('--minutes', action='store_true')
    parser.add_argument('--products', action='store_true')
    return parser.parse_args(argv)


def print_parsed(records):
    for record in records:
        event = parse(record.value)
        told = event.reason if type(event) is Reject else \
            f'ok {event.type} {event.time_ms} {event.currency} {event.total} {event.units} ' \
            f'{len(event.lines)} {json.dumps(event.event_id)}'
        print(record.partition, record.offset, told)


def main(argv=None):
    args = arguments(argv)
    name = args.dump or args.ndjson
    with sys.stdin.buffer if name == '-' else io.open(name, 'rb') as f:
        records = read_dump(f) if args.dump else read_ndjson(f)
        if args.command == 'parse':
            print_parsed(records)
            return
        answers = Answers(args.time_zone, args.rules, args.below, args.start, args.horizon_records, args.horizon_ms,
                          args.max_skew_ms, args.grace_ms, args.products,
                          lambda at, size: os.pread(f.fileno(), size, at)).feed(records)
    json.dump(answers.report(args.minutes, args.products), sys.stdout, indent=1)
    print()


if __name__ == '__main__':
    main()
