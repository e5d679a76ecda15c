"""The comparison of gradient methods on the Lorenz task."""

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
from qrnn_fast.experiments.settings import GRADIENTS, Settings
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


def plan(
    *,
    methods: Sequence[str] | None = None,
    shots: int | None = None,
    noise: str | None = None,
    seed: int = 0,
    seeds: int | None = None,
    threads: int | None = None,
    updates: int | None = None,
) -> list[Entry]:
    """The entries of the comparison.

    The methods train the same network (context 1) on the same windows, those of the study (T = 20, washout 5), each
    with a batch and a number of updates that take it seconds where probabilities are exact. Where all of them do so
    without noise, further entries show what exact gradients reach with context 3, and that windows much longer than the
    network's memory bring the long run's error down to the windowed one; and errors are held against baselines.

    Args:
        methods: some of `GRADIENTS`; None for all.
        shots: samples per circuit evaluation, None for exact probabilities; see `Settings`.
        noise: noise of the circuit, None for none; see `Settings`.
        seed: the first seed.
        seeds: number of seeds; None for 5 of the adjoint, which is cheap, and one of the others.
        threads: CPU threads; None for one where batches are small, PyTorch's choice elsewhere.
        updates: stops every run after this many updates.

    Raises:
        ValueError: an unknown method, one given twice or none, a number too small, or noise of another form.
    """
    chosen = GRADIENTS if methods is None else tuple(methods)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(GRADIENTS):
        raise ValueError(f"methods must be some of {', '.join(GRADIENTS)}, each once; got {', '.join(chosen)!r}")
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    of_adjoint, of_others = (5, 1) if seeds is None else (seeds, seeds)
    if updates is not None and updates < 2:
        raise ValueError(f"updates must be at least 2, for a loss to fall; got {updates}")
    # Small batches gain next to nothing from a second thread, and on a busy machine its waiting costs them dearly.
    small = Settings(
        dtype="float32",
        schedule="one-cycle",
        lr=0.05,
        shots=shots,
        noise=noise,
        seed=seed,
        threads=threads or 1,
        updates=updates,
    )
    large = dataclasses.replace(small, threads=threads)
    shift_updates = 100 if updates is None else min(100, updates)
    trained = {
        "adjoint": small,
        "spsa": dataclasses.replace(small, gradient="spsa", epochs=30),
        "fdsa": dataclasses.replace(large, gradient="fdsa", epochs=5),
        "parameter-shift": dataclasses.replace(large, gradient="parameter-shift", batch_size=8, updates=shift_updates),
    }
    all_of_them = methods is None and shots is None and noise is None
    entries = [
        Entry(
            method,
            settings,
            CUBIC if method == "adjoint" and all_of_them else None,
            of_adjoint if method == "adjoint" else of_others,
        )
        for method, settings in trained.items()
        if method in chosen
    ]
    if not all_of_them:
        return entries
    context_3 = dataclasses.replace(small, context=3, batch_size=16, epochs=100, lr=0.1, validate_every=10)
    long_windows = dataclasses.replace(context_3, steps=200, washout=60, stride=20, epochs=80, lr=0.05)
    return [
        *entries,
        Entry("adjoint, context 3", context_3, QUADRATIC_3, of_adjoint),
        Entry("adjoint, context 3, long windows", long_windows),
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
