"""The search for a member's learning rate: by the training error, with a seed of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from qrnn_fast.experiments.study.plan import Plan
from qrnn_fast.experiments.study.workflow import Job, Workflow

# Learning rates are 1, 3, 10, 30, ... times a power of ten, counted in half decades: number 0 is 1.
GRID = (-5, -4, -3, -2)  # 0.003, 0.01, 0.03, 0.1
LIMITS = (-12, 4)  # 1e-6 to 100
RANGE = (1e-4, 1.0)  # of "optuna"
AT_RANDOM = 4  # trials of "optuna" before it looks at their errors; Optuna's own 10 are more than a study has


@dataclass(frozen=True)
class Trial:
    """A learning rate that was tried.

    Attributes:
        lr: the learning rate.
        error: the training error at the end; infinite where the run diverged.
    """

    lr: float
    error: float


# Maps learning rates to the trials of them.
Try = Callable[[Sequence[float]], Generator[Sequence[Job], None, list[Trial]]]


def search(plan: Plan, attempt: Try) -> Workflow[list[Trial]]:
    """All trials, in the order in which they were made, by the plan's tuner."""
    return _optuna(plan, attempt) if plan.tuner == "optuna" else _grid(attempt)


def require(plan: Plan) -> None:
    """Refuse a tuner that is not there.

    Raises:
        ImportError: Optuna is not installed.
    """
    if plan.tuner == "optuna":
        _import_optuna()


def best(trials: Sequence[Trial]) -> Trial:
    """The trial of the least error, of the least learning rate where there are several."""
    return min(trials, key=lambda trial: (trial.error, trial.lr))


def at_edge(trials: Sequence[Trial]) -> bool:
    """Whether the best trial has no trial on one of its sides, so that a better one may lie there."""
    lr = best(trials).lr
    return lr in (min(t.lr for t in trials), max(t.lr for t in trials))


def half_decade(number: int) -> float:
    """Learning rate of this number."""
    exponent, three = divmod(number, 2)
    return float(f"{3 if three else 1}e{exponent}")


def _grid(attempt: Try) -> Workflow[list[Trial]]:
    """Four half decades, and further ones on the side on which the best is the last."""
    first, last = GRID[0], GRID[-1]
    trials = yield from attempt([half_decade(number) for number in GRID])
    while True:
        lr = best(trials).lr
        if lr == half_decade(first) and first > LIMITS[0]:
            first = number = first - 1
        elif lr == half_decade(last) and last < LIMITS[1]:
            last = number = last + 1
        else:
            return trials
        trials += yield from attempt([half_decade(number)])


def _optuna(plan: Plan, attempt: Try) -> Workflow[list[Trial]]:
    """The tree-structured Parzen estimator of Optuna, one trial after the other, so that the seed decides them."""
    optuna = _import_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=AT_RANDOM, seed=plan.base.seed))
    trials: list[Trial] = []
    for _ in range(plan.trials):
        asked = study.ask()
        (trial,) = yield from attempt([asked.suggest_float("lr", *RANGE, log=True)])
        if math.isfinite(trial.error):
            study.tell(asked, trial.error)
        else:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        trials.append(trial)
    return trials


def _import_optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ImportError(
            "tuner 'optuna' needs Optuna, which is not installed: pip install 'qrnn_fast[optuna]'"
        ) from error
    return optuna
