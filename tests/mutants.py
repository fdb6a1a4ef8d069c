"""`python -m tests.mutants`: break the code on purpose, one place at a time, and see that something notices.

A mutant is one wrong line. Each is put into a copy of the tree in a temporary folder, never into the tree itself, and
the one command named beside it is run there: `verify` (`python -m study.verify`, whose claim is every measure) or a
file of tests. It is killed if that command fails. A mutant that survives is a claim that nothing checks. The table is
printed as Markdown. The exit code is 1 if one survives, or its command fails unbroken.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LEFT = (".git", ".venv", ".data", "__pycache__", "outputs", "mlruns", "*.db", "*_cache")
"""Not copied: what no command needs, or only reads (`.data`, which the copy links to)."""
VERIFY = "verify"
KILLED, SURVIVES, USELESS = "", ": **survives**", ": **fails unbroken, so says nothing**"
HEAD = """# Mutants

Wrong lines put into the code on purpose, and what notices them. Written by `make mutants > docs/mutants.md`, which runs
each in a copy of the tree, in 8 minutes on two cores.

"""


class Mutant(NamedTuple):
    """One wrong line.

    Attributes:
        what: the mistake, in words.
        file: relative to the root.
        old: a text that stands in the file once.
        new: the mistake.
        by: what must fail: `verify`, or a file of tests.
    """

    what: str
    file: str
    old: str
    new: str
    by: str


FLOW, BPTT, CLIP = "study/probes/flow.py", "study/learning/bptt/truncated.py", "study/learning/clipping/norm.py"
LYAPUNOV, SHARP, SENSE = "study/probes/lyapunov.py", "study/probes/sharpness.py", "study/probes/sensitivity.py"
EXPONENTS, JUDGE = "study/learning/exponents.py", "study/analysis/diagnosis"

MUTANTS: Sequence[Mutant] = (
    # Measures: `make verify` alone must notice.
    Mutant(
        "h instead of c as the memory of an LSTM", FLOW,
        "self.log_norms[:, :, self.parts.index(self.memory_part)]", "self.log_norms[:, :, 0]", VERIFY,
    ),
    Mutant(
        "root of the mean square instead of the mean of norms", FLOW,
        "return _log_sum(self.log_norms) - math.log(self.log_norms.shape[1])",
        "return 0.5 * (_log_sum(2 * self.log_norms) - math.log(self.log_norms.shape[1]))", VERIFY,
    ),
    Mutant(
        "mean of logs instead of log of the mean", FLOW,
        "return _log_sum(self.log_norms) - math.log(self.log_norms.shape[1])", "return self.log_norms.mean(1)", VERIFY,
    ),
    Mutant("decay fitted from lag 0", FLOW, "np.arange(min(FROM, last // 2), last + 1)", "np.arange(last + 1)", VERIFY),
    Mutant(
        "memory of the top layer only", FLOW,
        "self.log_norms[:, :, self.parts.index(self.memory_part)]",
        "self.log_norms[:, -1:, self.parts.index(self.memory_part)]", VERIFY,
    ),
    Mutant(
        "joint flow of the top layer only", FLOW,
        "self.log_norms.reshape(lags, layers * parts, samples)", "self.log_norms[:, -1]", VERIFY,
    ),
    Mutant(
        "parts of the truncation bias weighted alike", "study/probes/truncation.py",
        "(weights / weights.sum()).to(gradients)", "torch.full_like(weights, 1 / len(weights)).to(gradients)", VERIFY,
    ),
    Mutant(
        "updates of a sequence normalised by window", BPTT,
        "self._descend(part, outputs, batch) for", "self._descend(part, outputs, part) for", VERIFY,
    ),
    Mutant(
        "state at a window's end instead of its boundary", BPTT,
        "rest, _ = self._read(batch.between(boundary, window.stop), kept)",
        "rest, kept = self._read(batch.between(boundary, window.stop), kept)", VERIFY,
    ),
    Mutant(
        "per-parameter norms after clipping", "study/learning/clipping/contract.py",
        "return Clipped(before, total, self.left(before, total, scale), records)",
        "return Clipped(norms(gradients), total, self.left(before, total, scale), records)", VERIFY,
    ),
    Mutant(
        "value clip without its lower bound", "study/learning/clipping/value.py",
        "        torch._foreach_clamp_min_(gradients, -self.threshold)\n", "", VERIFY,
    ),
    Mutant("one-sided tanh", "study/probes/saturation.py", '"tanh": x.abs() > HIGH', '"tanh": x > HIGH', VERIFY),
    Mutant("one-sided gates", "study/probes/saturation.py", '(x < LOW) | (x > HIGH)', '(x > HIGH)', VERIFY),
    Mutant(
        "torch's 1e-6 in the norm clip", CLIP, "(self.threshold / total)", "(self.threshold / (total + 1e-6))", VERIFY,
    ),
    Mutant(
        "the carry not cut off from its graph", BPTT,
        "state = detach(left)", "state = left", "tests/test_bptt.py",
    ),
    Mutant(
        "padding counted by the loss", "study/learning/losses/contract.py",
        "return values.sum() if mask is None else torch.where(mask, values, 0.0).sum()", "return values.sum()", VERIFY,
    ),
    Mutant(
        "every gradient divided by its own norm", "study/learning/losses/contract.py",
        "if self.initial_norm is None:\n            norm", "if True:\n            norm", "tests/test_losses_members.py",
    ),
    Mutant(
        "best sequence by the sum over all", "study/learning/losses/crf.py",
        "_forward(scores, mask, torch.amax) + ", "_forward(scores, mask, torch.logsumexp) + ",
        "tests/test_losses_crf.py",
    ),
    Mutant(
        "padding read by the probes' reverse core", "study/probes/gradients.py",
        "stretch.entry, stretch.steps.mask)", "stretch.entry)", "tests/test_losses_crf.py",
    ),
    Mutant("exponents without sorting", EXPONENTS, ".sort(-1, descending=True).values", "", VERIFY),
    Mutant(
        "Jacobians forwards instead of backwards in time", EXPONENTS,
        "for t in reversed(range(transient, steps)):", "for t in range(transient, steps):", VERIFY,
    ),
    Mutant(
        "near zero at twice the horizon's rate", LYAPUNOV, "<= 1 / self.horizon", "<= 2 / self.horizon", VERIFY,
    ),
    Mutant(
        "Kaplan-Yorke dimension by the exponent before", LYAPUNOV,
        "abs(exponents[whole]))", "abs(exponents[whole - 1]))", VERIFY,
    ),
    Mutant(
        "condition number a step instead of over all", LYAPUNOV,
        "(self.exponents[0] - self.exponents[-1]) * self.steps", "self.exponents[0] - self.exponents[-1]", VERIFY,
    ),
    Mutant(
        "sensitivity of norms instead of their squares", SENSE,
        "torch.stack(tangents).square().sum(-1)", "torch.stack(tangents).norm(dim=-1)", VERIFY,
    ),
    Mutant(
        "sensitivity of h instead of the memory", SENSE,
        "core.state_parts.index(core.memory)", "0", VERIFY,
    ),
    Mutant("the longest eigenvalue instead of the largest", SHARP, "float(values[-1])", "float(values.abs().max())",
           "tests/test_probes_conditioning.py"),
    Mutant(
        "Adam's scale without its bias correction", SHARP,
        ' / (1 - second ** float(state["step"]))', "", VERIFY,
    ),
    Mutant("one eigenvalue of Lanczos short", SHARP, "range(min(iterations, size))", "range(min(3, size))", VERIFY),
    Mutant("near part one lag too long", "study/probes/alignment.py",
           "gradient(model, loss, batch, 1, split)", "gradient(model, loss, batch, 1, split + 1)", VERIFY),
    # Everything else: the tests.
    Mutant(
        "memory of the top layer only", FLOW,
        "self.log_norms[:, :, self.parts.index(self.memory_part)]",
        "self.log_norms[:, -1:, self.parts.index(self.memory_part)]", "tests/test_probes_flow.py",
    ),
    Mutant(
        "joint flow of the top layer only", FLOW,
        "self.log_norms.reshape(lags, layers * parts, samples)", "self.log_norms[:, -1]", "tests/test_probes_flow.py",
    ),
    Mutant(
        "torch's 1e-6 in the norm clip", CLIP, "(self.threshold / total)", "(self.threshold / (total + 1e-6))",
        "tests/test_clipping.py",
    ),
    Mutant(
        "validation without the carried state", "study/learning/evaluation.py",
        "self._state = state if self._stateful else None", "self._state = None", "tests/test_evaluation.py",
    ),
    Mutant(
        "validation not informed that the state is carried", "study/training/validation.py",
        "self.task.metrics(), chunks.batches.stateful)", "self.task.metrics(), False)", "tests/test_module.py",
    ),
    Mutant(
        "differences paired by row instead of by seed", "study/report/data/comparison.py",
        'runs.pivot(index="arm", columns="seed", values="behind")',
        'runs.assign(row=runs.groupby("arm").cumcount()).pivot(index="arm", columns="row", values="behind")',
        "tests/test_report.py",
    ),
    # The diagnosis: the tests of its rules.
    Mutant(
        "ruined although the network beats the guess", f"{JUDGE}/outcome.py",
        "    if not beats_the_guess(standing):", "    if was_ruined(facts.course) or not beats_the_guess(standing):",
        "tests/test_diagnosis.py",
    ),
    Mutant(
        "a leap of the loss overlooked", f"{JUDGE}/outcome.py",
        "lasting_leap(course.losses) is not None or relapse", "relapse", "tests/test_diagnosis.py",
    ),
    Mutant(
        "one bad window taken for a ruin", f"{JUDGE}/outcome.py",
        "if min(len(before), len(after)) < LEAST:", "if True:", "tests/test_diagnosis.py",
    ),
    Mutant(
        "the rate of a measured step overlooked", f"{JUDGE}/outcome.py",
        "if rates is None or not number", "if True or not number", "tests/test_diagnosis.py",
    ),
    Mutant(
        "vanishing at a horizon that somebody guessed", f"{JUDGE}/over_lag.py",
        'if setup.horizon_known:\n        return OverLag("van', 'if True:\n        return OverLag("van',
        "tests/test_diagnosis.py",
    ),
    Mutant(
        "a solved task whose gradient is gone called ill", f"{JUDGE}/over_lag.py",
        "or _at_horizon(setup, flow, solved)", "or _at_horizon(setup, flow, False)", "tests/test_diagnosis.py",
    ),
    Mutant(
        "exploding beyond the reach of k2", f"{JUDGE}/over_lag.py",
        "within = [k for k in clear if k <= reach]", "within = clear", "tests/test_diagnosis.py",
    ),
    Mutant(
        "memory that loses nothing called short", f"{JUDGE}/over_lag.py",
        "CONFIDENCE * memory.decay_error) * horizon < KEPT", "CONFIDENCE * memory.decay_error) * horizon < 0",
        "tests/test_diagnosis.py",
    ),
    Mutant(
        "a ruined run judged by what the ruin left", f"{JUDGE}/judge.py",
        "    before = before_the_ruin(facts, happened)", "    before = facts.probed", "tests/test_diagnosis.py",
    ),
)  # fmt: skip


def main() -> None:
    """Run all mutants, or those whose words or file hold a text, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="", help="only mutants that have it in their words or file")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if options.text in m.what or options.text in m.file]
    commands = sorted({mutant.by for mutant in chosen})
    with ThreadPoolExecutor(options.jobs) as pool:
        useless = {by for by, fails in zip(commands, pool.map(_fails, commands), strict=True) if fails}
        verdicts = list(pool.map(lambda mutant: USELESS if mutant.by in useless else _verdict(mutant), chosen))
    print("\n".join(table(chosen, verdicts)))
    sys.exit(0 if set(verdicts) == {KILLED} else 1)


