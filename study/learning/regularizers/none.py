"""No regularizer: the loss alone is minimised."""

from study.learning.losses import Loss
from study.learning.regularizers.contract import Passage, Regularizer
from study.models import RecurrentModel


class NoRegularizer(Regularizer):
    """Adds nothing."""

    acts = False

    def penalty(self, model: RecurrentModel, loss: Loss, passage: Passage) -> None:
        """See `Regularizer`."""
