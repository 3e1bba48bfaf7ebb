#!/usr/bin/python3
"""make story STORY=NAME: one of the five streaming gotchas, or how a bug is mended, live, in under a minute: commands, answers, and what
one sees.

  order         an event that arrives late lands in its own minute
  customers     how many orders has customer X placed in the last 24 hours
  once          sent twice, delivered twice, aborted: counted once or never
  backpressure  a producer that is too fast: the backlog waits in Kafka
  late          late data are counted and told, or left out and brought back
  bug-lambda    a build that adds refunds is found out: what speed says is right from the fix on, the rest with the next run
  bug-kappa     the same: the fixed build replays the log beside it, and takes its place
  bug-hybrid    the same: a replay from before the bug, published at once

Each has a stack of its own, on free ports below build/story, which is stopped and removed at its end. Ctrl-C stops it
at any time. `make story` without a name prints this.
"""
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOLD, DIM, END = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def say(text):
    print(f"\n{BOLD}{text}{END}", flush=True)


def seen(text):
    print(f"  -> {text}", flush=True)


def command(text):
    print(f"{DIM}$ {text}{END}", flush=True)


class Story:
    """A world of tests/system/harness.py, and words around what is done in it."""

    def __init__(self, world):
        self.world = world

    def send(self, event, partition=0, arrived=None):
        at = f" (its record is of {arrived[11:19]})" if arrived else ""
        text = {k: event[k] for k in ("event_id", "event_time")} | {"net": event["lines"][0]["unit_price"]}
        command(f"echo '{json.dumps(text)[1:-1]}, ...' | kcat -P -t orders -p {partition}{at}")
        timestamp = harness.oracle.parse_time(arrived) if arrived else None
        self.world.produce([event], partition=partition, timestamp=timestamp)

    def get(self, path, pick, until, seconds=30):
        """Asks until the answer is what is waited for, and shows some of it."""
        answer = {}

        def there():
            answer.update(self.world.answer(path))
            return until(answer) and answer["degraded"] == []
        harness.wait_until(there, seconds, lambda: f"GET {path} gives {answer}")
        command(f"curl http://127.0.0.1:{self.world.port}{path}")
        print(f"  {json.dumps(pick(answer), ensure_ascii=False)}", flush=True)
        return answer

    def metrics(self, *names):
        command(f"curl http://127.0.0.1:{self.world.port}/metrics | grep -E '{'|'.join(names)}'")
        for line in self.world.get("/metrics")[2].decode().splitlines():
            if not line.startswith("#") and any(name in line for name in names):
                print(f"  {line}")

    def batch(self, *args):
        command("lambda-batch run " + " ".join(args))
        print("  " + self.world.run_batch(*args).stdout.strip().splitlines()[-1].split(" info ")[-1])

    def speed(self, *args):
        command("lambda-speed " + " ".join(args) + " &")
        return self.world.speed(*args)

    def serving(self, *args):
        self.world.serving(*args)
        command(f"lambda-serving --listen 127.0.0.1:{self.world.port} {' '.join(args)} &")


