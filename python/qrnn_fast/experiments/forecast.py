"""Autonomous forecasts: models that run on their own predictions, and how long these hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qrnn_fast.experiments.baselines import left_out
from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.predictors import Predictor
from qrnn_fast.experiments.table import TextTable

LYAPUNOV_TIMES = 10  # of a forecast, where no number of steps is given and the system's exponent is known
STEPS = 500  # where it is not


@dataclass(frozen=True)
class Plan:
    """Which forecasts are made.

    Attributes:
        starts: the row of the last true row that each forecast has seen, (S,), int64.
        warm_up: number of true rows up to that one which the model reads, begun without memory.
        steps: number N of rows forecast behind it.
        threshold: an error from which on a forecast no longer holds.
    """

    starts: Tensor
    warm_up: int
    steps: int
    threshold: float


def make_plan(task: Task, warm_up: int, steps: int | None, n_starts: int, threshold: float) -> Plan:
    """Forecasts spread evenly over the validation rows; warm-up and forecasts lie wholly in them.

    Args:
        task: the task.
        warm_up: see `Plan`.
        steps: see `Plan`; None for `LYAPUNOV_TIMES`, or `STEPS` where the exponent is not known.
        n_starts: number S of forecasts; they may overlap.
        threshold: see `Plan`.

    Raises:
        ValueError: a number below 1, too few rows, or a task in which a column is observed and not predicted.
    """
    missing = [task.columns[column] for column in task.observe if column not in task.predict]
    if missing:
        raise ValueError(
            "a forecast feeds predictions back, so every observed column must be predicted, too; not predicted are "
            f"{', '.join(missing)}: train with --predict ':', say, for all columns"
        )
    if steps is None:
        steps = STEPS if task.lyapunov is None else math.ceil(LYAPUNOV_TIMES / task.lyapunov)
    for name, value in (("warm_up", warm_up), ("steps", steps), ("starts", n_starts)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not 0 < threshold < math.inf:
        raise ValueError(f"threshold must be a finite number above 0, got {threshold}")
    first, last = task.n_train + warm_up - 1, len(task.observed) - 1 - steps
    if last - first + 1 < n_starts:
        raise ValueError(
            f"{n_starts} forecasts of {steps} steps behind {warm_up} rows of warm-up take "
            f"{warm_up + steps + n_starts - 1} rows, and the validation part has {len(task.observed) - task.n_train}; "
            "ask for fewer steps or starts, or train on a longer record"
        )
    starts = torch.linspace(first, last, n_starts, dtype=torch.float64).round().to(torch.int64)
    return Plan(starts, warm_up, steps, threshold)


def closed_loop(predictor: Predictor, warm_up: Tensor, fed_back: Sequence[int], steps: int) -> Tensor:
    """Let a predictor run on its own predictions, all starts side by side.

    Args:
        predictor: what predicts.
        warm_up: true rows of the observed columns, (S, W, d), float64, scaled, oldest first.
        fed_back: place of each observed column among the predicted ones.
        steps: number N of predictions; the first one is of the row behind the warm-up.

    Returns:
        The predictions (S, N, k), float64, scaled.

    Raises:
        ValueError: the predictor reads more rows than the warm-up has.
    """
    lags = predictor.lags
    if lags > warm_up.shape[1]:
        raise ValueError(f"warm_up must be at least {lags}, the rows that a step reads; got {warm_up.shape[1]}")
    # (S, W - lags + 1, d, lags), oldest row first
    windows = warm_up.unfold(1, lags, 1).flip(-1).transpose(-1, -2)
    predicted, state = predictor.predict(windows.flatten(-2), None)
    rows, newest = windows[:, -1], predicted[:, -1]  # (S, lags, d), newest row first; (S, k)
    predictions = [newest]
    for _ in range(steps - 1):
        rows = torch.cat([newest[:, None, fed_back], rows[:, :-1]], dim=1)
        predicted, state = predictor.predict(rows.flatten(1)[:, None], state)
        newest = predicted[:, 0]
        predictions.append(newest)
    return torch.stack(predictions, dim=1)


def nrmse(predicted: Tensor, true: Tensor, deviation: Tensor) -> Tensor:
    """The error of Vlachas et al. (Neural Networks 126, 191, 2020: NRMSE).

    The root of the mean over the components of the squared error over the component's variance. With it, theirs is the
    valid prediction time, the time before the error first reaches 0.5.

    Args:
        predicted: (S, N, k).
        true: (S, N, k).
        deviation: standard deviation of each component over time, (k,).

    Returns:
        (S, N); not finite where the prediction is not.
    """
    return ((predicted - true) / deviation).square().mean(-1).sqrt()


def normalised_error(predicted: Tensor, true: Tensor, size: Tensor) -> Tensor:
    """The normalised error of Pathak et al. (Chaos 28, 041101, 2018, after Phys. Rev. Lett. 120, 024102, 2018).

    ``|u - v| / <|u|^2>^(1/2)`` with the Euclidean norm over the components, in the system's own units; their valid time
    ends at 0.4.

    Args:
        predicted: (S, N, k).
        true: (S, N, k).
        size: root of the mean over time of the true state's squared norm, ().

    Returns:
        (S, N); not finite where the prediction is not.
    """
    return (predicted - true).square().sum(-1).sqrt() / size


def valid_steps(errors: Tensor, threshold: float) -> Tensor:
    """Number of steps before the first one whose error is not below the threshold: (S, N) to (S,), int64."""
    return (errors < threshold).cumprod(1).sum(1)


@dataclass(frozen=True)
class Forecast:
    """The forecasts of one model.

    Attributes:
        predicted: in the system's own units, (S, N, k).
        nrmse: see `nrmse`, (S, N).
        normalised: see `normalised_error`, (S, N).
        threshold: of both.
    """

    predicted: Tensor
    nrmse: Tensor
    normalised: Tensor
    threshold: float

    @property
    def valid_steps(self) -> Tensor:
        """Steps before the NRMSE passes the threshold, (S,)."""
        return valid_steps(self.nrmse, self.threshold)

    @property
    def valid_steps_normalised(self) -> Tensor:
        """Steps before the normalised error passes it, (S,)."""
        return valid_steps(self.normalised, self.threshold)


def truth(task: Task, plan: Plan) -> Tensor:
    """What is forecast, in the system's own units, (S, N, k)."""
    return task.unscaled(task.predicted[plan.starts[:, None] + 1 + torch.arange(plan.steps)])


