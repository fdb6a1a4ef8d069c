"""From tracked runs to answers: tables, figures and a page. Never trains."""

from collections.abc import Mapping
from typing import Any

RESULTS = "results.csv"
"""Name of the table of runs that a report writes, and that is committed under `experiments/`."""
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {"dpi": 300, "metadata": {"Software": None}},
    "pdf": {"metadata": {"CreationDate": None, "Producer": None}},
}
"""Formats of figures for papers and slides, written where they are asked for, and how matplotlib saves them.

Not always: each takes about as long as the SVG that always is, so a report would take two to three times as long.
"""
