"""The sections of a study's page about one task: the answer in pictures, in numbers, and its gradients."""

from collections.abc import Mapping, Sequence

import pandas as pd

from study.report.data.comparison import Comparison
from study.report.data.histories import Norms
from study.report.data.lengths import by_length
from study.report.data.ranking import Answer, compare
from study.report.data.reading import tried
from study.report.data.wording import format_power
from study.report.figures import flow
from study.report.figures.ablation import VARIED, ablation
from study.report.figures.answers import answer_picture
from study.report.figures.gradients import norm_histories
from study.report.figures.learning import learning_curves
from study.report.figures.lengths import generalisation
from study.report.figures.maps import maps
from study.report.figures.picture import Picture, drawn
from study.report.figures.probes import decay_against_exponent, truncation_bias
from study.report.pages import answer
from study.report.pages import lengths as lengths_page
from study.report.pages.explorer import explorer
from study.report.pages.page import Section
from study.schema.budget import compare_readings

ONE_SEED = "One seed per arm: there are no intervals, and the order of the arms may be chance."


def sections(
    comparison: Comparison, answers: Sequence[Answer], norms: Mapping[str, Norms], table: pd.DataFrame
) -> list[Section]:
    """The answer in pictures, then in tables, then the gradients behind it; a part without content is left out.

    Args:
        comparison: of the task.
        answers: about its arms, best first.
        norms: by run id, of all runs of the study.
        table: its results, see `study.report.data.results`.
    """
    study, mine = compare(comparison), {run: found for run, found in norms.items() if run in comparison.runs.index}
    several = any(found.measure.seeds > 1 for found in answers)
    reading = compare_readings({found.arm: found.read for found in answers if found.lost < found.runs})
    texts = [text for text in (reading, format_power(study) if several else ONE_SEED) if text]
    further, title = by_length(comparison), f"{comparison.family}: {comparison.task}".removeprefix(": ")
    tables = [*answer.tables(comparison, answers, study.pooled), *lengths_page.tables(comparison, further)]
    found = [
        Section(title, texts, pictures=_answers(comparison, mine, table, further), explorer=explorer(comparison, mine)),
        Section(f"{comparison.task}: in numbers", tables=tables),
        Section(f"{comparison.task}: gradients", pictures=_gradients(comparison, mine)),
    ]
    return [found[0], *(section for section in found[1:] if section.tables or section.pictures)]


def _answers(
    comparison: Comparison, norms: dict[str, Norms], table: pd.DataFrame, further: pd.DataFrame
) -> list[Picture]:
    """What every arm reached: at the end, over training, at other lengths, against what was varied."""
    rows = table.loc[comparison.runs.index]
    return [
        *drawn(answer_picture, comparison),
        *drawn(learning_curves, comparison, norms),
        *drawn(generalisation, comparison, further),
        *(picture for varied in VARIED for picture in drawn(ablation, comparison, rows, varied)),
    ]


def _gradients(comparison: Comparison, norms: dict[str, Norms]) -> list[Picture]:
    """The gradients behind it."""
    data = flow.flow_data(comparison)
    return [
        *drawn(norm_histories, comparison, norms),
        *drawn(flow.flow_by_lag, comparison, data),
        *drawn(flow.flow_over_training, comparison, data),
        *drawn(decay_against_exponent, comparison, data),
        *drawn(truncation_bias, comparison),
        *(tried("A map", lambda: list(maps(comparison, data))) or []),
    ]
