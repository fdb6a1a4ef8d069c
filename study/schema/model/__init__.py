"""`conf/model`: the recurrent core, its size and its start; one file a family."""

from study.schema.model import linear, nonlinear, own
from study.schema.model.base import MODELS, CoreConfig

__all__ = ["MODELS", "CoreConfig", "linear", "nonlinear", "own"]
