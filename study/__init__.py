"""A study harness for recurrent networks: state a question, run every arm fairly, keep every gradient norm.

`from study import GradientHistory` is a Lightning callback for your own networks; `from study import api` reads runs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.callback.callback import GradientHistory as GradientHistory


def __getattr__(name: str) -> Any:
    """Import what is asked for by name when it is asked for: torch and Lightning take seconds."""
    if name == "GradientHistory":
        from study.callback.callback import GradientHistory

        return GradientHistory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
