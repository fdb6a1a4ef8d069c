"""Arguments of Lightning's Trainer that `trainer` does not have: why, and what does it here."""

_ONE_DEVICE = (
    "a run is one process on one device, which holds the state carried from window to window and the history of every "
    "update; sweep.workers makes several runs at a time"
)
_SHORT = "trainer.max_updates=2 makes a short run"
_ALWAYS = "always on here: runs are reproduced bit for bit"

REASONS = {
    "precision": "it is always 32-true: 16 bits round gradients that vanish to zero and lose those that explode, which "
    "is what is measured here, and data, losses and probes are not made for 64",
    "devices": _ONE_DEVICE,
    "num_nodes": _ONE_DEVICE,
    "strategy": _ONE_DEVICE,
    "accumulate_grad_batches": "an update is made of each window of bptt.k1 steps, with the state carried to the next; "
    "task.batch_size takes more sequences into it",
    "gradient_clip_val": "clipping is a group of its own: clip=norm clip.threshold=1",
    "gradient_clip_algorithm": "clipping is a group of its own: clip=norm or clip=value",
    "max_time": "trainer.max_seconds is the budget in time",
    "min_epochs": "a run makes its whole budget, unless trainer.patience ends it",
    "min_steps": "a run makes its whole budget, unless trainer.patience ends it",
    "val_check_interval": "trainer.validate_every counts updates between validations",
    "check_val_every_n_epoch": "trainer.validate_every=null validates after every epoch",
    "log_every_n_steps": "every update is kept; tracking.points says how many are charted",
    "logger": "runs are logged in MLflow; tracking.uri says where",
    "enable_checkpointing": "trainer.checkpoint says how often the state is kept",
    "enable_progress_bar": "trainer.progress_bar shows or hides it",
    "default_root_dir": "hydra.run.dir is the folder of a run",
    "deterministic": _ALWAYS,
    "benchmark": "it may choose another algorithm each time, and runs are reproduced bit for bit",
    "detect_anomaly": "NaN is a result here; study-autopsy shows at which update and in which parameters it appeared",
    "fast_dev_run": _SHORT,
    "overfit_batches": _SHORT,
    "limit_train_batches": _SHORT,
    "limit_val_batches": "every validation reads the whole part, so that runs compare",
    "limit_test_batches": "the test reads the whole part, so that runs compare",
    "reload_dataloaders_every_n_epochs": "the order of the data follows from seed alone",
}


def reason(key: str) -> str:
    """Why a dotted key such as `trainer.devices` is not there, as the end of a sentence; empty for any other key."""
    group, _, name = key.partition(".")
    return f"; {REASONS[name]}" if group == "trainer" and name in REASONS else ""
