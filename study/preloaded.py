"""Imported by the process that forks for all that train: what each of them would import, made ready once."""

import gc
from importlib import import_module

from sqlalchemy.orm import configure_mappers

from study.processes import PRELOADED

gc.disable()  # nothing here becomes garbage, and looking for it takes an eighth of the time
try:
    for name in PRELOADED:
        import_module(name)
    configure_mappers()  # else each fork does it when it opens its first store
finally:  # the process goes on to fork where an import fails, too
    gc.enable()
