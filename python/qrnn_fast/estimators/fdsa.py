"""Finite differences: one coordinate at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from qrnn_fast.estimators.base import MEMORY_LIMIT, Perturbation, Values, Wrt


@dataclass(frozen=True)
class FDSA(Perturbation):
    """Finite-difference stochastic approximation: central differences, coordinate by coordinate.

    [y(x + c e) - y(x - c e)] / (2 c) for every unit vector e, so two evaluations per coordinate. An angle that enters
    by one two-term gate gets the exact derivative times sin(c) / c.

    Args:
        c: size of the perturbation; radians where `wrt` is "angles", the weights' units where it is "weights".
        wrt: "weights" perturbs the encoder's parameters, shared over the steps and the batch (in `QRNN` only);
            "angles" perturbs every angle of every step, and gradients go on from there by back-propagation.
        common_random_numbers: with shots, let both ends of a difference draw the same random numbers, so that most of
            the shot noise cancels: the closer the two ends, the fewer of the shots turn out differently. The mean of
            the estimate is the same either way. Other pairs, and every forward pass, draw other numbers. False makes
            the ends independent, as they are on hardware.
        over_ranks: spread the copies over the ranks of torch.distributed's default process group, which all hold the
            same batch, weights and seed; every rank gets the whole gradient.
        memory_limit: bytes that the perturbed copies of one call may take; more copies are evaluated in several calls.

    Raises:
        ValueError: a setting out of range.
        TypeError: a setting of the wrong type.
    """

    c: float = 0.1
    wrt: Wrt = "weights"
    common_random_numbers: bool = True
    over_ranks: bool = False
    memory_limit: int = field(default=MEMORY_LIMIT, repr=False)

    method: ClassVar[str] = "fdsa"

    def n_pairs(self, n_coordinates: int) -> int:
        return n_coordinates

    def estimate(
        self, point: Tensor, values: Values, *, bytes_per_copy: int, seed: int, ids: Tensor | None = None
    ) -> Tensor:
        n_rows, n_coordinates = point.shape
        gradient = torch.empty(n_rows, n_coordinates, dtype=torch.float64, device=point.device)
        at_once = self._pairs_at_once(bytes_per_copy)
        for start in range(0, n_coordinates, at_once):
            stop = min(n_coordinates, start + at_once)
            offsets = torch.zeros(stop - start, 1, n_coordinates, dtype=point.dtype, device=point.device)
            offsets[:, 0, start:stop].fill_diagonal_(self.c)
            differences = self._differences(offsets, values, start)
            gradient[:, start:stop] = differences.T / (2 * self.c)
        return gradient
