"""Every opponent by name: the address of its `fit(task) -> Fitted`, and the tasks and networks it is an opponent of."""

from typing import NamedTuple

from study.errors import ConfigError
from study.opponents.contract import Fitted
from study.schema.registry import Registry
from study.tasks import Task


class Fits(NamedTuple):
    """What an opponent fits.

    Attributes:
        families: of tasks.
        reads_ahead: it looks at later steps of a sequence, as only a bidirectional network does.
    """

    families: tuple[str, ...]
    reads_ahead: bool = False


OPPONENTS = Registry("opponent")
OPPONENTS.enter("guess", Fits(("forecasting", "language", "labelling")), "study.opponents.baseline:fit_guess")
OPPONENTS.enter("persistence", Fits(("forecasting",)), "study.opponents.baseline:fit_persistence")
OPPONENTS.enter("bigram", Fits(("language",)), "study.opponents.baseline:fit_bigram")
OPPONENTS.enter("word_tag", Fits(("labelling",)), "study.opponents.baseline:fit_word_tag")
OPPONENTS.enter("mean", Fits(("forecasting",)), "study.opponents.mean:fit")
OPPONENTS.enter("seasonal", Fits(("forecasting",)), "study.opponents.seasonal:fit")
OPPONENTS.enter("autoregression", Fits(("forecasting",)), "study.opponents.autoregression:fit")
OPPONENTS.enter("har", Fits(("forecasting",)), "study.opponents.har:fit")
OPPONENTS.enter("nlinear", Fits(("forecasting",)), "study.opponents.nlinear:fit")
OPPONENTS.enter("witten_bell", Fits(("language",)), "study.opponents.witten_bell:fit")
OPPONENTS.enter("kneser_ney", Fits(("language",)), "study.opponents.kneser_ney:fit")
OPPONENTS.enter("perceptron", Fits(("labelling",)), "study.opponents.perceptron:fit")
OPPONENTS.enter("perceptron_both_ways", Fits(("labelling",), True), "study.opponents.perceptron:fit_both_ways")


def named(task: Task, bidirectional: bool) -> list[str]:
    """The opponents that a task names, less those that read ahead where the network does not.

    Raises:
        ConfigError: the task names one that does not exist.
    """
    if unknown := [name for name in task.opponents if name not in OPPONENTS]:
        raise ConfigError(f"{type(task).__name__}.opponents = {unknown}: allowed are {', '.join(OPPONENTS)}")
    return [name for name in task.opponents if bidirectional or not OPPONENTS.config(name).reads_ahead]


def fit(name: str, task: Task) -> Fitted:
    """Fit an opponent on the training part of a task, what it leaves open chosen on the validation part.

    Raises:
        KeyError: there is no opponent of this name.
    """
    fitted: Fitted = OPPONENTS.implementation(name)(task)
    return fitted
