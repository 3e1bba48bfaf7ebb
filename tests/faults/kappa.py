"""What is asked about Kappa mode: by its rules, which are speed's, of one log that no run corrects."""
import collections
import datetime
import random
import time

import psycopg2

from place import harness
from test_kappa import Kappa
from truth import HOUR_MS, MINUTE_MS, Days, Fold

EPOCH = datetime.date(1970, 1, 1)
HOURS_KEPT = 47     # older orders of customers may have been dropped
CATCH_UP_S = 60     # and with as many records as a round has


def e4(text):
    whole, _, fraction = text.partition(".")
    value = int(whole.lstrip("-") + (fraction + "0000")[:4])
    return -value if text.startswith("-") else value


def row_e4(row):
    return e4(row["gross"]), e4(row["refunds"]), row["orders"], row["refund_count"]


def expected_days(truth):
    """Of all that is in the log now: {(date, currency): (gross_e4, refunds_e4, orders, refund_count)}. Under the truth's lock."""
    sums = Days(truth).advance({partition: log.position for partition, log in truth.logs.items()}).sums
    return {key: values for key, values in sums.items() if values[2] or values[3]}


def days_differ(place, expected):
    """None when ?view=kappa answers with these, else what is not so."""
    if not expected:
        return None
    days = sorted(date for date, _ in expected)
    served, provenance = place.served_days(days[0], days[-1], "kappa")
    served = {key: row_e4(values) for key, values in served.items()}
    return None if served == expected else "kappa: " + harness.difference(expected, served, provenance)


def same_rows(n):
    """The same log, folded once more in one go, from the archive if there is one, gives the same rows as the live version has, whatever that has been through."""
    live, again = n.place.kappa_live(), "again"
    n.place.start_kappa(again)
    store = Kappa(n.place)
    ends = {partition: log.position for partition, log in n.place.truth.logs.items()}
    wanted = [ends, ends]
    if not n.wait(lambda: [store.nexts(version) for version in (live, again)] == wanted, CATCH_UP_S):
        n.violation(f"the log ends at {ends}; {live} has {store.nexts(live)}, another one of the same log {store.nexts(again)}")
        return
    first, second = store.rows(live), store.rows(again)
    for table, rows in first.items():
        if rows != second[table]:
            wrong = sorted(set(rows) ^ set(second[table]), key=repr)
            n.violation(f"kappa: {table} of {live} and of the same log folded again differ in {len(wrong)} rows: {wrong[:4]}")
    n.count("rows of a log folded again", sum(map(len, first.values())))
    n.happened("logs folded again")
    n.place.end_kappa(again)


