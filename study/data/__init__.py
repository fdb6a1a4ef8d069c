"""Data files: where they lie, how they get there, how text is read."""

from study.data.carriers import carried
from study.data.downloads import Download, fetched
from study.data.files import located, read_lines, read_text
from study.data.folders import folder

__all__ = ["Download", "carried", "fetched", "folder", "located", "read_lines", "read_text"]
