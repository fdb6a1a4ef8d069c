"""Where runs are kept: the only room that imports mlflow."""

import logging
import os

from study.installation import SILENT

for name, value in SILENT.items():  # before MLflow is imported: runs are no one else's business
    os.environ.setdefault(name, value)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints a traceback of what it raises
