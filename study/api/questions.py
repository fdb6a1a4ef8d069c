"""Questions to a run: the same numbers again, other treatments, causes."""

from typing import TYPE_CHECKING

import pandas as pd

from study.api.tables import one_run, rows
from study.tracking.uri import address

if TYPE_CHECKING:
    from study.analysis.autopsy import Autopsy
    from study.reproduce.rerun import Reproduction


def reproduce(
    run: str, *overrides: str, tolerance: float = 0.0, store: str | None = None, trust_code: bool = False
) -> "Reproduction":
    """Rerun a run and compare every recorded number, as `study-reproduce` does.

    Sets up this process for training: from then on torch computes on one thread.

    Args:
        run: see `study.api`.
        overrides: in Hydra's syntax; they make it a variation, which is not compared.
        tolerance: relative; 0: bit for bit.
        store: see `study.api`.
        trust_code: whether code that was logged with the run may be executed.

    Raises:
        ConfigError: there is no such run, or its configuration cannot be used; the key is named.
        Untrusted: it needs code that was logged with it; the error has its text.
    """
    from study.reproduce.restore import restore_run
    from study.reproduce.trust import code_folder

    logged = one_run(run, store)
    with code_folder(trust_code) as folder:
        restored = restore_run(logged, folder, overrides)
        from study.reproduce.rerun import rerun

        return rerun(logged, restored, tolerance)


def autopsy(run: str, update: int | None = None, store: str | None = None, trust_code: bool = False) -> "Autopsy":
    """Take the gradient of one update of a run apart, as `study-autopsy` does; nothing is written to the store.

    Args:
        run: see `study.api`; it stays as it was.
        update: from 1; None: where it diverged, else where its gradient norm, or else its loss, leapt.
        store: see `study.api`.
        trust_code: whether code that was logged with the run may be executed.

    Returns:
        `sentence`, and the tables `sequences`, `lags`, `parameters` (shares) and `probes` (before and after).

    Raises:
        ConfigError: the run has no such update, or this machine does not compute what the run computed.
    """
    from study.ask.autopsy import autopsy as taken_apart
    from study.reproduce.trust import code_folder

    logged = one_run(run, store)
    with code_folder(trust_code) as folder:
        return taken_apart(logged, update, folder)


def what_if(run: str, clips: str = "", store: str | None = None, trust_code: bool = False) -> pd.DataFrame:
    """Return what other clip policies would have done to a run, or to all runs of an experiment.

    Nothing is trained, and nothing is written; `study-what-if` makes a page of it.

    Args:
        run: see `study.api`; or the slug of an experiment.
        clips: such as `norm=.1,.3 autoclip zclip.z=3`; empty: all, thresholds at percentiles of a run's own norms.
        store: see `study.api`.
        trust_code: whether a policy that was logged with a run may be executed.

    Returns:
        One row a run and policy, with the columns `run_id`, `policy`, `label` (without the run's own numbers), `own`
        and those of `study.analysis.what_if.summary`; exact up to the update in `first_difference`, that one included.

    Raises:
        ConfigError: there is no such run, or no such policy.
        Untrusted: a run was trained with a policy that was logged with it; the error has its text.
    """
    from study.ask.what_if import replay_all

    return pd.concat(
        [one.table().assign(run_id=one.run.run_id) for one in replay_all(address(store), run, clips, trust_code)],
        ignore_index=True,
    )


def fork(run: str, at: int, *overrides: str, store: str | None = None, trust_code: bool = False) -> pd.DataFrame:
    """Continue a run from one of its updates under changed treatments, as `study-fork` does.

    Args:
        run: see `study.api`; it stays as it was.
        at: the last update that run and forks have in common.
        overrides: in Hydra's syntax; several values of a key make a fork of each.
        store: see `study.api`.
        trust_code: whether code that was logged with the run may be executed.

    Returns:
        The run and its forks, with the columns of `runs`.

    Raises:
        ConfigError: the treatment would make another run, or the run cannot be taken up there.
    """
    from study.ask.fork import fork as continued
    from study.ask.fork import treatments
    from study.reproduce.trust import code_folder

    parent = one_run(run, store)
    with code_folder(trust_code) as folder:
        forks = continued(parent, treatments(overrides), at, folder)
    return rows([parent, *forks])


def why(run: str, forks: bool = True, store: str | None = None, trust_code: bool = False) -> pd.DataFrame:
    """Test what kept a run from more, cause by cause, as `study-why` does; the page is kept with the answer.

    Args:
        run: see `study.api`; it stays as it was.
        forks: whether to train the forks, and the new run, that tell causes apart.
        store: see `study.api`.
        trust_code: whether code that was logged with the run may be executed.

    Returns:
        One row a cause, in the order of the tests: `cause`, `found`, `evidence`, `number`, `threshold`, `to_test`; no
        rows of a run that is solved or ahead of its opponents.

    Raises:
        ConfigError: the run has not ended by training, or cannot be brought back here.
    """
    from study.ask.why import find_out
    from study.reproduce.trust import code_folder

    with code_folder(trust_code) as folder:
        found = find_out(run, address(store), folder, forks)
        found.keep()
    return found.tables.get("causes", pd.DataFrame())
