"""Data files: where they lie, how they get there, how text, tables and corpora are read. No torch here."""

from study.data.carriers import carried
from study.data.downloads import Download, fetched
from study.data.files import Contents, located, read, read_lines, read_text
from study.data.folders import folder

__all__ = ["Contents", "Download", "carried", "fetched", "folder", "located", "read", "read_lines", "read_text"]
