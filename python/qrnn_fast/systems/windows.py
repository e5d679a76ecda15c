"""Records as files, their split into training and validation, their scaling and their windows.

Row t of a record holds the state at time t. The model observes some columns and predicts some, one row ahead, so a
step "at row t" reads the observed columns at the rows t, t-1, ..., t-context+1 (newest first) and is compared with
the predicted columns at row t+1. A window may use rows of its own part of the record only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

TRAIN_PERCENT = 70


def load_record(path: str | Path) -> NDArray[np.float64]:
    """Read a record from a .npy file.

    Returns:
        Array (rows, columns), float64.

    Raises:
        ValueError: no such file, a file that is not a NumPy array of real numbers, an array that is not two-dimensional
            with at least two columns, or values that are not finite.
    """
    accepted = "accepted is a .npy file with a real array (rows, columns) of at least 2 columns, all values finite"
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; {accepted}")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise ValueError(
            f"{path}: cannot be read as a NumPy array of numbers; {accepted}; np.save(FILE, np.loadtxt(TEXT)) makes "
            "one of a table in a text file"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: holds several arrays (.npz); {accepted}")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: has the dtype {array.dtype}; {accepted}")
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(f"{path}: has the shape {array.shape}; {accepted}")
    record = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(record))
    if len(bad):
        row, column = bad[0].tolist()
        raise ValueError(
            f"{path}: {len(bad)} values are not finite, the first in row {row}, column {column}; {accepted}"
        )
    return record


def split_row(rows: int) -> int:
    """The first validation row: the first `TRAIN_PERCENT` of the rows train."""
    return rows * TRAIN_PERCENT // 100


@dataclass(frozen=True)
class Scaling:
    """Min-max scaling of each column to [0, 1] over the rows it was fitted to.

    Attributes:
        low: smallest value of each column, (columns,).
        high: largest value of each column, (columns,).
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def fit(cls, record: NDArray[np.float64]) -> Scaling:
        """Fit to a record (rows, columns): hand over the training rows alone.

        Raises:
            ValueError: a column is constant.
        """
        low, high = record.min(axis=0), record.max(axis=0)
        constant = np.flatnonzero(low == high)
        if len(constant):
            raise ValueError(
                f"column {constant[0]} has the same value in all {len(record)} training rows, so it cannot be scaled; "
                "leave it out"
            )
        return cls(low, high)

    def apply(self, record: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale a record (rows, columns); rows it was not fitted to may leave [0, 1]."""
        return (record - self.low) / (self.high - self.low)


def window_starts(first: int, stop: int, *, context: int, steps: int, stride: int) -> NDArray[np.int64]:
    """The row of step 0 of every window that lies wholly in the rows first .. stop-1.

    A window starting at row t reads the rows t-context+1 to t+steps, the last one only as a target.

    Args:
        first: first row that may be used.
        stop: one past the last row that may be used.
        context: number of rows each step reads.
        steps: number of steps of a window.
        stride: rows between the starts of two windows.

    Returns:
        Array (windows,), int64, ascending.

    Raises:
        ValueError: a setting below 1, or not enough rows for one window.
    """
    for name, value in (("context", context), ("steps", steps), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    starts = np.arange(first + context - 1, stop - steps, stride, dtype=np.int64)
    if not len(starts):
        raise ValueError(
            f"too few rows: one window of {steps} steps with context {context} takes {steps + context} rows, and there "
            f"are {stop - first} in this part of the record (training takes the first {TRAIN_PERCENT} %)"
        )
    return starts
