"""One drawing a thing, used by a run's pictures and by the report alike."""
