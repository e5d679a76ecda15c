"""Plain regressions and echo-state networks to measure a network against, fitted to the same training rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.experiments.data import Task, Windows
from qrnn_fast.experiments.errors import Errors

_STEPS_AT_ONCE = 20_000  # of a reservoir, for the sake of memory


@dataclass(frozen=True)
class Polynomial:
    """Least squares on all monomials, up to a degree, of the observed columns at the last rows.

    Attributes:
        lags: number of rows read: t, t-1, ..., t-lags+1.
        degree: highest total degree; 0 is the training mean.
    """

    lags: int
    degree: int

    def n_features(self, n_observed: int) -> int:
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


class Reservoir(NamedTuple):
    """Random recurrent units, leaky and with tanh, of several seeds side by side (S).

    Attributes:
        recurrent: (S, N, N).
        inputs: (S, d, N).
        bias: (S, 1, N).
        leak: share of a state that a step renews.
    """

    recurrent: NDArray[np.float64]
    inputs: NDArray[np.float64]
    bias: NDArray[np.float64]
    leak: float

    def step(self, state: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The states (S, B, N) behind a step that reads x, (B, d) or (S, B, d), in the states (S, B, N)."""
        drive = state @ self.recurrent + x @ self.inputs + self.bias
        return (1 - self.leak) * state + self.leak * np.tanh(drive)

    def of_seed(self, seed: int) -> Reservoir:
        """That of one seed alone."""
        one = slice(seed, seed + 1)
        return Reservoir(self.recurrent[one], self.inputs[one], self.bias[one], self.leak)

    def run(self, x: NDArray[np.float64], state: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The states (S, B, T, N) behind every step of sequences x (B, T, d), begun from zero or from (S, B, N)."""
        n_seeds, _, n_nodes = self.inputs.shape
        if state is None:
            state = np.zeros((n_seeds, len(x), n_nodes))
        states = np.empty((n_seeds, *x.shape[:2], n_nodes))
        for t in range(x.shape[1]):
            states[:, :, t] = state = self.step(state, x[:, t])
        return states


@dataclass(frozen=True)
class EchoStateNetwork:
    """A reservoir of random weights with a readout by ridge regression (H. Jaeger, GMD Report 148, 2001).

    It reads one row per step and is begun from zero, as a network is. Its readout is fitted to training sequences of
    the kind that it is measured on: for windows to the training windows after their washout, for the long run to the
    training rows as one sequence after the long washout.

    Attributes:
        nodes: size N of the reservoir; the readout has N + 1 weights for each predicted column.
        spectral_radius: largest absolute eigenvalue of the recurrent weights, drawn from U(-1, 1) before that.
        scale: weights of the (min-max scaled) inputs and biases are drawn from U(-scale, scale).
        leak: share of a state that a step renews.
        ridge: penalty of the squared weights, relative to the number of rows; the bias is free.
        seeds: how many reservoirs, whose errors are averaged.
    """

    nodes: int = 70
    spectral_radius: float = 0.9
    scale: float = 1.0
    leak: float = 0.3
    ridge: float = 1e-8
    seeds: int = 3

    def n_features(self, n_observed: int) -> int:
        """Number of features of the readout, the constant included."""
        return self.nodes + 1

    def reservoir(self, n_observed: int) -> Reservoir:
        """The random weights, which the numbers of the seeds, 0, 1, ..., decide, for d observed columns."""
        recurrent, inputs, bias = [], [], []
        for seed in range(self.seeds):
            draw = np.random.default_rng(seed).uniform
            weights = draw(-1, 1, (self.nodes, self.nodes))
            recurrent.append(weights * (self.spectral_radius / np.abs(np.linalg.eigvals(weights)).max()))
            inputs.append(draw(-self.scale, self.scale, (n_observed, self.nodes)))
            bias.append(draw(-self.scale, self.scale, (1, self.nodes)))
        return Reservoir(np.stack(recurrent), np.stack(inputs), np.stack(bias), self.leak)

    def fit(self, task: Task, training: Windows | None = None) -> NDArray[np.float64]:
        """The readouts (S, N + 1, k) of the S seeds, the constants' weights last.

        Args:
            task: gives the rows.
            training: the sequences; None for the training rows as one.
        """
        training = task.training_run if training is None else training
        n, k = self.nodes + 1, task.n_targets
        square, product, n_rows = np.zeros((self.seeds, n, n)), np.zeros((self.seeds, n, k)), 0
        for rows, features in self._features(task, training):
            scored = features[:, :, training.washout :].reshape(self.seeds, -1, n)
            targets = task.predicted[rows[:, training.washout :] + 1].numpy().reshape(-1, k)
            square += scored.swapaxes(1, 2) @ scored
            product += scored.swapaxes(1, 2) @ targets
            n_rows += len(targets)
        free = np.diag([1.0] * self.nodes + [0.0])
        return np.linalg.solve(square + self.ridge * n_rows * free, product).astype(np.float64)

    def errors(self, task: Task, protocols: Mapping[str, Windows]) -> dict[str, Errors]:
        """Fit and measure on the very targets of the protocols: the mean of the seeds' errors."""
        return {
            name: Errors(tuple(np.mean([e.columns for e in of_seeds], axis=0).tolist()))
            for name, of_seeds in self.errors_of_seeds(task, protocols).items()
        }

    def errors_of_seeds(self, task: Task, protocols: Mapping[str, Windows]) -> dict[str, tuple[Errors, ...]]:
        """Fit and measure on the very targets of the protocols: the errors of each seed."""
        readouts: dict[bool, NDArray[np.float64]] = {}  # those for windows, and those for a run
        runs: dict[int, Tensor] = {}  # predictions (S, W, T, k), by the windows
        result = {}
        for name, windows in protocols.items():
            key = id(windows.starts)  # sets that differ in their washout only run once
            if key not in runs:
                are_windows = windows.steps == task.train.steps
                if are_windows not in readouts:
                    readouts[are_windows] = self.fit(task, task.train if are_windows else None)
                parts = [features @ readouts[are_windows][:, None] for _, features in self._features(task, windows)]
                runs[key] = torch.from_numpy(np.concatenate(parts, axis=1))
            targets = task.predicted[windows.rows()[:, windows.washout :] + 1]
            result[name] = tuple(Errors.of(of_seed[:, windows.washout :], targets) for of_seed in runs[key])
        return result

    def _features(self, task: Task, windows: Windows) -> Iterator[tuple[Tensor, NDArray[np.float64]]]:
        """Some windows at a time: the rows (B, T) of their steps, and the features (S, B, T, N + 1) behind them."""
        reservoir = self.reservoir(len(task.observe))
        for rows in torch.split(windows.rows(), max(1, _STEPS_AT_ONCE // windows.steps)):
            states = reservoir.run(task.observed[rows].numpy())
            yield rows, np.concatenate([states, np.ones((*states.shape[:-1], 1))], axis=-1)


CUBIC = "cubic, no memory"
QUADRATIC_3 = "quadratic in 3 lags"
ECHO_STATE = "echo-state network, 70 nodes"
BASELINES: dict[str, Polynomial | EchoStateNetwork] = {
    "training mean": Polynomial(lags=1, degree=0),
    CUBIC: Polynomial(lags=1, degree=3),
    "linear in 3 lags": Polynomial(lags=3, degree=1),
    QUADRATIC_3: Polynomial(lags=3, degree=2),
    "quadratic in 20 lags": Polynomial(lags=20, degree=2),
    ECHO_STATE: EchoStateNetwork(),
}


def fits(baseline: Polynomial | EchoStateNetwork, task: Task) -> bool:
    """Whether a baseline has at most a third as many features as there are training rows."""
    return 3 * baseline.n_features(len(task.observe)) <= task.n_train


def left_out(task: Task) -> list[str]:
    """A sentence on each baseline that does not fit a task."""
    return [
        f"{name}: left out, its {baseline.n_features(len(task.observe)):,} features are more than a third of the "
        f"{task.n_train:,} training rows"
        for name, baseline in BASELINES.items()
        if not fits(baseline, task)
    ]