def now(minutes=0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_day(answer):
    return {"revenue": [{k: r[k] for k in ("currency", "net", "orders")} for r in answer["revenue"]], "final": answer["final"],
            "speed": answer["speed"], "caveat": answer["caveat"]}


def net(answer):
    return answer["revenue"][0]["net"] if answer["revenue"] else None


def orders(answer):
    return sum(point["orders"] for point in answer["points"])


DAY = "/v1/revenue/2026-03-01"


def at(clock):
    return f"2026-03-01T{clock}Z"


def story_order(s):
    s.serving()
    s.speed()
    say("An order of 10:02, one of 10:05, and then one of 10:00 that was on its way for five minutes")
    s.send(harness.order("a", "2.00", at("10:02:00")), arrived=at("10:02:00"))
    s.send(harness.order("b", "5.00", at("10:05:00")), arrived=at("10:05:00"))
    s.send(harness.order("c", "10.00", at("10:00:00")), arrived=at("10:05:01"))
    s.get(DAY, of_day, lambda a: net(a) == "17.00")
    seen("all three are counted, whatever the order they came in")
    hour = harness.oracle.parse_time(at("10:00:00")) // 3600000
    key = f"{s.world.name}:{{{s.world.topic}/0}}:0:r:{hour}"
    command(f"redis-cli HGETALL '{key}'")
    print("  " + json.dumps({k.decode(): v.decode() for k, v in sorted(s.world.stack.redis().hgetall(key).items()) if k != b"#"}))
    seen("'00GBPg 100000': 10.00 in minute 00, where it happened, not in minute 05, where it arrived")
    say("An order whose clock is 13 hours ahead")
    s.send(harness.order("d", "1.00", at("23:00:00")), arrived=at("10:05:02"))
    s.get(DAY, of_day, lambda a: net(a) == "18.00")
    s.metrics("partition_latest_event_seconds", "late_events")
    seen("it is counted at 23:00, but event time stays at 10:05 (1772359500), so nothing that follows is called late")
    say("The nightly run, from all events anew")
    s.batch()
    s.get(DAY, of_day, lambda a: a["batch"])
    seen("the same number, now confirmed")


def story_customers(s):
    path = "/v1/customers/c42/orders?window=24h"

    def pick(a):
        return {k: a[k] for k in ("customer_id", "from", "to", "complete", "orders", "first", "last", "amounts")}
    s.serving()
    s.speed()
    say("Customer c42 orders three times; once that was 30 hours ago")
    for n, minutes in enumerate((-1800, -120, -5)):
        s.send(harness.order(f"o{n}", "10.00", now(minutes), customer="c42"))
    s.get(path, pick, lambda a: a["orders"] == 2)
    seen("two in the last 24 hours: the window moves with the minutes")
    say("A batch run, then another order")
    s.batch()
    s.send(harness.order("o4", "5.00", now(), customer="c42"))
    s.get(path, pick, lambda a: a["orders"] == 3 and a["batch"])
    seen("batch part and speed part, added exactly: 'confirmed' 2, 'provisional' 1")
    say("Redis loses everything")
    command("redis-cli FLUSHALL")
    s.world.stack.redis().flushall()
    s.get(path, pick, lambda a: a["orders"] == 3 and not a["degraded"])
    seen("speed began again at the run's cut and read the rest from Kafka")


def story_once(s):
    s.serving()
    speed = s.speed()
    again = harness.order("e1", "10.00", at("12:00:00"))
    say("The same event twice, and once more after a batch run")
    s.send(again)
    s.send(again)
    s.get(DAY, of_day, lambda a: net(a) == "10.00" and a["speed"]["duplicates"] == 1)
    s.batch()
    s.send(again)
    s.get(DAY, of_day, lambda a: a["batch"] and a["speed"]["duplicates"] == 1)
    seen("10.00: the third one is speed's duplicate of an event that the batch has counted")
    say("Speed is killed, and a new one starts")
    command(f"kill -9 {speed.popen.pid}")
    speed.kill()
    s.speed()
    s.send(again)
    s.get(DAY, of_day, lambda a: a["speed"]["lag_events"] == 0 and a["speed"]["duplicates"] == 2)
    seen("it has read back what it must know; still 10.00")
    say("A transaction that is never committed, and an order behind it")
    producer = s.world.producer(**{"transactional.id": s.world.name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(s.world.topic, json.dumps(harness.order("open", "1000.00", at("12:00:00"))), "k", partition=0)
    producer.flush(30)
    command("(a producer: begin transaction, send 1000.00, and nothing more)")
    s.send(harness.order("behind", "5.00", at("12:01:00")))
    s.get(DAY, of_day, lambda a: "open transaction" in (a["caveat"] or ""))
    seen("'held_events' and the caveat say that something is there that may not be read yet")
    command("(the producer aborts it)")
    producer.abort_transaction(30)
    s.get(DAY, of_day, lambda a: net(a) == "15.00" and a["speed"]["held_events"] == 0)
    seen("15.00: what was aborted is never counted, what waited behind it is")


def story_backpressure(s):
    import proxy
    through = proxy.Proxies()
    port, direct = harness.free_port(), s.world.env["LAMBDA_REDIS"]
    target = int(direct.rsplit(":", 1)[1].split("/")[0])
    slow = through.add(port, target)
    slow.set(delay_s=0.3)
    settings = ("--pending-max", "2000", "--horizon-records", "20000", "-X", "queued.max.messages.kbytes=8192")

    def lag(a):
        return {k: a[k] for k in ("speed", "caveat")}

    def memory(speed):
        command(f"grep VmRSS /proc/{speed.popen.pid}/status")
        with open(f"/proc/{speed.popen.pid}/status", encoding="ascii") as status:
            print("  " + next(line.rstrip() for line in status if line.startswith("VmRSS")))
    try:
        s.serving()
        say("Redis is slow: each word to it or from it takes 300 ms. And 12,000 orders per second come in")
        s.world.env["LAMBDA_REDIS"] = direct.replace(f":{target}", f":{port}")
        speed = s.speed(*settings)
        path = "/v1/revenue/today"
        s.get(path, lag, lambda a: a["speed"] and a["speed"]["lag_events"] is not None)
        command("orders generate --rate 12000 --count 140000 &")
        live = s.world.start("orders", "generate", "--rate", "12000", "--count", "140000")
        s.get(path, lag, lambda a: (a["speed"]["lag_events"] or 0) > 20000 and a["speed"]["lag_seconds"] > 5)
        memory(speed)
        live.wait(60)
        s.get(path, lag, lambda a: (a["speed"]["lag_events"] or 0) > 40000)
        memory(speed)
        seen("orders wait for longer and longer, the memory stays: what waits, waits in Kafka")
        say("A second process")
        s.speed(*settings)

        def owners():
            redis = s.world.stack.redis()
            return [redis.hget(f"{s.world.name}:{{{s.world.topic}/{p}}}:beat", "worker") or b"-" for p in range(4)]
        harness.wait_until(lambda: len(set(owners())) == 2, 20, "they share the partitions")
        command("redis-cli HGET ...:beat worker   # of partitions 0 to 3")
        print("  " + " ".join(o.decode() for o in owners()))
        seen("it has taken half of the partitions")
        say("Redis is fast again")
        slow.set(delay_s=0)
        s.get(path, lag, lambda a: a["speed"]["lag_events"] == 0)
        today = datetime.datetime.now(datetime.timezone.utc).date()
        s.get(f"/v1/revenue?from={today - datetime.timedelta(1)}&to={today + datetime.timedelta(1)}&step=day",
              lambda a: {"orders": orders(a)}, lambda a: orders(a) == 140000)
        seen("every one of the 140,000 orders is counted, once")
    finally:
        for process in s.world.processes:
            if process.running():
                process.kill()
        slow.set(proxy.CUT)
        through.close()


def story_late(s):
    settings = ("--late", "exclude")
    say("The default: late events are counted, and told")
    s.serving()
    speed = s.speed()
    for name, clock, amount in (("a", "12:00:00", "10.00"), ("b", "10:00:00", "2.00")):
        s.send(harness.order(name, amount, at(clock)), arrived=at("12:00:00"))
    s.get(DAY, of_day, lambda a: net(a) == "12.00")
    s.get("/v1/late?date=2026-03-01", lambda a: a["late"], lambda a: a["late"])
    seen("10:00 was final at 10:31 (--grace 30min): counted all the same, and listed as late by 2 hours")
    s.batch()
    s.get(DAY, of_day, lambda a: a["batch"])
    say("The classic way, --late=exclude: speed leaves them out")
    speed.stop()
    s.world.processes[0].stop()
    s.speed(*settings)
    s.serving(*settings)
    s.send(harness.order("c", "5.00", at("09:00:00")), arrived=at("12:00:01"))
    s.get(DAY, lambda a: {**of_day(a), "late_excluded": a.get("late_excluded")}, lambda a: a.get("late_excluded"))
    seen("5.00 is missing, and the answer says so")
    s.batch(*settings)
    s.get(DAY, lambda a: {**of_day(a), "corrections": a["corrections"]}, lambda a: a["corrections"])
    seen("the next run brought it back, as a correction with its cause")


def bug(program):
    return os.path.join(ROOT, "build", "fault-REFUNDS", "bin", program)


def refunds(a):
    return {"revenue": [{k: r[k] for k in ("net", "gross", "refunds")} for r in a["revenue"]], "batch": a["batch"], "caveat": a["caveat"],
            "corrections": [{k: c[k] for k in ("run", "before", "after", "causes")} for c in a["corrections"]]}


def day_of_orders(s, name, n, arrived):
    """n orders of 10.00 and a refund for every second one."""
    command(f"(a producer: {n} orders of 10.00, and a refund of 10.00 for every second of them, on {arrived})")
    events = [harness.order(f"{name}{i}", "10.00", at("12:00:00")) for i in range(n)]
    events += [harness.order(f"{name}r{i}", "10.00", at("13:00:00"), "order_refunded", order_id=f"{name}{i}") for i in range(0, n, 2)]
    s.world.produce(events, timestamp=harness.oracle.parse_time(arrived))


def lambda_with_a_bug(s):
    """A day with the buggy build, until the fixed one is deployed; returns when all is counted by whatever counts it."""
    env = dict(s.world.env)

    def planted(*args):
        command("lambda-batch " + " ".join(args) + "   # the build with the bug")
        done = subprocess.run([bug("lambda-batch"), *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        print("  " + done.stdout.strip().splitlines()[-1].split(" info ")[-1])
        assert done.returncode == 0, done.stdout
    say("The first night: 100 orders, no refund yet, so the bug is not seen")
    command("lambda-speed &   # a build with a bug: it adds refunds instead of subtracting them")
    speed = harness.Process(bug("lambda-speed"), [], env, s.world.path("lambda-speed.bug.log"))
    s.world.processes.append(speed)
    s.serving()
    s.world.produce([harness.order(f"a{i}", "10.00", at("11:00:00")) for i in range(100)], timestamp=harness.oracle.parse_time("2026-03-01T20:00:00Z"))
    s.get(DAY, refunds, lambda a: net(a) == "1000.00")
    planted("run")
    say("A day with the bug: refunds come")
    day_of_orders(s, "b", 200, "2026-03-02T10:00:00Z")
    s.get(DAY, refunds, lambda a: net(a) == "4000.00")
    seen("4,000.00: but 300 orders of 10.00 less 100 refunds are 2,000.00")
    say("The second night publishes it")
    planted("run")
    day_of_orders(s, "c", 20, "2026-03-03T04:00:00Z")
    s.get(DAY, refunds, lambda a: net(a) == "4300.00")
    say("Six o'clock: somebody notices, and the fixed build is deployed")
    speed.stop()
    s.speed()
    s.get(DAY, refunds, lambda a: net(a) == "4100.00")
    seen("what has come since the last run is right at once, for the newer kernel counted it again; what the run has published is not")


def story_bug_lambda(s):
    lambda_with_a_bug(s)
    say("Lambda: the next night counts all of history anew, with the fixed build. (Readers wait until then; here it comes at once.)")
    command("lambda-batch run")
    done = s.world.batch("run")
    print("  " + done.stdout.strip().splitlines()[-1].split(" error ")[-1])
    assert done.returncode == 65, done.stdout
    seen("half of a day's revenue is gone: that is not published unseen. An operator looks, knows why, and lets it go")
    command("lambda-batch publish 3")
    assert s.world.batch("publish", "3").returncode == 0
    s.get(DAY, refunds, lambda a: net(a) == "2100.00")
    seen("right, and each answer says which run corrected what")


def story_bug_hybrid(s):
    lambda_with_a_bug(s)
    say("Hybrid: a replay of what arrived since the bug, on top of the last run before it")
    command("lambda-batch replay --from 2026-03-02T00:00Z")
    done = s.world.batch("replay", "--from", "2026-03-02T00:00Z")
    print("  " + "\n  ".join(line.split(" info ")[-1] for line in done.stdout.strip().splitlines() if "replay" in line or "published as" in line))
    assert done.returncode == 0, done.stdout
    s.get(DAY, refunds, lambda a: net(a) == "2100.00")
    seen("right in one step, batch and speed together, minutes after the fix")
    say("The night confirms it")
    s.batch()
    s.get(DAY, refunds, lambda a: net(a) == "2100.00" and a["batch"]["run"] == 4 and a["corrections"] == [])
    seen("the whole of history, counted anew: no correction")


def story_bug_kappa(s):
    def speed(*args, status=0):
        command("lambda-speed " + " ".join(args))
        done = subprocess.run([os.path.join(harness.PROGRAMS, "lambda-speed"), *args], env=s.world.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        print("  " + done.stdout.strip().replace("\n", "\n  "))
        assert done.returncode == status, done.returncode

    def of_kappa(a):
        return {"revenue": [{k: r[k] for k in ("net", "gross", "refunds", "orders", "refund_count")} for r in a["revenue"]],
                "kappa": a["kappa"]["version"], "caveat": a["caveat"]}
    say("A build with a bug follows the log as version v1: it adds refunds instead of subtracting them")
    v1 = ("--store=postgres", "--version=v1")
    command("lambda-speed " + " ".join(v1) + " &   # the build with the bug")
    s.world.processes.append(harness.Process(bug("lambda-speed"), v1, s.world.env, s.world.path("lambda-speed.v1.log")))
    s.serving("--view=kappa")
    many, amount = 6000, "10.00"
    command(f"(a producer: {many} orders of {amount}, and a refund of {amount} for every third of them)")
    events = [harness.order(f"o{n}", amount, at("12:00:00")) for n in range(many)]
    events += [harness.order(f"r{n}", amount, at("13:00:00"), "order_refunded", order_id=f"o{n}") for n in range(0, many, 3)]
    s.world.produce(events)
    s.get(DAY, of_kappa, lambda a: net(a) == "80000.00")
    seen("80,000.00, but 6,000 orders less 2,000 refunds are 40,000.00")
    say("Somebody notices. The fixed build begins as version v2 beside it, from the log's first offset, no faster than 1,000 events per second")
    v2 = s.speed("--store=postgres", "--version=v2", "--from=beginning", "--throttle=1000")
    harness.wait_until(lambda: s.world.sql("SELECT sum(per_second) > 0 FROM lambda.kappa_beats JOIN lambda.kappa_versions USING (id) "
                                           "WHERE version = 'v2'")[0][0], 30, "v2 goes on, and tells its pace")
    v2.popen.send_signal(signal.SIGSTOP)  # it stays behind, however long the two commands take
    speed("status")
    speed("promote", "v2", status=75)
    v2.popen.send_signal(signal.SIGCONT)
    seen("refused: readers would see less than before. v1 goes on answering, and goes on being wrong")
    harness.wait_until(lambda: s.world.sql("SELECT sum(next_offset) FROM lambda.kappa_offsets JOIN lambda.kappa_versions USING (id) "
                                           "WHERE version = 'v2'")[0][0] == len(events), 60, "v2 is there")
    speed("status")
    say("It is there")
    speed("promote", "v2")
    s.get(DAY, of_kappa, lambda a: a["kappa"]["version"] == "v2" and net(a) == "40000.00")
    seen("one answer had all of v1, the next one has all of v2; an order that comes now is counted by both")
    s.send(harness.order("now", "5.00", at("14:00:00")))
    s.get(DAY, of_kappa, lambda a: net(a) == "40005.00")
    say("For as long as v1 is there, there is a way back")
    speed("rollback")
    s.get(DAY, of_kappa, lambda a: net(a) == "80005.00")
    speed("promote", "v2")
    s.world.processes[0].kill()
    seen("the worker of v1 is stopped; its rows go with 'lambda-speed prune v1'")


DOCUMENTS = {"bug-lambda": "replay", "bug-kappa": "kappa", "bug-hybrid": "replay"}
STORIES = {name[6:].replace("_", "-"): function for name, function in list(globals().items()) if name.startswith("story_")}


def main():
    global harness
    if len(sys.argv) != 2 or sys.argv[1] not in STORIES:
        print(__doc__)
        return 0 if len(sys.argv) == 1 or not sys.argv[1] else 64
    sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "tests", "faults")]
    import harness
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    name = sys.argv[1]
    say("Starting Kafka, Redis and PostgreSQL for this story, on free ports")
    begin = time.monotonic()
    stack = harness.Stack("story")
    world = None
    try:
        directory = os.path.join(stack.directory, "programs")
        os.makedirs(directory)
        world = harness.World(stack, name, directory)
        seen(f"up after {time.monotonic() - begin:.0f} s; Ctrl-C stops and removes it")
        STORIES[name](Story(world))
        say(f"Done after {time.monotonic() - begin:.0f} s. The tests that check this: docs/{DOCUMENTS.get(name, 'gotchas')}.md")
    except KeyboardInterrupt:
        say("Stopping")
        return 130
    finally:
        if world:
            world.close()
        stack.down()
        shutil.rmtree(stack.directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
