"""Kinds of faults (kinds.py) of lambda-batch, and of orders that only it can put right."""
import json
import signal

from kinds import expect, faked, kind, write_clock


def batch_dies_at(n, names):
    name = n.rng.choice(names)
    nth = n.rng.randint(1, 4) if name in ("seal.part", "copy.started", "copy.sent", "adopt.part") else 1
    batch = n.place.start_batch(LAMBDA_FAILPOINT=f"{name}:{nth}")
    if batch.wait() == -signal.SIGKILL:
        n.happened(f"batch died at {name}")


SEALING = ("run.inserted", "run.before_seal", "seal.part", "run.sealed")
COPYING = ("ids.block", "run.computed", "copy.started", "copy.sent", "run.stored")
PUBLISHING = ("publish.locked", "publish.before_commit", "run.published", "adopt.part", "run.adopted")
MOVING = ("publish.locked", "publish.before_commit", "move.published", "adopt.part", "move.adopted")


@kind("batch: kill -9 while it seals", batch=True)
def batch_seal(n):
    batch_dies_at(n, SEALING)


@kind("batch: kill -9 while it copies", batch=True)
def batch_copy(n):
    batch_dies_at(n, COPYING)


@kind("batch: kill -9 while it publishes", batch=True)
def batch_publish(n):
    batch_dies_at(n, PUBLISHING)


@kind("batch: kill -9 at any time", batch=True)
def batch_random(n):
    batch = n.place.start_batch()
    n.pause(0.01, 1.2)
    batch.kill()
    batch.wait()
    n.happened("batch killed")


@kind("batch: killed three nights in a row", batch=True)
def batch_nights(n):
    for names in (SEALING, COPYING, PUBLISHING):
        batch_dies_at(n, names)
        n.pause(0.2, 1)


@kind("batch: two at once, one of them stalled", batch=True)
def batch_two(n):
    stalled = n.place.start_batch(LAMBDA_STALLPOINT=n.rng.choice(SEALING + COPYING + PUBLISHING))
    if not stalled.wait_stalled():
        return
    second = n.place.start_batch()
    status = second.wait()
    if status != 75:
        n.violation(f"a second run beside a stalled one ended with {status}, not 75: {second.text()[-600:]}")
    n.happened("second runs refused")
    stalled.go_on()
    stalled.wait()


@kind("batch: stalled, loses its lock, another one overtakes", batch=True)
def batch_overtaken(n):
    stalled = n.place.start_batch(LAMBDA_STALLPOINT=n.rng.choice(SEALING + COPYING + ("publish.locked",)))
    if not stalled.wait_stalled():
        return
    n.place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'lambda-batch'",
                n.place.database)
    second = n.place.start_batch()
    status = second.wait()
    stalled.go_on()
    first = stalled.wait()
    if status == 0:
        n.happened("runs overtaken")
        if first == 0:
            n.violation(f"a run that was overtaken was published: {stalled.text()[-800:]}")


@kind("batch: its wall clock jumps", batch=True)
def batch_clock(n):
    """One that is ahead keeps fewer hours of customers' orders, and answers say so, until the next run."""
    path, jump = n.place.path(f"clock.{n.serial()}"), n.rng.choice(("+3600", "-3600", "+90000"))
    write_clock(path, jump)
    n.place.start_batch(**faked(path)).wait()
    n.happened("runs at a wrong time")
    if jump[0] == "+":
        n.clean_batch()


@kind("batch: no room for its spill files", batch=True)
def batch_spill(n):
    directory = n.small_disk("spill", 64 << 10)
    batch = n.place.start_batch("--memory=1MiB", f"--spill-dir={directory}")
    if batch.wait() == 74:
        n.happened("spill directories full")


