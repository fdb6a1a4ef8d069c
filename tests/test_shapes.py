"""While tests run, annotations hold: of shapes and of everything else."""

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from study.learning.bptt import refuse_unreachable
from study.models.network import ExtendedHead
from study.seeding import derive, seeded


def test_what_is_not_as_annotated_is_an_error() -> None:
    with pytest.raises(BeartypeCallHintViolation, match="seed"):
        derive("0", "init")  # type: ignore[arg-type]
    with pytest.raises(BeartypeCallHintViolation):
        refuse_unreachable(None, None)  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError), seeded("0", "init"):  # type: ignore[arg-type]
        pass


def test_a_tensor_of_another_shape_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="hidden"):
        ExtendedHead(3, 2, 1)(torch.zeros(4, 3))
