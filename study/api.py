"""Tracked runs for notebooks and scripts: `from study import api`.

    runs = api.runs("tour", "tags.verdict = 'vanishing'")
    api.history(runs.index[0])["grad_norm/total"].plot(logy=True)

A run is named by its id, the start of its id, or its name. The store is an MLflow tracking URI; default:
`MLFLOW_TRACKING_URI`, or `mlflow.db` in the current folder. Nothing heavy is imported before it is needed.
"""

import os
from typing import TYPE_CHECKING, Any

import pandas as pd

from study.errors import ConfigError
from study.tracking.uri import address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from study.analysis.autopsy import Autopsy
    from study.models import RecurrentModel
    from study.reproduce.rerun import Reproduction
    from study.tracking.reader import Logged
    from study.trained.model import TrainedNetwork


def runs(experiment: str | None = None, where: str = "", store: str | None = None) -> pd.DataFrame:
    """List every run trained under a slug, oldest first; the runs of sweeps themselves and reproductions are left out.

    Args:
        experiment: the slug; None: all experiments.
        where: MLflow's search filter, such as `params.model.name = 'lstm' and tags.outcome = 'diverged'`.
        store: see above.

    Returns:
        One row a run, by run id, with the columns `name`, `status`, `params.*` (as numbers where all values are
        numbers), `tags.*` (texts, such as `tags.verdict`) and `metrics.*` (last values).

    Raises:
        ConfigError: there is no such store, or it has no run of this experiment.
    """
    from study.tracking.reader import frame, search

    uri = store or address()
    found = [run for run in search(uri, where, experiment) if "kind" not in run.tags]
    if not (found or where):
        raise ConfigError(f"experiment = {experiment!r}: no run was trained under this slug in {uri}")
    return frame(found).drop(columns="logged").apply(_numeric)


def train(*overrides: str, store: str | None = None) -> pd.Series:
    """Train one network, as `study-train` does, in a process of its own.

    Args:
        overrides: in Hydra's syntax, such as `model=gru`, one a text, without a shell's quotes.
        store: see above.

    Returns:
        Its row in `runs`.

    Raises:
        ConfigError: an override cannot be used.
    """
    return runs(store=store).loc[_start(overrides, store)["run_id"]]


def sweep(experiment: str, *overrides: str, folder: str | None = None, store: str | None = None) -> pd.DataFrame:
    """Make the runs of an experiment that are not made yet, as `study-sweep` does, in processes of their own.

    Args:
        experiment: name of its file in `conf/experiment`.
        overrides: see `train`.
        folder: with configurations of your own, `folder/experiment/<name>.yaml`.
        store: see above.

    Returns:
        One row a run that counts: `arm`, `seed`, `run_id`, `outcome`, `verdict`, `test` and other results.

    Raises:
        ConfigError: the experiment cannot be used.
    """
    own = ["--config-dir", folder] if folder else []
    found = _start(["--multirun", *own, f"experiment={experiment}", *overrides], store)
    return pd.DataFrame(found["runs"])


def history(run: str, store: str | None = None) -> pd.DataFrame:
    """Return loss, learning rate and every gradient norm of a run, one row an update."""
    return _one(run, store).table("gradients.parquet").set_index("update")


def lag_profile(run: str, store: str | None = None) -> pd.DataFrame:
    """Return the gradient flow of a run: log phi by lag, by layer and in all, at every update measured."""
    return _one(run, store).table("flow.parquet")


def reproduce(
    run: str, *overrides: str, tolerance: float = 0.0, store: str | None = None, trust_code: bool = False
) -> "Reproduction":
    """Rerun a run and compare every recorded number, as `study-reproduce` does.

    Sets up this process for training: from then on torch computes on one thread.

    Args:
        run: see above.
        overrides: in Hydra's syntax; they make it a variation, which is not compared.
        tolerance: relative; 0: bit for bit.
        store: see above.
        trust_code: whether code that was logged with the run may be executed.

    Raises:
        ConfigError: there is no such run, or its configuration cannot be used; the key is named.
        Untrusted: it needs code that was logged with it; the error has its text.
    """
    from study.reproduce.restore import restore_run
    from study.reproduce.trust import code_folder

    logged = _one(run, store)
    with code_folder(trust_code) as folder:
        restored = restore_run(logged, folder, overrides)
        from study.reproduce.rerun import rerun

        return rerun(logged, restored, tolerance)


