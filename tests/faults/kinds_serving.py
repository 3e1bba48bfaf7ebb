"""Kinds of faults (kinds.py) of lambda-serving."""
import signal
import time

from kinds import clock_jump, kind


@kind("serving: kill -9 at any time")
def serving_random(n):
    n.place.served.kill()
    n.happened("serving killed")


@kind("serving: kill -9 when it is told of a new run", batch=True)
def serving_notified(n):
    n.place.served.kill()
    serving = n.place.start_serving(LAMBDA_FAILPOINT="view.loaded:2")
    n.pause(1, 2)
    n.place.start_batch().wait()
    if n.wait(lambda: not serving.running(), 5):
        n.happened("serving died at view.loaded")
    else:
        serving.kill()


@kind("serving: stopped for 5 s")
def serving_stopped(n):
    n.place.served.popen.send_signal(signal.SIGSTOP)
    time.sleep(5)
    n.place.served.popen.send_signal(signal.SIGCONT)
    n.happened("serving stopped")


@kind("serving: its wall clock jumps")
def serving_clock(n):
    n.place.served.kill()
    clock_jump(n, n.place.start_serving)
    n.place.served.kill()
