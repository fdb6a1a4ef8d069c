"""Export a trained network to where this package is not: `study-export RUN`.

It becomes a LoggedModel in the run's experiment, which `mlflow.pytorch.load_model` opens with torch and MLflow alone.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from study.disk import writing
from study.errors import ConfigError
from study.reproduce.trust import FLAG, Untrusted, code_folder
from study.terminal import interruptible, say
from study.tracking.uri import address

if TYPE_CHECKING:
    from study.trained.model import TrainedNetwork


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Export a network; exit code 2 where that is not possible."""
    given = _parser().parse_args(arguments)
    try:
        with writing(), code_folder(given.trust_code) as folder:
            say(export(given.run, given.store, given.weights, folder))
    except ConfigError as error:
        if isinstance(error, Untrusted):
            say(error.show())
        say(f"The network cannot be exported:\n{error}", sys.stderr)
        return 2
    return 0


def export(wanted: str, store: str, which: str = "best", folder: Path | None = None) -> str:
    """Export the network of a run, unless it is exported already; return where it is and how it is used.

    Args:
        wanted: run id, unique start of one, or name.
        store: MLflow tracking URI.
        which: of its weights, see `load_trained`.
        folder: where code that was logged with the run is put and executed; None: such a run is refused.

    Raises:
        ConfigError: there is no such run or weights, or the network cannot be a graph; with the reason.
    """
    from study.tracking import models
    from study.tracking.reader import find_one

    run = find_one(store, wanted)
    known = models.exported(run, which)
    if known is not None:
        return _in_words(f"The {which} weights of run {run.run_id} are exported already", known, store)
    from study.trained.model import load_trained

    trained = load_trained(run, which, folder)
    with tempfile.TemporaryDirectory() as temporary:
        written = Path(temporary, "model")
        _write(trained, written)
        found = models.log(run, which, written)
    return _in_words(f"Exported the {which} weights of run {run.run_id}", found, store)


def _write(trained: "TrainedNetwork", folder: Path) -> None:
    """Write the network and compare it with what was written.

    Raises:
        ConfigError: torch cannot make a graph of it.
    """
    from study.tracking import models
    from study.trained import graph
    from study.training.weights import FOLDER, PREPROCESSING

    inputs, features = trained.learnt.inputs, trained.learnt.tokens_a_step
    entering = graph.example(inputs, features, *graph.EXAMPLE)
    outputs = trained.model(entering)[0].shape[-1]
    files = {PREPROCESSING: trained.run.read(f"{FOLDER}/{PREPROCESSING}")}
    try:
        network = graph.Outputs(trained.model).eval()
        file = models.save(folder, network, entering.numpy(), outputs, _about(trained), files)
    except Exception as error:  # what a cell does may fail in torch's tracing in any way
        said = str(error).strip().splitlines() or [""]
        raise ConfigError(
            f"model = {trained.config.model.title}: torch cannot make a graph of it, in which a step is tensor "
            f"operations alone: {type(error).__name__}: {said[0]}"
        ) from error
    graph.refuse_other(file, trained.model, inputs, features)


def _about(trained: "TrainedNetwork") -> dict[str, str]:
    enters = (
        "tokens, by their numbers in preprocessing.json" if trained.learnt.inputs.tokens else "standardised features"
    )
    return {
        "run_id": trained.run.run_id,
        "weights": trained.which,
        "task": trained.config.task.name,
        "loss": trained.config.loss.name,
        "inputs": f"(time, batch, ...): {enters}; every sequence from its first step, from the initial state",
        "outputs": "(time, batch, outputs): what the head gives, such as logits or standardised values",
    }


def _in_words(sentence: str, found: str, store: str) -> str:
    return (
        f"{sentence}: {found}\n"
        f"  mlflow.set_tracking_uri({store!r})\n"
        f"  network = mlflow.pytorch.load_model({found!r})   # (time, batch, ...) in, (time, batch, outputs) out"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="study-export", description="Export a trained network as a LoggedModel.")
    parser.add_argument("run", help="run id, unique start of one, or name")
    parser.add_argument("--weights", choices=("best", "last"), default="best", help="default: of the best validation")
    parser.add_argument("--store", type=address, default=address(), help=f"MLflow tracking URI; default {address()}")
    parser.add_argument(FLAG, action="store_true", help="execute code that was logged with the run; without: show it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
