"""Plain regressions to measure a network against, fitted to the same training rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from numpy.typing import NDArray

from qrnn_fast.experiments.data import Task, Windows
from qrnn_fast.experiments.errors import Errors


@dataclass(frozen=True)
class Polynomial:
    """Least squares on all monomials, up to a degree, of the observed columns at the last rows.

    Attributes:
        lags: number of rows read: t, t-1, ..., t-lags+1.
        degree: highest total degree; 0 is the training mean.
    """

    lags: int
    degree: int

    def n_monomials(self, n_observed: int) -> int:
        """Number of monomials, the constant included, of so many observed columns."""
        return math.comb(self.lags * n_observed + self.degree, self.degree)

    def features(self, observed: NDArray[np.float64]) -> NDArray[np.float64]:
        """The monomials of observed columns (rows, d) at every row from ``lags - 1`` on.

        Returns:
            Array (rows - lags + 1, number of monomials).
        """
        n = len(observed) - self.lags + 1
        return self.monomials(np.hstack([observed[self.lags - 1 - lag :][:n] for lag in range(self.lags)]))

    def monomials(self, past: NDArray[np.float64]) -> NDArray[np.float64]:
        """The monomials of what steps read (n, lags x d), newest row first: (n, number of monomials)."""
        one_and_past = np.hstack([np.ones((len(past), 1)), past])
        factors = np.array(list(combinations_with_replacement(range(one_and_past.shape[1]), self.degree)))
        out = np.ones((len(past), len(factors)))
        for factor in factors.T:
            out *= one_and_past[:, factor]
        return out

    def fit(self, task: Task) -> NDArray[np.float64]:
        """The weights (monomials, k) fitted to all training rows.

        Raises:
            ValueError: too few training rows.
        """
        if task.n_train <= self.lags:
            raise ValueError(f"a baseline of {self.lags} lags takes {self.lags + 1} training rows, got {task.n_train}")
        # The last training row is a target only.
        inputs, targets = task.observed[: task.n_train - 1].numpy(), task.predicted[self.lags : task.n_train].numpy()
        weights: NDArray[np.float64] = np.linalg.lstsq(self.features(inputs), targets, rcond=None)[0]
        return weights

    def errors(self, task: Task, protocols: Mapping[str, Windows]) -> dict[str, Errors]:
        """Fit to the training rows and measure on the very targets of the protocols.

        A prediction near the start of the validation part may read observed values of the training part: they lie in
        its past. Steps in the first ``lags - 1`` rows of the record have no such past and are left out.
        """
        predicted = torch.from_numpy(self.features(task.observed.numpy()) @ self.fit(task))
        result = {}
        for name, windows in protocols.items():
            rows = windows.scored_rows
            rows = rows[rows >= self.lags - 1]
            result[name] = Errors.of(predicted[rows - (self.lags - 1)], task.predicted[rows + 1])
        return result


CUBIC = "cubic, no memory"
QUADRATIC_3 = "quadratic in 3 lags"
BASELINES = {
    "training mean": Polynomial(lags=1, degree=0),
    CUBIC: Polynomial(lags=1, degree=3),
    "linear in 3 lags": Polynomial(lags=3, degree=1),
    QUADRATIC_3: Polynomial(lags=3, degree=2),
    "quadratic in 20 lags": Polynomial(lags=20, degree=2),
}


def fits(baseline: Polynomial, task: Task) -> bool:
    """Whether a baseline has at most a third as many monomials as there are training rows."""
    return 3 * baseline.n_monomials(len(task.observe)) <= task.n_train


def left_out(task: Task) -> list[str]:
    """A sentence on each baseline that does not fit a task."""
    return [
        f"{name}: left out, its {baseline.n_monomials(len(task.observe)):,} monomials are more than a third of the "
        f"{task.n_train:,} training rows"
        for name, baseline in BASELINES.items()
        if not fits(baseline, task)
    ]
