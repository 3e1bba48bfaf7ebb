"""The functions in common/handover.lua, side by side with the protocol's model: after every step the state in Redis is the
model's (generations, how often each offset is counted, publication seen).

MODEL_SEED=n repeats a run, MODEL_WALKS=n asks for more walks.
"""
import os
import random
import re

import pytest

import publish_by_hand

protocol = publish_by_hand.load()
pytestmark = pytest.mark.skipif(protocol is None, reason="the model is not beside this checkout")


def plain(r):
    """The model's state in the form of Functions.seen()."""
    return None if r is None else (r.gens, r.seen)


def check(f, wanted, trace):
    got = f.seen()
    assert got == plain(wanted), f"model {plain(wanted)}, redis {got}, after:\n" + "\n".join(trace)
    if got:
        state = f.state()
        end = got[0][-1][2]
        assert "writing" not in state
        if end:
            assert state["tail"] == f"{end - 1} {end:016x}" and state["latest_event"] == str(1000 + end)


def play(f, name, st, dump):
    """The real call of a step of the model; returns the dump to go back to. st: before the step."""
    worker = re.match(r"worker (\d) flush", name)
    if worker:
        w = st.workers[int(worker[1])]
        assert (f.flush(w.next, w.pos)[0] == "refused") == ("refused" in name)
    adopts = re.search(r"adopts publication (\d+)|adopt of publication (\d+) arrives", name)
    if adopts:
        publication = int(adopts[1] or adopts[2])
        f.adopt(publication, *st.pubs[publication])
    seals = re.match(r"run (\d+) (seals at (\d+)|is refused)", name)
    if seals:
        reply = f.seal(int(seals[1]))
        assert reply[0] == ("ok" if seals[3] else "refused")
        if seals[3]:
            cut = int(seals[3])
            assert reply[1] == seals[3] and (cut == 0 or reply[3] == str(1000 + cut) and reply[6] == f"{cut - 1} {cut:016x}")
    if name == "FLUSHALL":
        f.redis.execute_command("FLUSHALL")
    if name == "dump":
        return f.dump()
    if name == "Redis back on an older dump":
        f.restore(dump)
    if name == "covered generations expire":
        f.adopt(len(st.pubs) - 1, *st.pubs[-1], keep_ms=0)
    return dump


def test_walks(f):
    seed = int(os.environ.get("MODEL_SEED", random.randrange(1 << 32)))
    walks = int(os.environ.get("MODEL_WALKS", 150))
    print("MODEL_SEED =", seed)
    steps = 0
    for walk in range(walks):
        rnd = random.Random(f"{seed}/{walk}")
        st, trace, dump = protocol.START, [f"walk {seed}/{walk}"], None
        f.redis.execute_command("FLUSHALL")
        for _ in range(100):
            name, after = rnd.choice(list(protocol.steps(st, 8, 4, 3)))
            if name == "covered generations expire" and st.redis.seen != len(st.pubs) - 1:
                continue                                     # our expiry is part of an adopt, which moves `seen`
            trace.append(name)
            dump = play(f, name, st, dump)
            check(f, after.redis, trace)
            st = after
            steps += 1
    print(f"{walks} walks, {steps} steps")


def test_every_step_from_every_state(f):
    """All sequences of calls, also those that the protocol never makes, up to 3 offsets, 2 runs, 2 publications."""
    offsets, runs, publications = 3, 2, 2
    calls = [("flush", a, b) for a in range(offsets) for b in range(a + 1, offsets + 1)]
    calls += [("seal", run) for run in range(1, runs + 1)]
    calls += [("adopt", p, run, cut) for p in range(publications) for run in range(runs + 1) for cut in (0, 2, 3)]
    found, todo, steps = {None: {}}, [None], 0
    while todo:
        before = todo.pop(0)
        for call in calls:
            if before is None and call[0] == "seal":
                continue
            f.restore(found[before])
            reply = getattr(f, call[0])(*call[1:])
            if call[0] == "flush":
                after = protocol.f_flush(before, protocol.Worker(call[1], call[2]))
                assert (after is None) == (reply[0] == "refused")
                after = before if after is None else after
            elif call[0] == "seal":
                after, cut = protocol.f_seal(before, call[1])
                assert reply[:2] == (["refused", "superseded"] if cut is None else ["ok", str(cut)])
            else:
                after = protocol.f_adopt(before, *call[1:])
            check(f, after, [str(before), str(call)])
            steps += 1
            if after not in found:
                found[after] = f.dump()
                todo.append(after)
    print(f"{len(found)} states, {steps} steps")
    assert len(found) > 200


def test_publish_by_hand(capsys):
    """The model itself: no order of steps in which a run that waited is published makes an answer wrong, or keeps it so."""
    seed = int(os.environ.get("MODEL_SEED", random.randrange(1 << 32)))
    wrong = protocol.explore(2, 1, 0) or protocol.explore(1, 1, 1) or protocol.walk(seed, 500)
    assert not wrong, capsys.readouterr().out
