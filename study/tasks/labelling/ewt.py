"""English Web Treebank of Universal Dependencies (Silveira et al. 2014), 16,622 sentences: parts of speech."""

from functools import lru_cache

from study.data import Download, fetched
from study.data.corpora.columns import read_conllu
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingEWTConfig as Config
from study.tasks.labelling.family import Corpora, Labelling

ROOT = (
    "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/"
)
FILES = tuple(
    Download(ROOT + name, sha256, name)
    for name, sha256 in (
        ("en_ewt-ud-train.conllu", "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b"),
        ("en_ewt-ud-dev.conllu", "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6"),
        ("en_ewt-ud-test.conllu", "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd"),
    )
)
read_once = lru_cache(read_conllu)


def load_ewt(config: Config, data: DataConfig) -> Corpora:
    """The published splits."""
    train, validation, test = (read_once(fetched(data, file)) for file in FILES)
    return Corpora((train, validation, test), ROOT)


class EWT(Labelling):
    """English Web Treebank of Universal Dependencies."""

    load = staticmethod(load_ewt)
    read_file = staticmethod(lambda path, config: read_conllu(path))