def autopsy(run: str, update: int | None = None, store: str | None = None, trust_code: bool = False) -> "Autopsy":
    """Take the gradient of one update of a run apart, as `study-autopsy` does; nothing is written to the store.

    Args:
        run: see above; it stays as it was.
        update: from 1; None: where it diverged, else where its gradient norm, or else its loss, leapt.
        store: see above.
        trust_code: whether code that was logged with the run may be executed.

    Returns:
        `sentence`, and the tables `sequences`, `lags`, `parameters` (shares) and `probes` (before and after).

    Raises:
        ConfigError: the run has no such update, or this machine does not compute what the run computed.
    """
    from study.ask.autopsy import autopsy as taken_apart
    from study.reproduce.trust import code_folder

    logged = _one(run, store)
    with code_folder(trust_code) as folder:
        return taken_apart(logged, update, folder)


def what_if(run: str, clips: str = "", store: str | None = None, trust_code: bool = False) -> pd.DataFrame:
    """Return what other clip policies would have done to a run, or to all runs of an experiment.

    Nothing is trained, and nothing is written; `study-what-if` makes a page of it.

    Args:
        run: see above; or the slug of an experiment.
        clips: such as `norm=.1,.3 autoclip zclip.z=3`; empty: all, thresholds at percentiles of a run's own norms.
        store: see above.
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
        [one.table().assign(run_id=one.run.run_id) for one in replay_all(store or address(), run, clips, trust_code)],
        ignore_index=True,
    )


def fork(run: str, at: int, *overrides: str, store: str | None = None, trust_code: bool = False) -> pd.DataFrame:
    """Continue a run from one of its updates under changed treatments, as `study-fork` does.

    Args:
        run: see above; it stays as it was.
        at: the last update that run and forks have in common.
        overrides: in Hydra's syntax; several values of a key make a fork of each.
        store: see above.
        trust_code: whether code that was logged with the run may be executed.

    Returns:
        The run and its forks, with the columns of `runs`.

    Raises:
        ConfigError: the treatment would make another run, or the run cannot be taken up there.
    """
    from study.ask.fork import fork as continued
    from study.ask.fork import treatments
    from study.reproduce.trust import code_folder
    from study.tracking.reader import frame

    parent = _one(run, store)
    with code_folder(trust_code) as folder:
        forks = continued(parent, treatments(overrides), at, folder)
    return frame([parent, *forks]).drop(columns="logged").apply(_numeric)


def why(run: str, forks: bool = True, store: str | None = None, trust_code: bool = False) -> pd.DataFrame:
    """Test what kept a run from more, cause by cause, as `study-why` does; the page is kept with the answer.

    Args:
        run: see above; it stays as it was.
        forks: whether to train the forks, and the new run, that tell causes apart.
        store: see above.
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
        found = find_out(run, store or address(), folder, forks)
        found.keep()
    return found.tables.get("causes", pd.DataFrame())


def _start(arguments: "Sequence[str]", store: str | None) -> Any:
    from study.sweep.start import start

    return start(arguments, os.environ | ({"MLFLOW_TRACKING_URI": store} if store else {}))


def model(run: str, weights: str = "best", store: str | None = None, trust_code: bool = False) -> "RecurrentModel":
    """Return the network of a run with its weights, on the CPU, in evaluation mode.

    Args:
        run: see above.
        weights: `best`: those of its best validation; `last`: those it ended with, which its measures on test are of.
        store: see above.
        trust_code: whether code that was logged with the run may be executed.

    Returns:
        `outputs, state = network(inputs)`, inputs (time, batch, features), or tokens (time, batch).

    Raises:
        ConfigError: there is no such run, or it keeps no such weights.
    """
    return _trained(run, weights, store, trust_code).model


def predict(
    run: str, data: "str | Path | pd.DataFrame", weights: str = "best",
    store: str | None = None, trust_code: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Use the network of a run on new data, also where its training data are not.

    Args:
        run: see above.
        data: a file in the form that the task of the run reads; to forecast, a table too.
        weights: see `model`.
        store: see above.
        trust_code: see `model`.

    Returns:
        One row a step, as in docs/trained-models.md; `attrs` has `measures` over all rows, and `unknown`, the share of
        words or characters that the training part does not have.

    """
    from study.trained.predict import predict as predicted

    return predicted(_trained(run, weights, store, trust_code), data)


def _trained(run: str, weights: str, store: str | None, trust_code: bool) -> "TrainedNetwork":
    from study.reproduce.trust import code_folder
    from study.trained.model import load_trained

    with code_folder(trust_code) as folder:
        return load_trained(_one(run, store), weights, folder)


def _one(wanted: str, store: str | None) -> "Logged":
    from study.tracking.reader import find_one

    return find_one(store or address(), wanted)


def _numeric(column: pd.Series) -> pd.Series:
    """Convert a column of parameters to numbers if all of its texts are numbers; `None` is a missing value."""
    if not str(column.name).startswith("params."):
        return column
    given = column.mask(column == "None")
    numbers = pd.to_numeric(given, errors="coerce")
    return numbers if numbers.notna().any() and numbers.isna().equals(given.isna()) else column
