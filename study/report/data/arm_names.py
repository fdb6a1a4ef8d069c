"""What to call the arms of a comparison: the fewest values that tell them apart."""

from collections.abc import Mapping

Configuration = Mapping[str, str]


def name_arms(configurations: Mapping[str, Configuration]) -> dict[str, str]:
    """Names by arm.

    Groups of the configuration (`model`, `clip`) come first, then single keys, each only if it tells apart what those
    before it do not: a forget bias that only the LSTM has adds nothing to the name of the LSTM.

    Args:
        configurations: of every arm, dotted key -> value.
    """
    parts: dict[str, list[str]] = {arm: [] for arm in configurations}
    apart = 1
    for key in _candidates(configurations):
        longer = {arm: [*parts[arm], *_part(key, configurations[arm])] for arm in parts}
        if (now := len(set(map(tuple, longer.values())))) > apart:
            parts, apart = longer, now
    return {arm: " ".join(words) or _plain(configurations[arm]) for arm, words in parts.items()}


def _candidates(configurations: Mapping[str, Configuration]) -> list[str]:
    """Keys with more than one value, names of groups first, each in the order of the configuration."""
    keys = dict.fromkeys(key for configuration in configurations.values() for key in configuration)
    differing = [key for key in keys if len({c.get(key) for c in configurations.values()}) > 1]
    return sorted(differing, key=lambda key: not key.endswith(".name"))


def _part(key: str, configuration: Configuration) -> list[str]:
    """How a key stands in a name: a group's choice alone, a value with the last part of its key."""
    if key not in configuration:
        return []
    group, _, last = key.rpartition(".")
    value = configuration[key]
    if last == "name":
        return [f"no {group}" if value == "none" else f"{group} {value}" if group == "clip" else value]
    return [f"no {last}" if value == "None" else f"{last}={value}"]


def _plain(configuration: Configuration) -> str:
    return configuration.get("model.name", "the one arm")
