"""Small runs to be made again, and what does it."""

from study.reproduce.__main__ import main
from study.tracking.reader import Logged, find

SMALL = ("model.hidden_size=4", "trainer.max_updates=20", "trainer.validate_every=10", "task.batch_size=512")


def rerun(run: Logged, *arguments: str) -> int:
    return main([run.run_id, "--store", run.uri, *arguments])


def latest(run: Logged) -> Logged:
    """The run as it is now."""
    return find(run.uri, run.run_id)[0]
