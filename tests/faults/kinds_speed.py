"""Kinds of faults (kinds.py) of lambda-speed."""
import signal
import time

from kinds import clock_jump, kind


def speed_dies_at(n, name):
    """A worker joins that dies there; the others hand over partitions to it."""
    nth = n.rng.choice((1, 1, 2, 5, 20))
    victim = n.place.start_speed(LAMBDA_FAILPOINT=f"{name}:{nth}")
    if n.rng.random() < 0.5:
        others = [s for s in n.place.speeds if s is not victim]
        others[0].stop(10)
        n.place.speeds.remove(others[0])
    if name.startswith("recovery"):
        n.place.redis_client().delete(*n.keys_of_partition())   # something to recover from
    if n.wait(lambda: not victim.running(), 15):
        n.happened(f"speed died at {name}")
    else:
        n.place.speeds.remove(victim)
        victim.kill()


@kind("speed: kill -9 in a flush")
def speed_flush(n):
    speed_dies_at(n, n.rng.choice(("flush.made", "flush.write", "flush.sent", "flush.acknowledged")))


@kind("speed: kill -9 while it recovers")
def speed_recovery(n):
    speed_dies_at(n, n.rng.choice(("recovery.read", "recovery.adopted", "recovery.sought")))


@kind("speed: kill -9 at any time, three times")
def speed_random(n):
    for _ in range(3):
        n.pause(0.2, 2.5)
        if n.place.speeds:
            n.place.speeds.pop(n.rng.randrange(len(n.place.speeds))).kill()
            n.happened("speed killed")
        n.place.start_speed()


@kind("speed: stopped beyond its session, goes on as a zombie")
def speed_zombie(n):
    zombie = n.place.speeds[0]
    n.place.start_speed()
    n.pause(2, 3)
    zombie.popen.send_signal(signal.SIGSTOP)
    time.sleep(8.5)     # the session times out after 6
    zombie.popen.send_signal(signal.SIGCONT)
    n.pause(1, 2)
    n.happened("zombies")


@kind("speed: rebalances with one to four processes")
def speed_rebalance(n):
    for _ in range(3):
        wanted = n.rng.randint(1, 4)
        while len(n.place.speeds) < wanted:
            n.place.start_speed()
        while len(n.place.speeds) > wanted:
            n.place.speeds.pop(n.rng.randrange(len(n.place.speeds))).stop(10)
        n.pause(1, 3)
    n.happened("rebalances by hand")


@kind("speed: a partition is added", within_s=45)   # new partitions are looked for every 30 s
def partition_added(n):
    n.place.add_partition()
    n.pause(1, 2)
    n.happened("partitions added")


@kind("speed: its wall clock jumps")
def speed_clock(n):
    clock_jump(n, n.place.start_speed)
