"""Kinds of faults (kinds.py) of replays: a replay gives what a run gives, whatever happens to it."""
import json
import signal
import time

import proxy
from kinds import expect, kind
from kinds_archive import archive_whole
from kinds_batch import COPYING, PUBLISHING, SEALING
from kinds_servers import postgres_crash

STEPS = SEALING + COPYING + PUBLISHING


def moment(ms):
    """The first whole second behind it, as --from takes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000 + 1))


def since(n):
    """A moment that some published run ends before: the newest one or an older one."""
    ends = [ms for ms, in n.place.sql("SELECT max(c.latest_record_ms) FROM lambda.cuts c JOIN lambda.runs r USING (run)"
                                      " WHERE r.state = 'published' AND r.run <= (SELECT run FROM lambda.published) GROUP BY run")]
    if not ends:
        n.clean_batch()
        return since(n)
    return moment(n.rng.choice(ends))


def replay_whole(n, *args):
    """With nothing wrong a replay is published, and a run finds nothing to correct in it (Observer.look_at_corrections())."""
    replay = n.place.start_replay(since(n), *args)
    status = replay.wait()
    if status:
        n.violation(f"a replay with nothing wrong ended with {status}: {replay.text()[-1500:]}")
        return
    if not n.place.sql("SELECT 1 FROM lambda.runs JOIN lambda.published USING (run) WHERE replay_of IS NOT NULL"):
        n.violation(f"a replay is not what is published: {replay.text()[-1500:]}")
    n.happened("replays published")


@kind("replay: at any moment", batch=True)
def replay_any(n):
    for _ in range(n.rng.randint(1, 2)):
        n.pause(0, 2)
        replay_whole(n)
    if n.rng.random() < 0.5:
        n.clean_batch()


@kind("replay: kill -9 at any step", batch=True)
def replay_killed(n):
    for _ in range(3):
        name = n.rng.choice(STEPS)
        nth = n.rng.randint(1, 4) if name in ("seal.part", "copy.started", "copy.sent", "adopt.part") else 1
        if n.place.start_replay(since(n), LAMBDA_FAILPOINT=f"{name}:{nth}").wait() == -signal.SIGKILL:
            n.happened(f"replay died at {name}")
        replay = n.place.start_replay(since(n))
        n.pause(0.01, 0.8)
        if replay.running():
            n.happened("replays killed")
        replay.kill()
        replay.wait()
    replay_whole(n)


@kind("replay: kafka, redis or postgres is lost meanwhile", batch=True)
def replay_servers(n):
    replay = n.place.start_replay(since(n), LAMBDA_STALLPOINT=n.rng.choice(STEPS))
    if replay.wait_stalled():
        server = n.rng.choice(("kafka", "redis", "postgres"))
        how = n.rng.choice(("killed", "cut", "deaf"))
        if how == "killed" and server == "postgres":
            postgres_crash(n)
        elif how == "killed":
            n.servers.stop(server, kill=True)
        else:
            n.servers.proxied[server].set(proxy.CUT if how == "cut" else proxy.DEAF)
        replay.go_on()
        n.pause(0.3, 3)
        n.happened(f"replays while {server} was {how}")
        n.servers.heal()
    replay.wait()


@kind("replay: beside a run or another replay", batch=True)
def replay_two(n):
    """One of them stands still; it may have lost its lock, and is overtaken then."""
    starts = [lambda **env: n.place.start_replay(since(n), **env), n.place.start_batch]
    n.rng.shuffle(starts)
    if n.rng.random() < 0.3:
        starts[1] = starts[0]
    stalled = starts[0](LAMBDA_STALLPOINT=n.rng.choice(SEALING + COPYING + ("publish.locked",)))
    if not stalled.wait_stalled():
        return
    lost = n.rng.random() < 0.5
    if lost:
        n.place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'lambda-batch'",
                    n.place.database)
    second = starts[1]()
    status = second.wait()
    if not lost and status != 75:
        n.violation(f"beside one that stands still another one ended with {status}, not 75: {second.text()[-800:]}")
    stalled.go_on()
    if stalled.wait() == 0 and lost and status == 0:
        n.violation(f"one that was overtaken was published: {stalled.text()[-800:]}")
    n.happened("replays beside another")


@kind("replay: rolled back, and published again", batch=True)
def replay_rolled_back(n):
    replay_whole(n)
    _, replayed = n.place.published()
    expect(n, n.place.start_move("rollback"), 0)
    n.pause(0, 2)
    if n.rng.random() < 0.5:    # behind a rollback it waits, or its base goes further than what is published
        again = n.place.start_replay(since(n))
        if again.wait() != 65:
            n.violation(f"a replay behind a rollback ended with {again.popen.returncode}, not 65: {again.text()[-800:]}")
        n.happened("replays that wait behind a rollback")
    if n.rng.random() < 0.4:
        n.place.redis_client().flushall()
    n.pause(0, 2)
    expect(n, n.place.start_move("publish", str(replayed)), 0)
    n.happened("replays rolled back")


@kind("replay: from the archive", batch=True)
def replay_archive(n):
    """Archived behind what is published: alone it must have all that the published run has."""
    n.clean_batch()
    archive_whole(n)
    replay_whole(n, *n.rng.choice(((), ("--source=archive",))))


@kind("replay: its base is pruned meanwhile", batch=True)
def replay_pruned(n):
    """Either the base stays until the replay has ended, or that is not published."""
    while len(n.place.sql("SELECT 1 FROM lambda.runs WHERE state = 'published'")) < 3:
        n.clean_batch()
    oldest, = n.place.sql("SELECT run FROM lambda.runs WHERE state = 'published' ORDER BY run LIMIT 1")[0]
    ends, = n.place.sql("SELECT coalesce(max(latest_record_ms), 0) FROM lambda.cuts WHERE run = %s", oldest)[0]
    replay = n.place.start_replay(moment(ends), f"--base={oldest}", LAMBDA_STALLPOINT=n.rng.choice(SEALING + COPYING[:1]))
    if replay.wait_stalled():
        expect(n, n.place.start_move("--keep=1", "prune"), 0)
        n.happened("pruned beside a replay")
        replay.go_on()
    replay.refuses += ("was pruned",)
    replay.wait()


@kind("replay: refused, an event came again with an older timestamp", batch=True)
def replay_cannot(n):
    """In another partition, behind the base's cut: by the rules it is the one that counts. A run is the way then."""
    first, second = n.rng.sample(range(n.place.partitions), 2)
    order = n.made_order(f"older-{n.serial()}")
    n.place.feeder.pause()
    with n.place.truth.lock:
        n.place.truth.twice[json.loads(order)["event_id"]] = []
    n.place.feeder.send(order, first)
    n.place.feeder.pause()
    n.clean_batch()
    _, base = n.place.published()
    n.place.feeder.send(order, second, timestamp_ms=int(time.time() * 1000) - 60_000)
    n.place.feeder.pause()
    n.place.feeder.go()
    replay = n.place.start_replay("2099-01-01T00:00Z", f"--base={base}")
    if replay.wait() != 65 or "cannot take that back" not in replay.text():
        n.violation(f"a replay that cannot take back what counts no more ended with {replay.popen.returncode}: {replay.text()[-800:]}")
    n.happened("replays refused by name")
    n.clean_batch()
