"""WNUT 2017 (Derczynski et al. 2017), English web text: emerging and rare entities, 6 kinds."""

from study.data import Download, fetched
from study.data.corpora.columns import read_columns
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingWNUT17Config as Config
from study.tasks.labelling.family import Corpora, Labelling

ROOT = "https://raw.githubusercontent.com/leondz/emerging_entities_17/e52a2d2a71ac1a051ca2d532eef28653c5c02603/"
FILES = tuple(
    Download(ROOT + name, sha256, name)
    for name, sha256 in (
        ("wnut17train.conll", "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5"),
        ("emerging.dev.conll", "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8"),
        ("emerging.test.annotated", "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0"),
    )
)


def load_wnut17(config: Config, data: DataConfig) -> Corpora:
    """The published splits."""
    train, validation, test = (read_columns(fetched(data, file), word=1, label=2) for file in FILES)
    return Corpora((train, validation, test), ROOT)


class WNUT17(Labelling):
    """WNUT 2017."""

    load = staticmethod(load_wnut17)
    read_file = staticmethod(lambda path, config: read_columns(path, word=1, label=2))