class KappaObserver:
    """The Observer's looks at Kappa mode:
    - what a version has of a partition is not the fold of what its offsets say
    - an answer's sums are not those of exactly the offsets that it names, its version is not the one that was promoted
    - an answer is of an older promotion, or has less of a partition than before, and no rollback explains it"""

    def __init__(self, place, violation, counts):
        self.place, self.truth, self.violation, self.counts = place, place.truth, violation, counts
        self.folds = {}         # (version's id, partition, start) -> truth.Fold
        self.promotions = {}    # promotion -> (version, kind)
        self.shown = None       # (promotion, offsets)
        self.days = None
        self.told = set()

    def violation_once(self, what, text):
        """What is wrong once stays wrong, with other numbers each time."""
        if what not in self.told:
            self.told.add(what)
            self.violation(text)

    # --- the store

    def look_at_store(self):
        """At one partition of one version, by chance."""
        connection = psycopg2.connect(self.place.postgres, connect_timeout=3)
        try:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT id, version, partition, start_offset, next_offset FROM lambda.kappa_offsets"
                               " JOIN lambda.kappa_versions USING (id)")
                spans = cursor.fetchall()
                if spans:
                    self.look_at_partition(cursor, *random.choice(spans))
        finally:
            connection.close()

    def look_at_partition(self, cursor, number, version, partition, start, end):
        if not self.truth.has({partition: end}, 2):
            self.counts["truth was behind"] += 1
            return
        now = int(time.time() * 1000) // HOUR_MS
        hour = f"o:{now - random.randrange(HOURS_KEPT)}"
        found, days = self.read(cursor, number, partition, int(hour[2:]))
        with self.truth.lock:
            fold = self.folds.get((number, partition, start))
            if fold is None or fold.upto > end:
                fold = self.folds[number, partition, start] = Fold(self.truth.logs[partition], start)
            expected = {k: v for k, v in fold.advance(end).items() if v and (k[0][0] != "o" or k[0] == hour)}
        self.counts["kappa: partitions of a version compared"] += 1
        if found != expected:
            wrong = [f"{k}: {found.get(k, 0)}, not {expected.get(k, 0)}" for k in sorted(set(found) | set(expected), key=repr)
                     if found.get(k, 0) != expected.get(k, 0)]
            self.violation_once((partition, version), f"kappa: partition {partition} of {version} [{start},{end}) is not the fold of its part of "
                                f"the log: {len(wrong)} values differ, {'; '.join(wrong[:4])}")
        if days:
            self.violation_once((partition, version, "days"),
                                f"kappa: partition {partition} of {version}: the days are not the sums of their minutes: {days[:4]}")

    @staticmethod
    def read(cursor, number, partition, hour):
        """({(chunk, field): value} as truth.Judged.values has them, the days that are not the sums of their minutes)."""
        found = collections.Counter()

        def ask(columns, table, more=""):
            cursor.execute(f"SELECT {columns} FROM lambda.{table} WHERE id = %s AND partition = %s {more}", (number, partition))
            return cursor.fetchall()

        minute = "(extract(epoch FROM minute) * 1000)::bigint, currency"
        for ms, currency, *values in ask(f"{minute}, gross_e4, refunds_e4, orders, refund_count, units", "kappa_minutes"):
            for what, value in zip("grocu", values):
                found[f"r:{ms // HOUR_MS}", f"{ms % HOUR_MS // MINUTE_MS:02}{currency}{what}"] = value
        for name, value in ask("name, n", "kappa_counters"):
            found["c", name] = value
        for day, currency, *values in ask("day, currency, events, net_e4, worst_ms", "kappa_late"):
            for what, value in zip("el^", values):
                found[f"d:{(day - EPOCH).days}", what + currency] = value
        for day, value in ask("day, n", "kappa_duplicates"):
            found[f"d:{(day - EPOCH).days}", "duplicate"] = value
        for day, currency, sku, net, units in ask("day, currency, sku, net_e4, units", "kappa_products"):
            found[f"p:{(day - EPOCH).days}", f"n{currency}{sku}"] = net
            found[f"p:{(day - EPOCH).days}", f"u{currency}{sku}"] = units
        for ms, currency, who, *values in ask(f"{minute}, customer_id, gross_e4, refunds_e4, orders, refund_count", "kappa_customers",
                                              f"AND extract(epoch FROM minute) BETWEEN {hour * 3600} AND {hour * 3600 + 3599}"):
            for what, value in zip("groc", values):
                found[f"o:{hour}", (f"{ms % HOUR_MS // MINUTE_MS:02}{currency}", who, what)] = value
        sums = "day, currency, {0}gross_e4{1}, {0}refunds_e4{1}, {0}orders{1}, {0}refund_count{1}, {0}units{1}"
        days = set(ask(sums.format("", ""), "kappa_days")) ^ set(ask(sums.format("sum(", ")"), "kappa_minutes", "GROUP BY day, currency"))
        return {key: value for key, value in found.items() if value}, sorted(days, key=repr)

    # --- answers

    def look_at_answer(self):
        status, answer = self.place.ask("/v1/revenue/today?view=kappa")
        if status != 200:
            self.counts[f"kappa: answers with status {status}"] += 1
            if status not in (404, 503) or status == 404 and self.shown:
                self.violation(f"kappa: answers: {status}: {answer}")
            return
        self.counts["kappa: answers compared"] += 1
        for code in answer["degraded"]:
            self.counts[f"kappa: answers with {code}"] += 1
        kappa = answer["kappa"]
        if kappa["promotion"] not in self.promotions:
            self.promotions = {number: (version, kind) for number, version, kind in
                               self.place.sql("SELECT promotion, version, kind FROM lambda.kappa_promotions")}
        version, _ = self.promotions.get(kappa["promotion"], (None, None))
        if version != kappa["version"]:
            self.violation(f"kappa: answers: promotion {kappa['promotion']} is of {version}, the answer says {kappa['version']}")
        self.look_at_order(kappa["promotion"], kappa["offsets"])
        self.look_at_sums(answer, dict(enumerate(kappa["offsets"])))

    def look_at_order(self, promotion, offsets):
        before, had = self.shown or (promotion, offsets)
        self.shown = promotion, offsets
        if promotion < before:
            self.violation(f"kappa: answers: went back from promotion {before} to {promotion}")
            return
        if promotion > before:
            self.counts["kappa: answers after another promotion"] += 1
        if any(self.promotions[number][1] == "rollback" for number in range(before + 1, promotion + 1)):
            return
        if len(offsets) < len(had) or any(now < was for now, was in zip(offsets, had)):
            self.violation(f"kappa: answers: coverage went back from {had} (promotion {before}) to {offsets} (promotion {promotion})")

    def look_at_sums(self, answer, below):
        if not self.truth.has(below, 2):
            self.counts["truth was behind"] += 1
            return
        with self.truth.lock:
            if self.days is None or any(below.get(partition, 0) < end for partition, end in self.days.below.items()):
                self.days = Days(self.truth)
            sums = dict(self.days.advance(below).sums)
        for row in answer["revenue"]:
            key = answer["date"], row["currency"]
            if row_e4(row) != sums.get(key, (0, 0, 0, 0)):
                self.violation_once((answer["kappa"]["version"], key), f"kappa: answers: {key} is {row_e4(row)}, but what is below {below} "
                                    f"comes to {sums.get(key)}; {answer}"[:1500])
