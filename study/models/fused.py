"""What the cores built on torch's fused layers share."""

from collections.abc import Iterator

from torch import Tensor
from torch.nn import functional

from study.models.contract import Core, RecurrentBlock


class Fused(Core):
    """A core that is also one of torch's fused layers: W_hh of layer l is `weight_hh_l<l>`, one block under another."""

    dropout: float

    @property
    def recurrent_parameters(self) -> tuple[str, ...]:
        """See `Core`."""
        return tuple(f"weight_hh_l{layer}" for layer in range(self.num_layers))

    def recurrent_blocks(self) -> Iterator[RecurrentBlock]:
        """See `Core`; one block a layer, or one for each gate, in torch's order."""
        for layer, name in enumerate(self.recurrent_parameters):
            for block, matrix in enumerate(self.get_parameter(name).split(self.hidden_size)):
                yield RecurrentBlock(layer, block, matrix)

    def dropped(self, outputs: Tensor) -> Tensor:
        """See `Core`; what torch's layer does by itself."""
        return functional.dropout(outputs, self.dropout, self.training)
