"""Where runs are kept: the only room that imports mlflow."""

import logging
import os

from study.installation import SILENT

for name, value in SILENT.items():  # before MLflow is imported: runs are no one else's business
    os.environ.setdefault(name, value)
for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):  # they print what is raised, or tried again
    logging.getLogger(name).setLevel(logging.CRITICAL)
