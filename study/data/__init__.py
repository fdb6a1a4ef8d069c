"""Data files: where they lie, how they get there, how text is read."""

from study.data.carriers import carried
from study.data.downloads import Download, fetched
from study.data.files import located, read_lines, read_text

__all__ = ["Download", "carried", "fetched", "located", "read_lines", "read_text"]
