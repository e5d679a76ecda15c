"""The comparison of the four gradient methods on the Lorenz task."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from qrnn_fast.experiments import runs
from qrnn_fast.experiments.baselines import CUBIC, QUADRATIC_3
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.outcomes import Outcome, Run, checks
from qrnn_fast.experiments.progress import TrainingProgress
from qrnn_fast.experiments.report import comparison_table, write_report
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import UPDATES


@dataclass(frozen=True)
class Entry:
    """What is to be trained.

    Attributes:
        label: its name.
        settings: of the run with the first seed.
        bar: the baseline that its windowed error must not exceed; None asks for nothing.
        seeds: number of seeds, from ``settings.seed`` on.
    """

    label: str
    settings: Settings
    bar: str | None = None
    seeds: int = 1


def plan(*, seed: int = 0, seeds: int = 5, threads: int | None = None, max_updates: int | None = None) -> list[Entry]:
    """The entries of the comparison.

    The four methods train the same network (context 1) on the same windows, with settings that suit each; further
    entries show what exact gradients reach with context 3. Exact gradients are cheap enough for several seeds.

    Args:
        seed: the first seed.
        seeds: number of seeds of the entries trained by the adjoint.
        threads: CPU threads; None for PyTorch's choice.
        max_updates: stops every run after this many updates.

    Raises:
        ValueError: `seeds` or `max_updates` below 1.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    common = Settings(dtype="float32", schedule="one-cycle", seed=seed, threads=threads, updates=max_updates)
    return [
        Entry("adjoint", dataclasses.replace(common, epochs=10, lr=0.05), CUBIC, seeds),
        Entry("spsa", dataclasses.replace(common, gradient="spsa", epochs=10, lr=0.02)),
        Entry("fdsa", dataclasses.replace(common, gradient="fdsa", epochs=4, lr=0.05)),
        Entry("parameter-shift", dataclasses.replace(common, gradient="parameter-shift", epochs=1, lr=0.05)),
        Entry(
            "adjoint, context 3",
            dataclasses.replace(common, context=3, batch_size=16, epochs=60, lr=0.05, validate_every=5),
            QUADRATIC_3,
            seeds,
        ),
    ]


def compare(entries: Sequence[Entry], out: Path, console: Console) -> bool:
    """Train every entry, print the table and the checks, and write the report.

    Args:
        entries: what is to be trained.
        out: a new or empty folder.
        console: where to print.

    Returns:
        Whether all checks hold.

    Raises:
        ValueError: the folder is not empty.
    """
    runs.require_empty(out)
    outcomes = [_train(entry, out, console) for entry in entries]
    found = checks(outcomes)
    write_report(out, outcomes, found)
    console.print(comparison_table(outcomes).rich())
    for check in found:
        console.print(f"{'pass' if check.passed else 'FAIL'}  {check.statement}", highlight=False)
    console.print(f"report: {out / 'report.md'}", highlight=False)
    return all(check.passed for check in found)


def _train(entry: Entry, out: Path, console: Console) -> Outcome:
    name = entry.label.replace(",", "").replace(" ", "-")
    finished = []
    for seed in range(entry.settings.seed, entry.settings.seed + entry.seeds):
        trainer = runs.begin(dataclasses.replace(entry.settings, seed=seed), out / "runs" / f"{name}-seed-{seed}")
        label = entry.label if entry.seeds == 1 else f"{entry.label}, seed {seed}"
        with TrainingProgress(console, label, trainer.total_updates) as progress:
            trainer.run(progress)
        finished.append(Run(trainer, runs.finish(trainer), read_lines(trainer.folder / UPDATES)))
    return Outcome(entry.label, entry.bar, tuple(finished))
