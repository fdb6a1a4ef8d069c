"""Lightning around `study.learning`: module, trainer, history, checkpoint, recorder, progress."""
