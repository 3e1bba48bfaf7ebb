"""Watches all the time, whatever goes wrong meanwhile; each thing that must never be seen is a violation:
- a generation in Redis is not the fold of exactly its part of the log
- an answer's confirmed part is not that of the run it names; its sums are not those of what /metrics says is covered
- coverage goes back, but for an answer with `rebuilding`
- orders by customer in Redis are not those of the log
- a run's counts or days are not what the log below its cut comes to; it corrects anything but events that stand in two partitions
- what kappa.KappaObserver says
What cannot be asked while a fault lasts is passed over, and counted."""
import collections
import json
import random
import threading
import time

import psycopg2
import redis

from kappa import KappaObserver, e4
from truth import HOUR_MS, Days, Fold

PAUSE_S = 0.25
CHUNKS = 1_000_000
HOURS_KEPT = 46     # older orders of customers may have been dropped


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


class Observer:
    def __init__(self, place, report):
        """report(text): a violation"""
        self.place, self.truth, self.report = place, place.truth, report
        self.counts = collections.Counter()
        self.folds = {}             # (partition, run, start) -> truth.Fold
        self.closed = set()         # generations that were seen whole and right
        self.shown, self.shown_by = {}, None
        self.days = None
        self.runs = {}              # run -> {(date, currency): (gross, refunds, orders, refund_count)}
        self.cuts = {}              # run -> {partition: next offset}
        self.kappa = KappaObserver(place, self.violation, self.counts)
        self.told = set()
        self.stopping = self.is_blind = False
        self.looked = threading.Event()
        self.redis = redis.Redis(host="127.0.0.1", port=place.stack.direct["redis"], socket_timeout=3, socket_connect_timeout=1)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.thread.join(30)

    def settle(self):
        """Returns when it has looked at everything once more."""
        self.looked.clear()
        self.looked.wait(10)
        self.looked.clear()
        self.looked.wait(10)

    def blind(self, is_so):
        """While what it sees may be wrong for a moment. Then what it remembers is not compared either."""
        self.is_blind = is_so
        self.looked.clear()
        self.looked.wait(10)    # a look that is under way
        self.shown = {}

    def violation(self, text):
        """Once for each text: a state that stays wrong is one violation."""
        if text not in self.told:
            self.told.add(text)
            self.report(text)

    def run(self):
        while not self.stopping:
            looks = (self.look_at_redis, self.look_at_runs, self.look_at_answers, self.kappa.look_at_store, self.kappa.look_at_answer)
            for look in () if self.is_blind else looks:
                try:
                    look()
                except (OSError, redis.RedisError, psycopg2.Error, ValueError):
                    self.counts["could not look"] += 1
                except Exception as error:  # a mistake of the observer must not pass for silence
                    self.violation(f"the observer fails in {look.__name__}: {error!r}")
            self.looked.set()
            time.sleep(PAUSE_S)

    # --- the speed view

    def look_at_redis(self):
        for partition in list(self.truth.logs):
            self.look_at_partition(partition)

    def read(self, partition, kind):
        base = f"{self.place.name}:{{{self.place.topic}/{partition}}}"
        reply = self.redis.execute_command("FCALL_RO", "lambda_1_read", 1, base, kind, CHUNKS, "0", "0")
        state = pairs([x.decode() for x in reply[0]])
        generations = {}
        for g in reply[2:]:
            values = {}
            for chunk in g[3:]:
                name, fields = chunk[0].decode(), chunk[2]
                for field, value in zip(fields[::2], fields[1::2]):
                    if int(value):
                        values[name, field.decode()] = int(value)
            generations[int(g[0])] = values
        return state, generations

    def look_at_partition(self, partition):
        state, generations = self.read(partition, "r")
        if not state or "writing" in state:
            return
        spans = [tuple(map(int, g.split(","))) for g in state["gens"].split()]
        if not self.truth.has({partition: spans[-1][2]}, 2):
            self.counts["truth was behind"] += 1
            return
        for i, (run, start, end) in enumerate(spans):
            self.look_at_generation(partition, run, start, end, generations.get(run), ("r", "c", "d"))
            if i and spans[i - 1][2] != start:
                self.counts["generations that do not join"] += 1
        self.look_at_products(partition)
        self.look_at_customers(partition, *random.choice(spans))

    def look_at_generation(self, partition, run, start, end, values, kinds, fold_kind="r"):
        key = (partition, run, start)
        if values is None:
            return
        fold = self.folds.get((*key, fold_kind))
        with self.truth.lock:
            if fold is None or fold.upto > end:
                fold = self.folds[(*key, fold_kind)] = Fold(self.truth.logs[partition], start)
            expected = {k: v for k, v in fold.advance(end).items() if v and k[0].split(":")[0] in kinds}
        self.counts["generations compared"] += 1
        if values != expected:
            wrong = [f"{k}: {values.get(k, 0)}, not {expected.get(k, 0)}" for k in sorted(set(values) | set(expected))
                     if values.get(k, 0) != expected.get(k, 0)]
            self.violation(f"redis: partition {partition} generation {run} [{start},{end}) is not the fold of its part of the log: "
                           f"{len(wrong)} values differ, {'; '.join(wrong[:4])}")

    def look_at_products(self, partition):
        """The products of one day, another one each time."""
        with self.truth.lock:
            days = sorted({k[0] for fold in self.folds.values() for k in fold.values if k[0].startswith("p:")})
        if not days:
            return
        self.counts["looks at products"] += 1
        day = days[self.counts["looks at products"] % len(days)]
        state, generations = self.read(partition, day)
        if not state or "writing" in state:
            return
        for run, start, end in (tuple(map(int, g.split(","))) for g in state["gens"].split()):
            if not self.truth.has({partition: end}, 2) or run not in generations:
                continue
            with self.truth.lock:
                fold = self.folds.get((partition, run, start, "r"))
                if fold is None or fold.upto > end:
                    continue
                expected = {k: v for k, v in fold.advance(end).items() if v and k[0] == day}
            if generations[run] != expected:
                self.violation(f"redis: partition {partition} generation {run} [{start},{end}): the products of {day} are not those of the log")

    def look_at_customers(self, partition, run, start, end):
        """One hour of a generation, by chance. Its header says how far its sums go."""
        name = f"o:{int(time.time() * 1000) // HOUR_MS - random.randrange(HOURS_KEPT)}"
        stored = {k.decode(): v.decode() for k, v in self.redis.hgetall(
            f"{self.place.name}:{{{self.place.topic}/{partition}}}:{run}:{name}").items()}
        header = stored.pop("#", "").split()
        if not stored or len(header) != 2 or not self.truth.has({partition: int(header[1])}, 2):
            return
        found, expected = collections.Counter(), collections.Counter()
        for field, text in stored.items():
            for entry in text.split(";")[1:]:
                for what, value in zip("ogcr", entry[5:].split(",")):
                    found[entry[:5], field[1:], what] += int(value)
        with self.truth.lock:
            for judged in self.truth.logs[partition].stretch(start, int(header[1])):
                for (chunk, key), value in judged.values.items():
                    if chunk == name:
                        expected[key] += value
        self.counts["hours of customers compared"] += 1
        if +found != +expected:
            wrong = [f"{k}: {found[k]}, not {expected[k]}" for k in sorted(set(found) | set(expected)) if found[k] != expected[k]]
            self.violation(f"redis: partition {partition} generation {run} [{start},{end}): {name} is not what the customers ordered: "
                           f"{len(wrong)} values differ, {'; '.join(wrong[:4])}")

    # --- the batch view

    def look_at_runs(self):
        for run, records, counted, duplicate, rejected, late in self.place.sql(
                "SELECT run, records, counted, duplicate, rejected, late FROM lambda.runs WHERE state = 'published' AND run <> ALL(%s)",
                list(self.runs)):
            cut = dict(self.place.sql("SELECT partition, next_offset FROM lambda.cuts WHERE run = %s", run))
            if not self.truth.has(cut):
                continue
            self.look_at_run(run, cut, {"records": records, "counted": counted, "duplicate": duplicate, "rejected": rejected, "late": late})

    def look_at_run(self, run, cut, counts):
        expected = collections.Counter()
        with self.truth.lock:
            surplus, n_surplus = self.truth.surplus(cut)
            days = Days(self.truth).advance(cut).minus(surplus)
            expected.update({"counted": -n_surplus, "duplicate": n_surplus})
            for partition, end in cut.items():
                for (chunk, field), value in Fold(self.truth.logs[partition], 0).advance(end).items():
                    if chunk == "c":
                        expected[field.split(":")[0]] += value
        if any(counts[k] != expected[k] for k in counts):
            self.violation(f"run {run}: counts are {counts}, the log below its cut has {dict(expected)}")
        if counts["records"] != counts["counted"] + counts["duplicate"] + counts["rejected"]:
            self.violation(f"run {run}: {counts} do not add up")
        stored = {(str(day), currency): (g, r, o, c) for day, currency, g, r, o, c in self.place.sql(
            "SELECT day, currency, gross_e4, refunds_e4, orders, refund_count FROM lambda.revenue_days WHERE run = %s", run)}
        if stored != days and self.is_there(run):
            self.violation(f"run {run}: its days are not those of the log below its cut")
        self.runs[run], self.cuts[run] = stored, cut
        self.counts["runs compared"] += 1
        self.look_at_corrections(run)

    def is_there(self, run):
        """It was not pruned while it was looked at."""
        return bool(self.place.sql("SELECT 1 FROM lambda.runs WHERE run = %s AND state = 'published'", run))

    def look_at_corrections(self, run):
        """No id is beyond the horizon, and all rules are the same. So nothing is to be corrected but events that were put into two
        partitions: those second ones that this run covers and its base did not, to the last digit."""
        base, = self.place.sql("SELECT coalesce(base_run, 0) FROM lambda.runs WHERE run = %s", run)[0]
        base_cut = dict(self.place.sql("SELECT partition, next_offset FROM lambda.cuts WHERE run = %s", base))
        with self.truth.lock:
            now, before = self.truth.surplus(self.cuts[run])[0], self.truth.surplus(base_cut)[0]
        wanted = {}
        for key, (gross, refunds, orders, refund_count) in now.items():
            was = before.get(key, (0, 0, 0, 0))
            if (orders, refund_count) != was[2:]:
                wanted[key] = (gross - was[0]) - (refunds - was[1])
        for day, currency, before_e4, after_e4, causes in self.place.sql(
                "SELECT day, currency, before_e4, after_e4, (SELECT string_agg(cause || ' ' || net_e4, ', ') FROM lambda.correction_causes x"
                " WHERE (x.run, x.day, x.currency) = (c.run, c.day, c.currency)) FROM lambda.corrections c WHERE run = %s", run):
            surplus = wanted.pop((str(day), currency), None)
            if surplus is None:
                self.violation(f"run {run} corrects {day} {currency} from {before_e4} to {after_e4} ({causes}), and nothing was wrong")
            elif after_e4 - before_e4 != -surplus or causes != f"duplicate_other_partition {-surplus}":
                self.violation(f"run {run} corrects {day} {currency} from {before_e4} to {after_e4} ({causes}); events of {surplus}e-4 stood in "
                               "two partitions")
            self.counts["corrections explained"] += 1
        if wanted and base:     # a first run may find that nobody was told anything
            self.violation(f"run {run} does not correct {wanted}, of events that stand in two partitions")

    # --- answers

    def look_at_answers(self):
        program = self.place.served
        before = self.place.coverage()
        status, _, body = self.place.get("/v1/revenue/today")
        if status != 200:   # it has just begun, and says so
            self.counts[f"answers with status {status}"] += 1
            if status != 503:
                self.violation(f"answers: {status}: {body[:300]}")
            return
        answer = json.loads(body)
        after = self.place.coverage()
        if before is None or after is None or program is not self.place.served:
            return
        self.counts["answers compared"] += 1
        for code in answer["degraded"]:
            self.counts[f"answers with {code}"] += 1
        if program is not self.shown_by:
            self.shown, self.shown_by, self.days = {}, program, None
        partial = {"rebuilding", "lost_events", "speed_unavailable"} & set(answer["degraded"])
        for coverage in (before, after):
            for partition, offset in coverage.items():
                if offset < self.shown.get(partition, 0) and not partial:
                    self.violation(f"answers: coverage of partition {partition} went back from {self.shown[partition]} to {offset}; "
                                   f"degraded {answer['degraded']}")
                self.shown[partition] = max(offset, self.shown.get(partition, 0))
        self.look_at_confirmed(answer)
        if not partial:
            self.look_at_sums(answer, before, after)

    def surplus(self, answer):
        """What the answer's run has taken out, or None if that is not known yet."""
        run = answer["batch"] and answer["batch"]["run"]
        if not self.truth.twice or not run:
            return {}
        return self.truth.surplus(self.cuts[run])[0] if run in self.cuts else None

    def look_at_confirmed(self, answer):
        run = answer["batch"] and answer["batch"]["run"]
        if run not in self.runs:
            return
        for row in answer["revenue"]:
            gross, refunds, _, _ = self.runs[run].get((answer["date"], row["currency"]), (0, 0, 0, 0))
            confirmed, provisional, net = (e4(x) for x in (row["confirmed"]["net"], row["provisional"]["net"], row["net"]))
            if confirmed != gross - refunds:
                self.violation(f"answers: run {run} is named, but its net of {answer['date']} {row['currency']} is {gross - refunds}e-4, "
                               f"and {confirmed}e-4 is called confirmed")
            if confirmed + provisional != net:
                self.violation(f"answers: {row} does not add up")

    def look_at_sums(self, answer, before, after):
        """The log only adds to gross, refunds and counts: so the answer lies between what both coverages come to."""
        if not self.truth.has(after, 2):
            self.counts["truth was behind"] += 1
            return
        with self.truth.lock:
            if self.days is None or any(before.get(p, 0) < end for p, end in self.days.below.items()):
                self.days = Days(self.truth)
            low = self.days.advance(before).copy()
            high = low.copy().advance(after)
            surplus = self.surplus(answer)
        if surplus is None:
            return
        for row in answer["revenue"]:
            key = (answer["date"], row["currency"])
            shown = (e4(row["gross"]), e4(row["refunds"]), row["orders"], row["refund_count"])
            shown = tuple(a + b for a, b in zip(shown, surplus.get(key, (0, 0, 0, 0))))
            if not all(a <= b <= c for a, b, c in zip(low.sums[key], shown, high.sums[key])):
                self.violation(f"answers: {key} is {shown}, but what is covered comes to {low.sums[key]} ({before}), at most to "
                               f"{high.sums[key]} ({after}); {json.dumps(answer)[:600]}")
