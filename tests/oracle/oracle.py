#!/usr/bin/env python3
"""The oracle: what the orders in a log come to, told independently of the product.

It follows docs/events.md, in another language, with exact decimals, and shares nothing with the kernel: not its code, not
its tables. It is slow and simple on purpose. judge.py reads one record.

  oracle.py answers --dump FILE [--rules exact|speed] [--time-zone ZONE] [--below 0:100,1:80] [--from 0:50] ...
  oracle.py parse --ndjson FILE          what becomes of each record, one line each

A dump is what this prints, exact for any bytes:
  kcat -C -b BROKERS -t orders -e -q -X isolation.level=read_committed -f '%p %o %T %S\\n%s\\n'
"""
import argparse
import collections
import datetime
import io
import json
import os
import sys
import zoneinfo
from decimal import Decimal

from judge import CURRENCIES, DAY_MS, EPOCH, TIME_END, Reject, day_number, parse, parse_strictly, parse_time  # noqa: F401 (for tests)

REASONS = ('json', 'size', 'type', 'duplicate_key', 'missing', 'version', 'event_type', 'text', 'time', 'currency',
           'quantity', 'amount')
MINUTE_MS = 60_000

Late = collections.namedtuple('Late', 'date currency net lateness_ms')
# at: where a dump holds the value, for Answers(reread=...)
Record = collections.namedtuple('Record', 'partition offset timestamp value at', defaults=(None,))


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
