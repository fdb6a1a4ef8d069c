"""The contract of the config class of a loss or a clip policy: what cannot be used is refused, and the key is named."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from study.schema.base import Strict

BAD = (math.nan, math.inf, -math.inf, "no such value", [1.0], {"a": 1}, None)
"""Values that no key of a loss or a clip policy has a use for."""


class ConfigContract:
    """Claims that hold for every config class; a subclass gives an example of it."""

    @pytest.fixture
    def config(self) -> Strict:
        """A valid configuration of the member."""
        raise NotImplementedError

    def test_a_valid_configuration_is_accepted(self, config: Strict) -> None:
        """Else what the other claims say is worth nothing."""
        assert type(config).model_validate(config.model_dump()) == config

    @pytest.mark.parametrize("value", BAD, ids=repr)
    def test_a_value_that_cannot_be_used_is_refused_with_its_key(self, config: Strict, value: Any) -> None:
        """A number must be finite, and no text, list or mapping passes for one."""
        for key in type(config).model_fields:
            assert self._refused(config, config.model_dump() | {key: value}) == {key}

    def test_a_key_left_out_is_asked_for(self, config: Strict) -> None:
        """Values stand in `conf/`, where they can be read: none is filled in by the class."""
        for key in type(config).model_fields:
            values = {name: value for name, value in config.model_dump().items() if name != key}
            assert self._refused(config, values) == {key}

    def test_an_unknown_key_is_refused(self, config: Strict) -> None:
        """A misspelt key would otherwise be ignored without a word."""
        assert self._refused(config, config.model_dump() | {"no_such_key": 1.0}) == {"no_such_key"}

    def _refused(self, config: Strict, values: dict[str, Any]) -> set[Any]:
        """The keys that are named when `values` are refused."""
        with pytest.raises(ValidationError) as refused:
            type(config).model_validate(values)
        return {error["loc"][0] for error in refused.value.errors()}
