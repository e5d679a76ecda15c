"""Plain regressions to measure a network against, fitted to the same training rows."""

from __future__ import annotations

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
    """Least squares on all monomials, up to a degree, of the observed column at the last rows.

    Attributes:
        lags: number of rows read: t, t-1, ..., t-lags+1.
        degree: highest total degree; 0 is the training mean.
    """

    lags: int
    degree: int

    def features(self, observed: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The monomials at `rows` (n,): (n, number of monomials). Rows below ``lags - 1`` have no such past."""
        past = observed[rows[:, None] - np.arange(self.lags)]
        columns = [np.ones(len(rows))]
        for degree in range(1, self.degree + 1):
            for factors in combinations_with_replacement(range(self.lags), degree):
                columns.append(past[:, list(factors)].prod(axis=1))
        return np.stack(columns, axis=1)

    def fit(self, task: Task) -> NDArray[np.float64]:
        """The weights (monomials, k) fitted to all training rows.

        Raises:
            ValueError: too few training rows.
        """
        rows = np.arange(self.lags - 1, task.n_train - 1)
        if not len(rows):
            raise ValueError(f"a baseline of {self.lags} lags takes {self.lags + 1} training rows, got {task.n_train}")
        observed, others = task.observed.numpy(), task.others.numpy()
        weights: NDArray[np.float64] = np.linalg.lstsq(self.features(observed, rows), others[rows + 1], rcond=None)[0]
        return weights

    def errors(self, task: Task, protocols: Mapping[str, Windows]) -> dict[str, Errors]:
        """Fit to the training rows and measure on the very targets of the protocols.

        A prediction near the start of the validation part may read observed values of the training part: they lie in
        its past. Steps in the first ``lags - 1`` rows of the record have no such past and are left out.
        """
        weights = self.fit(task)
        observed = task.observed.numpy()
        result = {}
        for name, windows in protocols.items():
            rows = windows.scored_rows
            rows = rows[rows >= self.lags - 1]
            predicted = torch.from_numpy(self.features(observed, rows.numpy()) @ weights)
            result[name] = Errors.of(predicted, task.others[rows + 1])
        return result


CUBIC = "cubic in X(t)"
QUADRATIC_3 = "quadratic in 3 lags"
BASELINES = {
    "training mean": Polynomial(lags=1, degree=0),
    CUBIC: Polynomial(lags=1, degree=3),
    "linear in 3 lags": Polynomial(lags=3, degree=1),
    QUADRATIC_3: Polynomial(lags=3, degree=2),
    "quadratic in 20 lags": Polynomial(lags=20, degree=2),
}
