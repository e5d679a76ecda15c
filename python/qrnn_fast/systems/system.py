"""What a system is, to those who learn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class System:
    """A system to learn from.

    Attributes:
        name: what `find_system` knows it by.
        title: its name in print.
        columns: names of the record's columns.
        rows: rows of the record where no number is given.
        observe: the columns that are observed where none are given, as text of `columns.GRAMMAR`.
        predict: the columns that are predicted where none are given; None for all that are not observed.
        dt: time between two rows.
        lyapunov: largest Lyapunov exponent, in units of one over the system's time.
        record: the record of so many rows, (rows, columns), float64.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: int
    observe: str
    predict: str | None
    dt: float
    lyapunov: float
    record: Callable[[int], NDArray[np.float64]]
