"""Names for the arms of a comparison, of as few values as set them apart: on the terminal, in MLflow, in reports."""

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


def name_within_tasks(arms: Mapping[str, Configuration], titles: Mapping[str, str]) -> dict[str, str]:
    """Name the arms of an experiment, each among those of its task; titles that the experiment gives come first."""
    names: dict[str, str] = {}
    for task in dict.fromkeys(configuration["task.name"] for configuration in arms.values()):
        names |= name_arms({arm: values for arm, values in arms.items() if values["task.name"] == task})
    return {arm: titles.get(arm, names[arm]) for arm in arms}


def put_tasks_before(names: Mapping[str, str], tasks: Mapping[str, str]) -> dict[str, str]:
    """Names of arms that stand apart also beside those of other tasks.

    Args:
        names: of the arms, each within its task.
        tasks: of the arms.
    """
    several = set(tasks.values())
    short = {task: _without_family(task) for task in several}
    if len(set(short.values())) < len(several):
        short = {task: task for task in several}
    return {arm: f"{short[tasks[arm]]} {name}" if len(several) > 1 else name for arm, name in names.items()}


def name_run(arm: str, seed: int | None, trial: int | None = None) -> str:
    """The name of a run: its arm, the number of its search trial, counted from 0, and its seed, if it has them."""
    parts = [arm, "" if trial is None else f"trial {trial + 1}", "" if seed is None else f"s{seed}"]
    return " ".join(filter(None, parts))


def name_alone(configuration: Configuration) -> str:
    """The name of an arm that stands beside no other: what runs of a kind differ in most."""
    parts = [*_part("model.name", configuration), *_part("clip.name", configuration)]
    return " ".join([*parts, _without_family(configuration["task.name"])])


def _without_family(task: str) -> str:
    return task.partition("_")[2] or task


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
