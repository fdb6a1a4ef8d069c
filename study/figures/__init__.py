"""One drawing for each kind of plot, used by the figures of a run and by the report alike."""
