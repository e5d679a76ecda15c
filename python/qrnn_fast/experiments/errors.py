"""How far predictions lie from the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Errors:
    """Root mean square errors in units of the scaled columns.

    Attributes:
        columns: one for each predicted column.
    """

    columns: tuple[float, ...]

    @classmethod
    def of(cls, predicted: Tensor, target: Tensor) -> Errors:
        """The errors of predictions (..., k) for targets (..., k), over all leading dimensions."""
        squares = (predicted.double() - target.double()).square().reshape(-1, target.shape[-1])
        return cls(tuple(squares.mean(dim=0).sqrt().tolist()))

    @property
    def mean(self) -> float:
        """The mean of the columns' errors."""
        return sum(self.columns) / len(self.columns)

    def as_json(self) -> dict[str, Any]:
        """The errors as JSON knows them."""
        return {"columns": list(self.columns), "mean": self.mean}
