"""Batch and speed meet at offsets: no hole, no overlap, and what they disagree about is explained."""
import http.client
import json
import threading
import time

from harness import order, wait_until


class Poller(threading.Thread):
    """A client that asks 100 times a second on a connection that it keeps, and remembers all answers."""

    def __init__(self, world, path):
        super().__init__(daemon=True)
        self.world, self.path = world, path
        self.answers, self.failures, self.going = [], [], True

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=5)
        while self.going:
            begin = time.monotonic()
            try:
                connection.request("GET", self.path)
                response = connection.getresponse()
                body = response.read()
                if response.status == 200:
                    self.answers.append(json.loads(body))
                else:
                    self.failures.append((response.status, body))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
                connection.close()
            time.sleep(max(0, 0.01 - (time.monotonic() - begin)))

    def finish(self):
        self.going = False
        self.join()
        assert not self.failures, self.failures[:3]
        return self.answers


def test_readers_see_no_hole_and_no_double_count_while_batch_publishes(world):
    """Orders of one pound each come all the time, three runs publish: the number of orders may only grow, and net is orders."""
    speed = world.speed()
    world.serving()
    world.produce([order(f"first{i}", "1.00") for i in range(5000)])
    world.assert_exact()
    day = "/v1/revenue/2026-03-01"
    wait_until(lambda: world.answer(day)["degraded"] == [], 30, lambda: world.answer(day))
    poller = Poller(world, day)
    poller.start()
    stop = threading.Event()

    def produce():
        n = 0
        while not stop.is_set():
            world.produce([order(f"more{n}-{i}", "1.00") for i in range(100)])
            n += 1
    producing = threading.Thread(target=produce)
    producing.start()
    for _ in range(3):
        world.run_batch()
        before = len(poller.answers)
        wait_until(lambda: len(poller.answers) > before + 100, 30, "the poller goes on")
    stop.set()
    producing.join()
    world.assert_exact()
    answers = poller.finish()
    assert len(answers) > 300
    orders, run = 0, 0
    for answer in answers:
        pounds = answer["revenue"][0]
        assert pounds["net"] == f"{pounds['orders']}.00", answer
        assert pounds["orders"] >= orders, f"{orders} orders, then {answer}"
        assert (answer["batch"] or {"run": 0})["run"] >= run, answer
        assert answer["degraded"] == [] and answer["corrections"] == [], answer
        orders, run = pounds["orders"], (answer["batch"] or {"run": 0})["run"]
    assert run == 3
    speed.stop()


def test_150000_became_145000(world):
    """The story of the README: speed forgot ids beyond its horizon, counted 50 orders twice, batch corrects and says so."""
    world.env["LAMBDA_HORIZON_RECORDS"] = "10"
    speed = world.speed()
    world.serving()
    first = [order(f"o{i}", "100.00", time="2026-03-01T10:00:00Z", order_id="same") for i in range(1450)]
    world.produce(first)                                        # one order id: one partition
    world.produce(first[:50])                                   # far beyond a horizon of 10 records
    day = "/v1/revenue/2026-03-01"
    wait_until(lambda: world.answer(day)["revenue"] and world.answer(day)["revenue"][0]["net"] == "150000.00", 20,
               lambda: f"speed alone says 150000.00: {world.answer(day)}")
    world.run_batch()
    wait_until(lambda: world.answer(day)["batch"], 10, "the run is served")
    answer = world.answer(day)
    assert answer["revenue"][0]["net"] == "145000.00"
    assert answer["revenue"][0]["confirmed"]["net"] == "145000.00" and answer["revenue"][0]["provisional"]["net"] == "0.00"
    assert answer["corrections"] == [{"run": 1, "currency": "GBP", "before": "150000.00", "after": "145000.00", "difference": "-5000.00",
                                      "causes": [{"cause": "duplicate_beyond_horizon", "net": "-5000.00", "events": 50}]}]
    world.assert_exact()
    # the next run finds nothing to correct, and the day's answer says nothing of the past
    world.produce([order("new", "1.00", time="2026-03-02T10:00:00Z")])
    world.assert_exact()
    world.run_batch()
    wait_until(lambda: world.answer(day)["batch"]["run"] == 2, 10, "run 2 is served")
    assert world.answer(day)["corrections"] == []
    speed.stop()


def test_the_same_id_in_two_partitions_is_a_correction_too(world):
    world.speed()
    world.serving()
    world.produce([order("twin", "7.00")], partition=1, timestamp=1_780_000_000_000)
    world.produce([order("twin", "7.00")], partition=2, timestamp=1_780_000_100_000)
    day = "/v1/revenue/2026-03-01"
    wait_until(lambda: world.answer(day)["revenue"] and world.answer(day)["revenue"][0]["net"] == "14.00", 20, "speed counts both")
    world.run_batch()
    world.assert_exact()
    causes = world.answer(day)["corrections"][0]["causes"]
    assert causes == [{"cause": "duplicate_other_partition", "net": "-7.00", "events": 1}]


def test_two_speed_processes_share_and_take_over(world):
    world.serving()
    first, second = world.speed(), world.speed()
    world.orders("generate", "--seed", "3", "--count", "20000", "--days", "3", "--duplicates", "0.02", "--duplicate-distance", "300")
    answers = world.expected()
    world.assert_exact(expected=answers)
    first.stop()
    world.orders("generate", "--seed", "4", "--count", "5000", "--days", "3")
    world.assert_exact()
    third = world.speed()
    second.kill()
    world.orders("generate", "--seed", "5", "--count", "5000", "--days", "3")
    world.assert_exact(seconds=40)  # the group waits 10 s for a member that was killed
    third.stop()


def test_two_batches_at_once_do_no_harm(world):
    world.orders("generate", "--seed", "6", "--count", "20000", "--days", "3")
    first, held = world.run_that_copies("--seal-wait", "0s")
    assert world.batch("run").returncode == 75
    held.free()
    assert first.wait(60) == 0, first.text()
    assert world.sql("SELECT publication, run FROM lambda.published") == [(1, 1)]


def test_a_run_that_is_killed_costs_nothing(world):
    world.speed()
    world.serving()
    world.orders("generate", "--seed", "7", "--count", "20000", "--days", "3")
    answers = world.expected()
    world.assert_exact(expected=answers, seconds=60)
    run, held = world.run_that_copies()
    run.kill()
    held.free()
    world.assert_exact(expected=answers)
    world.wait_batch_gone()
    world.run_batch()
    world.assert_exact(expected=answers)
    assert world.sql("SELECT state FROM lambda.runs ORDER BY run") == [("failed",), ("published",)]