def table(mutants: Sequence[Mutant], verdicts: Sequence[str]) -> Iterator[str]:
    """The page of the documentation, line by line."""
    yield HEAD + f"{verdicts.count(KILLED)} of {len(mutants)} killed.\n"
    yield "| mutant | in | killed by |\n|---|---|---|"
    for mutant, verdict in zip(mutants, verdicts, strict=True):
        command = "`make verify`" if mutant.by == VERIFY else f"`{mutant.by}`"
        yield f"| {mutant.what} | `{mutant.file}` | {command}{verdict} |"


def _verdict(mutant: Mutant) -> str:
    return KILLED if _fails(mutant.by, mutant) else SURVIVES


def _fails(by: str, mutant: Mutant | None = None) -> bool:
    """Whether a command fails in a copy of the tree, broken by a mutant or not."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT), dirs_exist_ok=True)
        (copy / ".data").symlink_to(ROOT / ".data")
        if mutant is not None:
            break_(copy / mutant.file, mutant)
        command = ["-m", "study.verify"] if by == VERIFY else ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", by]
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, *command], cwd=copy, env=environment, capture_output=True, check=False)
    print(f"{by}, {mutant.what if mutant else 'unbroken'}: exit code {done.returncode}", file=sys.stderr)
    return done.returncode != 0


def break_(file: Path, mutant: Mutant) -> None:
    """Put the mistake into a file.

    Raises:
        ValueError: the text does not stand there once.
    """
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.what}: {mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))


if __name__ == "__main__":
    main()
