"""The forecasting task: a record split, scaled and cut into windows, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.experiments.settings import DTYPES, Settings
from qrnn_fast.systems import Scaling, System, column_numbers, find_system, load_record, split_row, window_starts


@dataclass(frozen=True)
class Windows:
    """Windows of equal length, named by the row of their first step.

    Attributes:
        starts: row of step 0 of each window, (W,), int64.
        steps: steps T of a window.
        washout: first steps that errors leave out.
    """

    starts: Tensor
    steps: int
    washout: int

    def rows(self, windows: Tensor | slice = slice(None)) -> Tensor:
        """The row of every step, (W, T), int64."""
        return self.starts[windows, None] + torch.arange(self.steps)

    @property
    def scored_rows(self) -> Tensor:
        """The rows of all steps after the washout, window after window, (W * (T - washout),), int64."""
        return self.rows()[:, self.washout :].reshape(-1)


@dataclass(frozen=True)
class Task:
    """A record ready for training.

    Attributes:
        columns: names of all columns of the record.
        observe: the numbers of the d observed columns.
        predict: the numbers of the k predicted columns; some may be observed, too.
        observed: the observed columns, scaled, (rows, d), float64 in every run, for the baselines' sake.
        predicted: the predicted columns, scaled, (rows, k), float64.
        dtype: the run's precision.
        context: rows read by a step.
        train: training windows.
        windowed: validation windows.
        long_run: the whole validation part as one window.
        n_train: number of training rows.
        scaling: what all columns of the record were scaled by.
        lyapunov: largest Lyapunov exponent of the system, per row; None where it is not known.
    """

    columns: tuple[str, ...]
    observe: tuple[int, ...]
    predict: tuple[int, ...]
    observed: Tensor
    predicted: Tensor
    dtype: torch.dtype
    context: int
    train: Windows
    windowed: Windows
    long_run: Windows
    n_train: int
    scaling: Scaling
    lyapunov: float | None

    @property
    def n_inputs(self) -> int:
        """Numbers that a step reads: context x d."""
        return self.context * len(self.observe)

    @property
    def n_targets(self) -> int:
        """Number k of predicted columns."""
        return len(self.predict)

    @property
    def predicted_names(self) -> tuple[str, ...]:
        """Names of the predicted columns."""
        return tuple(self.columns[column] for column in self.predict)

    @property
    def training_run(self) -> Windows:
        """The training part as one sequence, as the validation part is in the long run."""
        first = self.context - 1
        return Windows(torch.tensor([first]), self.n_train - 1 - first, self.long_run.washout)

    def inputs(self, rows: Tensor) -> Tensor:
        """What the steps at `rows` (W, T) read: (W, T, context x d), newest row first, a row's columns side by side."""
        return self.observed[rows[..., None] - torch.arange(self.context)].flatten(-2).to(self.dtype)

    def targets(self, rows: Tensor) -> Tensor:
        """What the steps at `rows` (W, T) predict: (W, T, k), one row ahead."""
        return self.predicted[rows + 1].to(self.dtype)

    def unscaled(self, predicted: Tensor) -> Tensor:
        """Values of the predicted columns (..., k), scaled, in the system's own units."""
        low, high = (torch.from_numpy(bound[list(self.predict)]) for bound in (self.scaling.low, self.scaling.high))
        return low + predicted * (high - low)


def streams(task: Task, n_streams: int, offset: int) -> Tensor:
    """Training windows that follow each other, for training that carries the memory over from one to the next.

    The training rows are cut into streams of equal length, side by side; a stream is cut into windows.

    Args:
        task: gives the rows and the windows' length T.
        n_streams: number of streams B.
        offset: rows left out in front, 0 to T - 1, so that the cuts between windows can lie elsewhere in every epoch.

    Returns:
        (windows of a stream, B) int64: the row of step 0.

    Raises:
        ValueError: a stream would have no window.
    """
    steps, first = task.train.steps, task.context - 1
    length = (task.n_train - 1 - first - (steps - 1)) // n_streams
    if length < steps:
        raise ValueError(
            f"{n_streams} streams of the {task.n_train} training rows have {length} rows each, and a window takes "
            f"{steps}; use a smaller batch_size or fewer steps"
        )
    return first + offset + torch.arange(length // steps)[:, None] * steps + torch.arange(n_streams) * length


@lru_cache(maxsize=1)  # a comparison makes many tasks from one record, which takes seconds to integrate
def _record(system: System, rows: int) -> NDArray[np.float64]:
    return system.record(rows)


def make_task(settings: Settings) -> Task:
    """The task of a run: the record of ``settings.system`` or the file named by ``settings.data``.

    Raises:
        ValueError: a file that cannot be used, columns that are not there, or too few rows.
    """
    if settings.data is None:
        system = find_system(settings.system)
        columns = system.columns
        observe, predict = _chosen(settings, len(columns), system.observe, system.predict)
        record = _record(system, settings.rows or system.rows)
        lyapunov: float | None = system.lyapunov * system.dt
    else:
        record = load_record(settings.data)
        columns = tuple(f"column {i}" for i in range(record.shape[1]))
        observe, predict = _chosen(settings, len(columns), "0", None)
        lyapunov = None
    rows = len(record)
    n_train = split_row(rows)
    cut = {"context": settings.context, "steps": settings.steps, "stride": settings.stride}
    train = window_starts(0, n_train, **cut)
    windowed = window_starts(n_train, rows, **cut)
    long_start = n_train + settings.context - 1
    long_steps = rows - 1 - long_start
    if settings.long_washout >= long_steps:
        raise ValueError(
            f"long_washout is {settings.long_washout}, but the validation part has {long_steps} steps only; give a "
            "smaller one or a longer record"
        )
    scaling = Scaling.fit(record[:n_train])
    scaled = torch.from_numpy(scaling.apply(record))
    return Task(
        columns=columns,
        observe=observe,
        predict=predict,
        observed=scaled[:, observe].contiguous(),
        predicted=scaled[:, predict].contiguous(),
        dtype=DTYPES[settings.dtype],
        context=settings.context,
        train=Windows(torch.from_numpy(train), settings.steps, settings.washout),
        windowed=Windows(torch.from_numpy(windowed), settings.steps, settings.washout),
        long_run=Windows(torch.tensor([long_start]), long_steps, settings.long_washout),
        n_train=n_train,
        scaling=scaling,
        lyapunov=lyapunov,
    )


def _chosen(
    settings: Settings, n_columns: int, observe: str, predict: str | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The observed and the predicted columns, by the settings and, where they say nothing, the defaults given."""
    observed = column_numbers("observe", observe if settings.observe is None else settings.observe, n_columns)
    text = predict if settings.predict is None else settings.predict
    if text is not None:
        return observed, column_numbers("predict", text, n_columns)
    others = tuple(column for column in range(n_columns) if column not in observed)
    if not others:
        raise ValueError("predict must be given where all columns are observed; ':' predicts them all")
    return observed, others
