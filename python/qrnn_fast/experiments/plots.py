"""The plots of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qrnn_fast.experiments.evaluate import predict
from qrnn_fast.experiments.outcomes import Outcome
from qrnn_fast.experiments.train import Trainer

_LONG_RUN_STEPS_SHOWN = 500
_POINTS_SHOWN = 2000
_COLUMNS_SHOWN = 3


def training_curves(outcomes: Sequence[Outcome], path: Path) -> None:
    """Loss of every run, smoothed, over updates and over circuit evaluations."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    by_update, by_evaluation = figure.subplots(1, 2, sharey=True)
    for outcome in outcomes:
        updates = outcome.first.updates
        losses = np.array([line["loss"] for line in updates])
        width = max(1, len(losses) // 50)
        smooth = moving_mean(losses, width)
        evaluations = np.array([line["evaluations"] for line in updates])
        by_update.plot(np.arange(len(smooth)) + width, smooth, label=outcome.label)
        by_evaluation.plot(evaluations[width - 1 :], smooth, label=outcome.label)
    by_update.set(xlabel="update", ylabel="loss (moving mean)", xscale="log", yscale="log")
    by_evaluation.set(xlabel="circuit evaluations (adjoint: forward passes only)", xscale="log")
    by_update.legend()
    figure.savefig(path, dpi=120)


def predictions(trained: Mapping[str, Trainer], path: Path) -> None:
    """Predicted against true values: scatter over the validation windows, and the beginning of the long run.

    Args:
        trained: runs of one task at their ends, by name.
        path: the picture.
    """
    names = next(iter(trained.values())).task.predicted_names
    shown = names[:_COLUMNS_SHOWN]
    figure = Figure(figsize=(5.5 * len(shown) * 2, 4.0 * len(trained)), layout="constrained")
    axes = figure.subplots(len(trained), 2 * len(shown), squeeze=False)
    for (label, trainer), row in zip(trained.items(), axes, strict=True):
        task, model = trainer.task, trainer.model
        windows, long_run = task.windowed, task.long_run
        predicted = predict(model, task, windows)[:, windows.washout :].reshape(-1, len(names)).numpy()
        true = task.targets(windows.rows())[:, windows.washout :].reshape(-1, len(names)).numpy()
        every = max(1, len(true) // _POINTS_SHOWN)
        long_predicted = predict(model, task, long_run)[0, :_LONG_RUN_STEPS_SHOWN].numpy()
        long_true = task.targets(long_run.rows())[0, :_LONG_RUN_STEPS_SHOWN].numpy()
        for i, name in enumerate(shown):
            scatter, series = row[2 * i : 2 * i + 2]
            scatter.plot([0, 1], [0, 1], color="0.6", linewidth=1)
            scatter.plot(true[::every, i], predicted[::every, i], ".", markersize=2)
            scatter.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title=f"{label}: windows")
            series.plot(long_true[:, i], color="0.6", label="true")
            series.plot(long_predicted[:, i], linewidth=1, label="predicted")
            series.set(xlabel="step of the long run", ylabel=name, title=f"{label}: long run")
            series.legend()
    figure.savefig(path, dpi=100)


def seconds_per_update(outcomes: Sequence[Outcome], path: Path) -> None:
    """Mean time of an update of every run."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([o.label for o in outcomes], [1e3 * o.first.seconds_per_update for o in outcomes])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set(xlabel="milliseconds per update", xscale="log")
    axes.margins(x=0.15)
    axes.invert_yaxis()
    figure.savefig(path, dpi=120)


def moving_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Means over `width` neighbours along the last axis, (..., n - width + 1)."""
    sums = np.cumsum(np.insert(values, 0, 0.0, axis=-1), axis=-1)
    means: NDArray[np.float64] = (sums[..., width:] - sums[..., :-width]) / width
    return means
