"""Registries: the config class and the implementation of every member of a config group, by name.

A registry entry is a config class with the address of what it configures:

    @MODELS.member("study.models.cells.gru:GRU")
    class GRUConfig(CoreConfig):
        name: Literal["gru"]

The address is a text, imported when it is asked for: a configuration is checked without waiting for torch.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Annotated, Any, TypeVar, Union, get_args

from pydantic import BaseModel, Field

from study.schema.own import OwnFile

C = TypeVar("C", bound=BaseModel)


class Registry:
    """The members of one config group, in the order they were entered.

    Args:
        group: key of the group in the configuration, such as `model`.
    """

    def __init__(self, group: str):
        self.group = group
        self._configs: dict[str, Any] = {}
        self._addresses: dict[str, str] = {}

    def enter(self, name: str, config: Any, address: str) -> None:
        """Enter one member.

        Args:
            name: of the member.
            config: type of its configuration.
            address: `module:object` of its implementation.
        """
        self._configs[name], self._addresses[name] = config, address

    def member(self, address: str) -> Callable[[type[C]], type[C]]:
        """Enter the decorated config class under every value that its `name` may have; see `enter`."""

        def enter(config: type[C]) -> type[C]:
            for name in get_args(config.model_fields["name"].annotation):
                self.enter(name, config, address)
            return config

        return enter

    def __iter__(self) -> Iterator[str]:
        """Names of the members whose implementation is known: not of those that stand in a file of the user's own."""
        known = (name for name, config in self._configs.items() if not _of_a_file(config))
        return iter(tuple(known))

    def __contains__(self, name: object) -> bool:
        """Whether there is such a member."""
        return name in self._configs

    def __len__(self) -> int:
        """How many names are iterated over."""
        return len(tuple(iter(self)))

    def config(self, name: str) -> Any:
        """The config class of a member.

        Raises:
            KeyError: there is no such member.
        """
        return self._configs[name]

    def implementation(self, name: str) -> Any:
        """What the config of a member configures; imports its module.

        Raises:
            KeyError: there is no such member.
        """
        module, _, attribute = self._addresses[name].partition(":")
        return getattr(import_module(module), attribute)

    @property
    def union(self) -> Any:
        """The type of the group in the schema: the config of any member, recognised by its `name`."""
        return Annotated[Union[tuple(dict.fromkeys(self._configs.values()))], Field(discriminator="name")]  # noqa: UP007


def _of_a_file(config: Any) -> bool:
    """Whether a member stands in a file of the user's own; the plan of a probe may be of any type."""
    return isinstance(config, type) and issubclass(config, OwnFile)
