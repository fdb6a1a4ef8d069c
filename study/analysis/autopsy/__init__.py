"""What carried the gradient of one update of a finished run, and what that update did: numbers, and their words.

    choice      which update is looked at
    examined    what was measured of it, and of the ones beside it
    words       the chain in one sentence

`study.ask.autopsy` makes the updates again and measures them.
"""

from study.analysis.autopsy.choice import Chosen, choose
from study.analysis.autopsy.examined import Autopsy, Examined

__all__ = ["Autopsy", "Chosen", "Examined", "choose"]
