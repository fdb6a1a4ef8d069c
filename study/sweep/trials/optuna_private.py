"""The private names of Optuna that a sweep cannot do without; no other file uses any. Written for Optuna 5.

`Study.ask` takes whichever waiting trial comes first and `Study.tell` refuses one that was given up meanwhile; workers
that share a study need to claim one certain trial, atomically, and to learn who was first. Heartbeats, by which Optuna
itself finds dead trials, are not offered outside `Study.optimize` either. `Study.get_trials` sorts all trials at every
call, and `Trial.set_user_attr` writes one attribute a transaction: a run has twenty.
"""

import json
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._heartbeat import BaseHeartbeat, get_heartbeat_thread
from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy.dialects import postgresql, sqlite

INSERTS: Mapping[str, Callable[..., Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
"""Of the databases that set many attributes by one statement, and replace those that are there."""


class StudyView(optuna.Study):
    """A study of which samplers and pruners see some trials only, with notes of its own.

    Some samplers keep notes in the study: NSGA-II the parents of a generation, QMC how far its sequence is. Each view
    has its own.

    Args:
        study: the whole.
        name: of the view.
        shown: whether a trial is seen.
    """

    def __init__(self, study: optuna.Study, name: str, shown: Callable[[FrozenTrial], bool]):
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)
        self._storage = cast(BaseStorage, _Notes(study._storage, f"{name}:"))
        self._shown = shown

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """The trials that are seen."""
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in super()._get_trials(deepcopy, states, use_cache) if self._shown(trial)]


class _Notes:
    """A storage in which the notes of one study are those that begin with a prefix."""

    def __init__(self, storage: BaseStorage, prefix: str):
        self._storage, self._prefix = storage, prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The notes, without the prefix."""
        notes = self._storage.get_study_system_attrs(study_id)
        return {key.removeprefix(self._prefix): note for key, note in notes.items() if key.startswith(self._prefix)}

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep a note under the prefix."""
        self._storage.set_study_system_attr(study_id, self._prefix + key, value)


class ChangedTrials:
    """Reads of a study, time after time, the trials that are new or had not ended: one that has ended stays as it is.

    Numbers of trials are given under a lock of the study, so that none appears below one that was seen.
    """

    def __init__(self, study: optuna.Study):
        self._study, self._unfinished, self._last = study, set[int](), -1

    def read(self) -> list[FrozenTrial]:
        """Those trials, by number."""
        found = _storage(self._study)._backend._get_trials(self._study._study_id, None, self._unfinished, self._last)
        self._unfinished = {trial._trial_id for trial in found if not trial.state.is_finished()}
        self._last = max([self._last, *(trial._trial_id for trial in found)])
        return found


def begin(study: optuna.Study, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> Trial:
    """Make a running trial with its first attributes, in one transaction.

    Args:
        study: of the trial.
        params: values that are not to be proposed.
        attributes: of the user.
    """
    fixed = {"fixed_params": {**params}} if params else {}
    new = create_trial(state=TrialState.RUNNING, user_attrs={**attributes}, system_attrs=fixed)
    trial = Trial(study, study._storage.create_new_trial(study._study_id, new))
    give_sign_of_life(study, trial)
    return trial


def note(study: optuna.Study, trial: Trial, attributes: Mapping[str, Any]) -> bool:
    """Set attributes of a trial, in one transaction where its database can; False if it has ended."""
    database = _storage(study)._backend
    with suppress(UpdateFinishedTrialError):
        if insert := INSERTS.get(database.engine.name):
            _insert(database, insert, trial, attributes)
        else:
            for key, value in attributes.items():
                trial.set_user_attr(key, value)
        return True
    return False


def _insert(database: Any, insert: Callable[..., Any], trial: Trial, attributes: Mapping[str, Any]) -> None:
    """What `Trial.set_user_attr` does for one attribute after another, by one statement."""
    of = trial._trial_id
    with _create_scoped_session(database.scoped_session, True) as session:
        database.check_trial_is_updatable(of, TrialModel.find_or_raise_by_id(of, session).state)
        rows = [{"trial_id": of, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
        new = insert(TrialUserAttributeModel).values(rows)
        replaced, keys = {"value_json": new.excluded.value_json}, ["trial_id", "key"]
        session.execute(new.on_conflict_do_update(index_elements=keys, set_=replaced))
    trial._cached_frozen_trial.user_attrs |= attributes


def leave_word(study: optuna.Study, key: str, value: str) -> None:
    """Leave a word for all that work on the study; apart from its attributes, which describe every arm."""
    study._storage.set_study_system_attr(study._study_id, key, value)


def word(study: optuna.Study, key: str) -> str | None:
    """What was left; None if nothing was."""
    return study._storage.get_study_system_attrs(study._study_id).get(key)


def claim(study: optuna.Study, waiting: FrozenTrial) -> Trial | None:
    """Make a waiting trial a running one of this process; None if another process was first."""
    if not set_state(study, waiting, TrialState.RUNNING):
        return None
    with (storage := _storage(study))._lock:  # it sets values of trials that it has seen
        storage._add_trials_to_cache(study._study_id, [waiting])
    give_sign_of_life(study, waiting)
    return Trial(study, waiting._trial_id)


def set_state(study: optuna.Study, trial: Trial | FrozenTrial, state: TrialState) -> bool:
    """Change the state of a trial; False if another process was first, or has ended it."""
    with suppress(UpdateFinishedTrialError):
        return study._storage.set_trial_state_values(trial._trial_id, state)
    return False


def is_running(study: optuna.Study, trial: Trial) -> bool:
    """Whether a trial of this process has not been ended, by this process or another one."""
    return study._storage.get_trial(trial._trial_id).state == TrialState.RUNNING


def give_sign_of_life(study: optuna.Study, trial: Trial | FrozenTrial) -> None:
    """Record a heartbeat of a running trial."""
    _heartbeats(study).record_heartbeat(trial._trial_id)


@contextmanager
def beating(study: optuna.Study, trial: Trial) -> Iterator[None]:
    """Record heartbeats of a trial from a thread while in the block, whatever else the process is busy with."""
    thread = get_heartbeat_thread(trial._trial_id, study._storage)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def silent_trials(study: optuna.Study) -> set[int]:
    """Numbers of the running trials whose last heartbeat is older than the storage's grace period."""
    stale = _heartbeats(study)._get_stale_trial_ids(study._study_id)
    return {study._storage.get_trial_number_from_id(trial_id) for trial_id in stale}


def _storage(study: optuna.Study) -> _CachedStorage:
    storage = study._storage
    assert isinstance(storage, _CachedStorage)
    return storage


def _heartbeats(study: optuna.Study) -> BaseHeartbeat:
    storage = study._storage
    assert isinstance(storage, BaseHeartbeat)
    return storage
