"""How much of the data a vocabulary of the training part does not know: as tags of a run, and as a sentence."""

from collections.abc import Iterator, Mapping

from study.tasks.contract import SPLITS

WORTH_SAYING = 0.01
"""Share of unknown tokens from which a reader of the measures must know of it."""


def tagged(shares: Mapping[str, float]) -> dict[str, str]:
    """`unknown/val` and `unknown/test`: the shares of unknown tokens."""
    return {f"unknown/{split}": f"{shares[split]:.4f}" for split in SPLITS[1:]}


def noted(shares: Mapping[str, float], what: str) -> Iterator[str]:
    """A sentence about them where they are not small.

    Args:
        shares: by part.
        what: is counted, in the plural.
    """
    if max(shares[split] for split in SPLITS[1:]) >= WORTH_SAYING:
        said = ", ".join(f"{shares[split]:.1%} of {split}" for split in SPLITS)
        yield f"Unknown {what}, too rare in the training part, not in it, or written as <unk> (task.min_count): {said}."
