"""Where runs are kept: the only room that imports mlflow."""

import os

from study.installation import SILENT

for name, value in SILENT.items():  # before MLflow is imported: runs are no one else's business
    os.environ.setdefault(name, value)
