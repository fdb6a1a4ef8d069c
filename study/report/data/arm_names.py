"""Names for the arms of a comparison, of as few values as set them apart."""

from collections.abc import Mapping

Configuration = Mapping[str, str]
WITHOUT = {"bptt.k2": "full BPTT", "bptt.k1": "k1=k2"}
"""What it means that a key has no value, where that is not to be without it."""


def name_arms(configurations: Mapping[str, Configuration]) -> dict[str, str]:
    """Name arms by their values.

    Options of groups (`model`, `clip`) come first, then single keys; each only if it sets arms apart that those before
    it do not: the forget bias, which only an LSTM has, adds nothing to the name of the LSTM.

    Args:
        configurations: of every arm, dotted key -> value.

    Returns:
        Names by arm.
    """
    parts: dict[str, list[str]] = {arm: [] for arm in configurations}
    apart = 1
    for key in _candidates(configurations):
        longer = {arm: [*parts[arm], *_part(key, configurations[arm])] for arm in parts}
        if (now := len(set(map(tuple, longer.values())))) > apart:
            parts, apart = longer, now
    return {arm: " ".join(words) or _plain(configurations[arm]) for arm, words in parts.items()}


def _candidates(configurations: Mapping[str, Configuration]) -> list[str]:
    """Keys with more than one value in the order of the configuration, options of groups first."""
    keys = dict.fromkeys(key for configuration in configurations.values() for key in configuration)
    differing = [key for key in keys if len({c.get(key) for c in configurations.values()}) > 1]
    return sorted(differing, key=lambda key: not key.endswith(".name"))


def _part(key: str, configuration: Configuration) -> list[str]:
    """A key in a name: of a group the option, else the last part of the key with the value."""
    if key not in configuration:
        return []
    group, _, last = key.rpartition(".")
    value = configuration[key]
    if last == "name":
        return [f"no {group}" if value == "none" else f"{group} {value}" if group == "clip" else value]
    return [WITHOUT.get(key, f"no {last}") if value == "None" else f"{last}={value}"]


def _plain(configuration: Configuration) -> str:
    return configuration.get("model.name", "the one arm")