@kind("batch: rolled back, and published again", batch=True)
def batch_rollback(n):
    """While orders come. Until it is published again, runs are complete but wait."""
    while len(n.place.sql("SELECT 1 FROM lambda.runs WHERE state = 'published'")) < 2:
        n.clean_batch()
    _, newest = n.place.published()
    if n.rng.random() < 0.3:    # nothing has happened, or all
        n.place.start_move("rollback", LAMBDA_FAILPOINT=n.rng.choice(MOVING)).wait()
    if n.place.published()[1] == newest:
        expect(n, n.place.start_move("rollback"), 0)
    n.happened("rollbacks")
    if n.place.published()[1] >= newest:
        n.violation(f"after a rollback from run {newest} run {n.place.published()[1]} is published")
    n.pause(0, 3)
    if n.rng.random() < 0.4:
        n.place.redis_client().flushall()
        n.happened("FLUSHALL behind a rollback")
    waits = []
    if n.rng.random() < 0.6:
        expect(n, n.place.start_batch(), 65)
        waits = n.place.sql("SELECT max(run) FROM lambda.runs WHERE state = 'built'")[0]
        n.happened("runs that wait behind a rollback")
    n.pause(0, 3)
    expect(n, n.place.start_move("publish", str(n.rng.choice([newest, *waits]))), 0)





@kind("orders: the same event in two partitions", batch=True)
def orders_twice(n):
    """Speed counts both, until a run says what was wrong, to the last digit: see Observer.look_at_corrections()."""
    first, second = n.rng.sample(range(n.place.partitions), 2)
    orders = [n.made_order(f"twice-{n.serial()}", kind=n.rng.choice(("order_placed", "order_placed", "order_refunded")),
                           currency=n.rng.choice(("GBP", "EUR")), price=f"{n.rng.randint(1, 99999) / 100:.2f}") for _ in range(n.rng.randint(1, 20))]
    n.place.feeder.pause()
    with n.place.truth.lock:
        n.place.truth.twice.update({json.loads(order)["event_id"]: [] for order in orders})
    for partition in (first, second):
        for order in orders:
            n.place.feeder.send(order, partition)
        n.place.feeder.pause()
        n.place.feeder.go()
        if partition == second or n.rng.random() < 0.5:     # the second ones behind the cut, or both before it
            n.clean_batch()
    n.count("events in two partitions", len(orders))


# --- rollback, publish, prune

@kind("batch: kill -9 while it rolls back or publishes by hand", batch=True)
def batch_moves(n):
    """Back and forth, killed at a certain step or at any time; at last what was newest is published again."""
    while len(n.place.sql("SELECT 1 FROM lambda.runs WHERE state = 'published'")) < 2:
        n.clean_batch()
    _, newest = n.place.published()
    for _ in range(4):
        command = ("rollback",) if n.place.published()[1] == newest else ("publish", str(newest))
        name = n.rng.choice((*MOVING, None))
        move = n.place.start_move(*command, **({"LAMBDA_FAILPOINT": name} if name else {}))
        if not name:
            n.pause(0, 0.15)
            move.kill()
        if move.wait() == -signal.SIGKILL:
            n.happened(f"{command[0]} died at {name or 'any time'}")
        n.pause(0, 1.5)
    if n.place.published()[1] != newest:
        expect(n, n.place.start_move("publish", str(newest)), 0)


@kind("batch: kill -9 while it prunes", batch=True)
def batch_prune(n):
    """While runs are read and made; the next prune goes on there, and leaves nothing."""
    for _ in range(2):
        n.clean_batch()
    for _ in range(3):
        pruning = n.place.start_move("--keep=1", "prune", LAMBDA_FAILPOINT=f"prune.step:{n.rng.randint(1, 12)}")
        if pruning.wait() == -signal.SIGKILL:
            n.happened("prune died at prune.step")
        if n.rng.random() < 0.5:
            n.place.start_batch().wait()
    with n.other_session() as cursor:
        cursor.execute("SELECT count(*) FROM revenue.daily")    # who reads holds it up, for a while
        pruning = n.place.start_move("--keep=1", "prune")
        n.pause(0.5, 2)
    expect(n, pruning, 0)
    left = n.place.sql("SELECT c.relname FROM pg_class c JOIN lambda.runs r ON c.relname ~ ('_r' || r.run || '$') WHERE r.state = 'pruned'"
                       " AND c.relkind = 'r'")
    if left:
        n.violation(f"prune has left {left}")
    n.happened("old runs pruned")
