"""What the oracle reads in one record: an order, or the reason why it is none. To the letter of docs/events.md, and nothing of
the kernel's code or tables. There is a short cut that only ever accepts (see parse())."""
import collections
import datetime
import decimal
import json
import os
import re
from decimal import Decimal

VALUE_MAX = 2 * 1024 * 1024
DEPTH_MAX = 256
LINES_MAX = 5000
TOTAL_MAX = Decimal(1_000_000_000)
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
