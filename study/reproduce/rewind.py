"""A logged run right before some of its updates, to be made again one by one, in plain torch and in full view.

Training goes from batch to batch, and states are valid between two of them. So a run is replayed as far as the last of
the updates asked for, the states before the batches in which they are made are kept, and from there a batch is trained
on by hand. Every update is compared with the record, on the way and by hand.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from study.learning.bptt import TruncatedBPTT, Update
from study.reproduce.replay import Rows, nearest, not_its_own, place, prove, recorded, replay
from study.schema import Config
from study.seeding import seeded
from study.tasks.contract import Batch
from study.tracking.reader import Logged
from study.train import assemble
from study.training import checkpoint
from study.training.module import RecurrentModule

State = dict[str, Any]
"""See `RecurrentModule.state`."""


class Rewound(NamedTuple):
    """States of a run before some of its updates.

    Attributes:
        states: before the batch in which an update is made, by update.
        made: how many updates were made again to find them, each to the bits recorded.
    """

    states: dict[int, State]
    made: int


@dataclass(frozen=True)
class Moment:
    """A run right before one of its updates.

    Attributes:
        run: that was trained.
        record: every row of its history.
        module: that is trained.
        bptt: what trains it.
        batch: in which the update is made.
        updates: makes it, and those of the batch that follow.
    """

    run: Logged
    record: Rows
    module: RecurrentModule
    bptt: TruncatedBPTT
    batch: Batch
    updates: Iterator[Update]

    def make(self) -> Update:
        """Make the update.

        Raises:
            ConfigError: it, or one before it, is not the one recorded.
        """
        update = next(self.updates)
        self.module.history.flush()
        prove(self.run, self.module, self.record)
        return update


def states_before(run: Logged, config: Config, updates: Sequence[int], start: State | None = None) -> Rewound:
    """The states of a run before the batches in which updates are made.

    Args:
        run: that was trained.
        config: its configuration, restored.
        updates: from 1 to the last one recorded.
        start: the state that the run itself began with, where it is a fork.

    Raises:
        ConfigError: an update was made before the fork; or this machine does not compute what the run computed.
    """
    record, first = recorded(run), min(updates)
    state = nearest(run, record, first - 1) or start
    reached = 0 if state is None else len(state["history"]["rows"])
    if reached >= first:
        raise not_its_own(run, first, reached)
    keeper = _Keeper(updates)
    module = replay(config, max(updates), state=state, pause=keeper.look)
    prove(run, module, record)
    keeper.assign(len(record))
    earliest = keeper.states[first]
    if made := len(earliest["history"]["rows"]):
        file = place(run, made)
        file.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(earliest, file)  # a second question about these updates need not wait
    return Rewound(keeper.states, max(updates) - reached)


@contextmanager
def before(run: Logged, config: Config, state: State, update: int) -> Iterator[Moment]:
    """A run right before an update, as long as the block lasts.

    Args:
        run: that was trained.
        config: its configuration, restored.
        state: before the batch in which the update is made.
        update: from 1.
    """
    with seeded(config.seed, "dropout"):  # the random state becomes that of the run, and afterwards what it was
        module = assemble(config)[1]
        module.load_state(copy.deepcopy(state))
        module.to(config.trainer.accelerator)
        bptt, batch, updates = module.by_hand()
        moment = Moment(run, recorded(run), module, bptt, batch, updates)
        for _ in range(len(module.history), update - 1):
            moment.make()
        yield moment


class _Keeper:
    """Keeps the states before the batches in which updates are made.

    Attributes:
        states: by update.
    """

    def __init__(self, updates: Sequence[int]):
        self.states: dict[int, State] = {}
        self._updates = sorted(updates)
        self._latest: State | None = None
        self._most: int | None = None  # updates of a batch, which has one a step at most

    def look(self, module: RecurrentModule) -> None:
        """Before every batch."""
        if self._most is None:
            batches = module.task.batches("train")
            self._most = batches.stream or batches.longest
        if len(module.history) < self._updates[0] - self._most:
            return
        module.history.flush()
        self.assign(len(module.history))
        self._latest = copy.deepcopy(module.state())

    def assign(self, made: int) -> None:
        """The updates up to `made` that the latest state does not have were made in its batch."""
        if self._latest is not None:
            since = len(self._latest["history"]["rows"])
            self.states |= {update: self._latest for update in self._updates if since < update <= made}
