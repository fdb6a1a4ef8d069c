"""`conf/model/own`: a cell, or a whole core, in a file of the user's own."""

from typing import Literal

from study.schema.model.base import MODELS, CoreConfig
from study.schema.own import OwnFile


@MODELS.member("study.models.own:own")
class OwnCellConfig(CoreConfig, OwnFile):
    """The `Cell` or `Core` in a file (docs/own-cell.md); whether its state is linear in itself is not known."""

    name: Literal["own"]

    @property
    def title(self) -> str:
        """See `CoreConfig`."""
        return f"own_{self.called}"