def make_forecasts(task: Task, plan: Plan, predictors: Mapping[str, Predictor]) -> dict[str, Forecast]:
    """Make the forecasts of every predictor and measure them.

    Errors are normalised by the training rows, so that nothing of the validation part enters a figure but the truth.

    Raises:
        ValueError: a predictor reads more rows than the warm-up has.
    """
    warm_up = task.observed[plan.starts[:, None] - plan.warm_up + 1 + torch.arange(plan.warm_up)]
    fed_back = [task.predict.index(column) for column in task.observe]
    true, known = truth(task, plan), task.unscaled(task.predicted[: task.n_train])
    deviation, size = known.std(0), known.square().sum(-1).mean().sqrt()
    forecasts = {}
    for name, predictor in predictors.items():
        predicted = task.unscaled(closed_loop(predictor, warm_up, fed_back, plan.steps))
        forecasts[name] = Forecast(
            predicted,
            nrmse(predicted, true, deviation),
            normalised_error(predicted, true, size),
            plan.threshold,
        )
    return forecasts


def forecast_table(task: Task, plan: Plan, forecasts: Mapping[str, Forecast]) -> TextTable:
    """Valid prediction times: mean and standard error over the starts, best and worst."""
    unit = 1.0 if task.lyapunov is None else task.lyapunov
    apart = float(plan.starts.diff().double().mean()) * unit  # nan of a single one
    name = "rows" if task.lyapunov is None else f"Lyapunov times of {1 / task.lyapunov:.1f} rows"
    table = TextTable(
        f"Valid prediction time in {name}: {len(plan.starts)} forecasts of {plan.steps} steps behind {plan.warm_up} "
        f"rows of warm-up, error below {plan.threshold:g}",
        ["model", "NRMSE: mean", "best", "worst", "valid to the end", "normalised error: mean", "best", "worst"],
        notes=left_out(task),
    )
    if task.lyapunov is not None and apart < 1:
        table.notes.append(
            f"The starts lie {apart:.2f} Lyapunov times apart, so that their errors are not independent and ±, the "
            "standard error over them, is too small; fewer starts or a longer record (train --rows) make it right."
        )
    table.sections.append(
        [
            [
                model,
                *_summary(found.valid_steps * unit),
                f"{int((found.valid_steps == plan.steps).sum())} of {len(plan.starts)}",
                *_summary(found.valid_steps_normalised * unit),
            ]
            for model, found in forecasts.items()
        ]
    )
    return table


def forecast_json(task: Task, plan: Plan, forecasts: Mapping[str, Forecast]) -> dict[str, Any]:
    """What was asked for, and the valid steps of every forecast."""
    return {
        "columns": task.predicted_names,
        "lyapunov_exponent_per_row": task.lyapunov,
        "warm_up": plan.warm_up,
        "steps": plan.steps,
        "threshold": plan.threshold,
        "starts": plan.starts.tolist(),
        "valid_steps": {
            model: {"nrmse": found.valid_steps.tolist(), "normalised": found.valid_steps_normalised.tolist()}
            for model, found in forecasts.items()
        },
    }


def _summary(times: Tensor) -> list[str]:
    times = times.double()
    error = f" ± {times.std() / math.sqrt(len(times)):.2f}" if len(times) > 1 else ""
    return [f"{times.mean():.2f}{error}", f"{times.max():.2f}", f"{times.min():.2f}"]
