"""What can predict one row ahead, step by step, and so run on its own predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.experiments.baselines import BASELINES, Polynomial, Reservoir, fits
from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.model import Forecaster


class Predictor(Protocol):
    """Predicts one row ahead from the last rows and a state of its own."""

    @property
    def lags(self) -> int:
        """Rows that a step reads."""

    def predict(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Predict at every step of some sequences.

        Args:
            x: what the steps read, (S, T, lags x d), float64, scaled, newest row first, a row's columns side by side.
            state: as returned behind the step before; None at the beginning.

        Returns:
            The predictions (S, T, k), float64, and the state behind the last step.
        """


@dataclass(frozen=True)
class Network:
    """A trained network, which carries its memory.

    Attributes:
        model: the network.
        task: what it was trained for.
    """

    model: Forecaster
    task: Task

    @property
    def lags(self) -> int:
        """The task's context."""
        return self.task.context

    def predict(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As of `Predictor`; the state is the layer's memory.

        Raises:
            ValueError: the layer does not tell its memory.
        """
        with torch.no_grad():
            outputs, state = self.model.outputs(x.to(self.task.dtype), state)
            if state is None:
                raise ValueError("a forecast carries the memory from step to step, which this backend does not tell")
            return self.model.head(outputs).double(), state


@dataclass(frozen=True)
class Regression:
    """A fitted polynomial, which carries nothing.

    Attributes:
        polynomial: its form.
        weights: its weights, (monomials, k).
    """

    polynomial: Polynomial
    weights: NDArray[np.float64]

    @property
    def lags(self) -> int:
        """The polynomial's lags."""
        return self.polynomial.lags

    def predict(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As of `Predictor`; there is no state."""
        with np.errstate(over="ignore", invalid="ignore"):  # one that runs away is at its end, and counted as such
            predicted = self.polynomial.monomials(x.flatten(0, -2).numpy()) @ self.weights
        return torch.from_numpy(predicted).reshape(*x.shape[:-1], -1), None


@dataclass(frozen=True)
class EchoState:
    """A reservoir with a fitted readout, which carries its state.

    Attributes:
        reservoir: that of one seed.
        readout: (N + 1, k), the constant's weights last.
    """

    reservoir: Reservoir
    readout: NDArray[np.float64]

    @property
    def lags(self) -> int:
        """One row."""
        return 1

    def predict(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As of `Predictor`; the state is the reservoir's, (1, S, N)."""
        states = self.reservoir.run(x.numpy(), state)
        predicted = states[0] @ self.readout[:-1] + self.readout[-1]
        return torch.from_numpy(predicted), states[:, :, -1]


@dataclass(frozen=True)
class Persistence:
    """Predicts that nothing changes.

    Attributes:
        places: of the predicted columns among the observed ones.
    """

    places: tuple[int, ...]

    @property
    def lags(self) -> int:
        """One row."""
        return 1

    def predict(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As of `Predictor`; there is no state."""
        return x[..., self.places], None


def baseline_predictors(task: Task) -> dict[str, Predictor]:
    """Persistence, where all predicted columns are observed, and the baselines that fit a task, fitted here.

    Of an echo-state network's seeds it is the first.
    """
    predictors: dict[str, Predictor] = {}
    if set(task.predict) <= set(task.observe):
        predictors["persistence"] = Persistence(tuple(task.observe.index(column) for column in task.predict))
    for name, baseline in BASELINES.items():
        if fits(baseline, task):
            fitted = baseline.fit(task)
            if isinstance(baseline, Polynomial):
                predictors[name] = Regression(baseline, fitted)
            else:
                reservoir = baseline.reservoir(len(task.observe)).of_seed(0)
                predictors[name] = EchoState(reservoir, fitted[0])
    return predictors
