"""The plot of an autonomous forecast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.forecast import Forecast, Plan, truth

_SERIES = 8  # the most columns that are drawn as a series each; more of them make a picture
_ERRORS = (1e-5, 1e1)  # that are drawn


def forecast_plot(task: Task, plan: Plan, forecasts: Mapping[str, Forecast], path: Path) -> None:
    """Draw the first model's forecast of median length, true, predicted and their difference, and all models' errors.

    Args:
        task: the task.
        plan: which forecasts were made.
        forecasts: by model.
        path: of the picture.
    """
    model, first = next(iter(forecasts.items()))
    shown = int(first.valid_steps.argsort(stable=True)[(len(plan.starts) - 1) // 2])
    unit = 1.0 if task.lyapunov is None else task.lyapunov
    times = unit * np.arange(1, plan.steps + 1, dtype=np.float64)
    true, predicted = truth(task, plan)[shown].numpy(), first.predicted[shown].numpy()
    valid = unit * int(first.valid_steps[shown])
    n_panels = len(task.predict) if len(task.predict) <= _SERIES else 3
    figure = Figure(figsize=(10, 2 * n_panels + 3), layout="constrained")
    *panels, errors = figure.subplots(n_panels + 1, 1, sharex=True, height_ratios=[2] * n_panels + [3])
    if n_panels == len(task.predict):
        _series(panels, task.predicted_names, times, true, predicted)
    else:
        _pictures(figure, panels, times, true, predicted)
    panels[0].set_title(f"{model}: the forecast of median length, {valid:.2f} of {times[-1]:.2f}")
    for axes in (*panels, errors):
        axes.axvline(valid, color="0.4", linewidth=1, linestyle=":")
    for name, found in forecasts.items():
        errors.plot(times, _median(found.nrmse), label=name)
    errors.axhline(plan.threshold, color="0.4", linewidth=1, linestyle=":")
    errors.set(
        xlabel="row of the forecast" if task.lyapunov is None else "Lyapunov times",
        ylabel="NRMSE, median",
        yscale="log",
        ylim=_ERRORS,
        xlim=(0, times[-1]),
    )
    errors.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def _median(errors: Tensor) -> NDArray[np.float64]:
    """The median over the starts, (N,), within what can be drawn."""
    median: NDArray[np.float64] = errors.nan_to_num(nan=np.inf).median(0).values.clamp(*_ERRORS).numpy()
    return median


def _series(
    panels: list[Axes],
    names: tuple[str, ...],
    times: NDArray[np.float64],
    true: NDArray[np.float64],
    predicted: NDArray[np.float64],
) -> None:
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        low, high = true[:, i].min(), true[:, i].max()
        bounds = min(low, low - high), max(high, high - low)
        axes.plot(times, true[:, i], color="0.6", label="true")
        axes.plot(times, predicted[:, i].clip(*bounds), linewidth=1, label="predicted")
        axes.plot(times, (predicted[:, i] - true[:, i]).clip(*bounds), linewidth=0.8, label="difference")
        axes.set(ylabel=name, ylim=bounds)
    panels[0].legend(fontsize="small", ncols=3)


def _pictures(
    figure: Figure,
    panels: list[Axes],
    times: NDArray[np.float64],
    true: NDArray[np.float64],
    predicted: NDArray[np.float64],
) -> None:
    largest = np.abs(true).max()
    for axes, name, values in zip(
        panels, ("true", "predicted", "difference"), (true, predicted, predicted - true), strict=True
    ):
        picture = axes.imshow(
            values.T,
            extent=(0, times[-1], len(values.T), 0),
            aspect="auto",
            cmap="RdBu_r",
            vmin=-largest,
            vmax=largest,
            interpolation="nearest",
        )
        axes.set_ylabel(f"{name}, column")
    figure.colorbar(picture, ax=panels, aspect=40)
