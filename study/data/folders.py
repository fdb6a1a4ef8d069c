"""Folders of the data files that are not the user's own: those of the data packages, and downloads."""

from pathlib import Path

from study.installation import CHECKOUT, typed


def folder(given: str | None, name: str) -> Path:
    """Return a folder of data files.

    Args:
        given: the user's choice.
        name: of the default, where nothing is given: inside of `.data` in a checkout, of the user's cache elsewhere.
    """
    if given:
        return typed(given).absolute()
    import pooch

    return (CHECKOUT / ".data" if CHECKOUT else Path(pooch.os_cache("rnn-study"))) / name
