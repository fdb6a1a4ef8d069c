"""`study-why RUN`: what kept a logged run from more, every cause tested in order, by measures and short forks."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study.ask import command
from study.errors import ConfigError
from study.installation import about
from study.reproduce.trust import code_folder
from study.terminal import interruptible

if TYPE_CHECKING:
    from study.analysis.causes.forks import Contrast
    from study.analysis.causes.tested import CauseTest
    from study.ask.finding import Finding
    from study.schema import Config
    from study.tracking.reader import Logged

LIMITS = (
    "Measures are of one network and one batch, forks of one seed and of the last part of the run. A fork that is no "
    "better rules its cause out for as many updates as it made; a lower rate also takes noise out of the end of any "
    "training. What was not measured is not ruled out, and several causes can hold at once: the change that is "
    "proposed is the one worth trying first, no proof that it is enough."
)
WIDER = 4
"""Times as long as one of the run's own that an update of a network of twice the width takes, at most."""


def find_out(wanted: str, store: str, code: Path | None = None, forks: bool = True) -> "Finding":
    """Test the causes of a run.

    Args:
        wanted: the run's id, the start of it, or its name.
        store: MLflow tracking URI.
        code: where code that was logged with the run is put; None: it is not trusted.
        forks: whether to train the forks, and the new run, that tell causes apart.

    Raises:
        ConfigError: there is no such run, it has not ended by training, or it cannot be brought back here.
    """
    from study.analysis.causes.examined import WELL
    from study.ask.finding import Finding
    from study.reproduce.restore import restore_run
    from study.tracking.outcomes import ENDED
    from study.tracking.reader import find_one

    run = find_one(store, wanted)
    if (outcome := run.tags.get("outcome")) not in ENDED or run.status != "FINISHED":
        raise ConfigError(
            f"RUN = {wanted!r}: its outcome is {outcome or 'not known yet'}; only a run that made its updates to the "
            "end, or was destroyed by them, has a cause "
            f"(`{about('resume', run.run_id)}` continues one that was killed)"
        )
    restored = restore_run(run, code)
    if outcome in WELL:
        said = f"{run.started_as} is {outcome}: {_standing(run)}, so there is nothing to ask."
        return Finding("why", [run], said, LIMITS, [], {})
    return _answer(run, restored.config, code, forks)


def _answer(run: "Logged", config: "Config", code: Path | None, forks: bool) -> "Finding":
    from study.analysis.causes.forks import contrasts, decided
    from study.analysis.causes.tested import first, table
    from study.ask import causes_page as page
    from study.ask.contrasted import make
    from study.ask.finding import Finding
    from study.ask.measured import measure
    from study.reproduce.fork import beginning

    print(_cost_of_measures(run), file=sys.stderr)
    found = measure(run, config, beginning(run, code))
    wanted = contrasts(found.tests, found.case.facts, config, found.longest, found.case.lost) if forks else []
    print(_cost_of_forks(run, config, found.at, wanted), file=sys.stderr)
    made = make(run, wanted, found.at, code)
    tests = decided(found.tests, [one.tested for one in made])
    named = first(tests)
    shown = [page.causes(tests), *page.contrasted(run, made), page.beside_the_diagnosis(run, tests)]
    tags = {"cause": named.name if named else "none"}
    sentence = _sentence(run, tests)
    return Finding(
        "why",
        [run],
        sentence,
        LIMITS,
        shown,
        {"causes": table(tests).to_pandas()},
        _to_do(run, named, found.at, made),
        tags,
    )


def _standing(run: "Logged") -> str:
    """Where a run stands, by its record."""
    measures, primary = run.measures, run.tags["primary"]
    value, rival = (measures.get(f"{primary}/{of}", math.nan) for of in ("test", "opponent"))
    tested = f"{primary} {value:.4g} on test, " if math.isfinite(value) and run.tags["outcome"] != "diverged" else ""
    return f"{tested}{run.tags.get('opponent')} {rival:.4g}"


def _sentence(run: "Logged", tests: "Sequence[CauseTest]") -> str:
    from study.analysis.causes.tested import sentence

    return f"{run.started_as} ({run.tags['outcome']}, {_standing(run)}): {sentence(tests)}."


def _cost_of_measures(run: "Logged") -> str:
    updates, each = command.pace(run)
    return (
        f"To bring the run back: a replay of at most {updates:,} updates (none where its state is kept), some "
        f"{updates * each:.0f} s by its own pace; then measures worth some 200 updates."
    )


def _cost_of_forks(run: "Logged", config: "Config", at: int, wanted: "Sequence[Contrast]") -> str:
    """What the runs that tell causes apart will cost; those of a run that diverged make more updates than it did."""
    from study.report.figures.picture import count_of

    if not wanted:
        return "No runs are made to tell causes apart."
    made, each = command.pace(run)
    updates = max(made, config.trainer.max_updates or 0)
    anew = sum(one.anew for one in wanted)
    total = (len(wanted) - anew) * (updates - at) + WIDER * anew * math.ceil(updates / 4)
    wider = f", {count_of(anew, 'new run')} of a quarter of its updates at twice the width" if anew else ""
    return (
        f"To tell causes apart: {count_of(len(wanted) - anew, 'fork')} of {updates - at:,} updates{wider}: some "
        f"{total * each:.0f} s at most by the run's own pace, on one core."
    )


def _to_do(run: "Logged", named: "CauseTest | None", at: int, made: "Sequence[object]") -> tuple[str, str]:
    """The one command worth typing first."""
    from study.analysis.causes.forks import FORKABLE

    if named is None or not named.change:
        return "", ""
    if not made and at and named.change.startswith(FORKABLE):
        return about("fork", run.run_id, named.change, at=at), f"To test it ({named.effect})"
    return about(
        "reproduce", run.run_id, named.change
    ), f"The whole run again with the one change worth trying first ({named.effect})"


@interruptible
def main(arguments: list[str] | None = None) -> int:
    """Ask a run from the command line."""
    parser = command.parser("why", "Test what kept a finished run from more, cause by cause.")
    parser.add_argument("--no-forks", action="store_true", help="measure only; train no forks and no new run")
    given = parser.parse_args(arguments)

    def ask() -> "Finding":
        with code_folder(given.trust_code) as folder:
            return find_out(given.run, given.store, folder, not given.no_forks)

    return command.answered(given, ask)


if __name__ == "__main__":
    sys.exit(main())
