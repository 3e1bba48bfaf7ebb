"""The protocol's model (handover_model.py), and what operating adds to it: a run that is complete waits instead of being published
(quarantine, or after a rollback), and is published by hand later, or never; whatever is published then.

A replay needs no steps of its own: what it publishes is a run with a cut that it has sealed, whose result is that of all
offsets below; how it came to know it is not the protocol's business.
"""
import importlib.util
import os
from collections import namedtuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(os.path.dirname(ROOT), "shared", "model", "handover_model.py")


def load():
    """The model as a module of its own, with these steps; None if it is not beside this checkout (in CI it must be)."""
    if not os.path.exists(MODEL):
        assert not os.environ.get("CI"), f"{MODEL} is not there"
        return None
    spec = importlib.util.spec_from_file_location("handover_model", MODEL)
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)

    state = namedtuple("State", model.State._fields + ("waiting",))     # runs that are complete: (run, cut)
    automatic = model.steps

    def steps(st, *bounds):
        yield from automatic(st, *bounds)
        for i, batch in enumerate(st.batches):
            if batch is not None and batch.step == "cut":
                batches = st.batches[:i] + (None,) + st.batches[i + 1:]
                yield f"run {batch.run} waits", st._replace(batches=batches, waiting=st.waiting | {(batch.run, batch.cut)})
        for run, cut in st.waiting:
            yield f"run {run} is published by hand", st._replace(
                pubs=st.pubs + ((run, cut),), late=st.late | {len(st.pubs)}, waiting=st.waiting - {(run, cut)})

    model.START = state(*model.START, waiting=frozenset())
    model.steps = steps
    return model
