"""Simultaneous perturbation: all coordinates at once, along random directions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from qrnn_fast.estimators.base import MEMORY_LIMIT, Perturbation, Values, Wrt


@dataclass(frozen=True)
class SPSA(Perturbation):
    """Simultaneous perturbation stochastic approximation.

    The gradient's estimate is the mean over `samples` directions D of [y(x + c D) - y(x - c D)] / (2 c D), the
    elements of D being +1 or -1 with equal odds (Spall, IEEE Trans. Autom. Control 37, 332, 1992, eq. 2.2). Directions
    are drawn afresh for every forward pass and every sample.

    Args:
        c: size of the perturbation; radians where `wrt` is "angles", the weights' units where it is "weights".
        samples: directions per gradient; each takes two evaluations.
        wrt: "weights" perturbs the encoder's parameters, shared over the steps and the batch (in `QRNN` only);
            "angles" perturbs every sequence's angles, and gradients go on from there by back-propagation.
        common_random_numbers: with shots, let both ends of a difference draw the same random numbers, so that most of
            the shot noise cancels: the closer the two ends, the fewer of the shots turn out differently. The mean of
            the estimate is the same either way. Other pairs, and every forward pass, draw other numbers. False makes
            the ends independent, as they are on hardware.
        memory_limit: bytes that the perturbed copies of one call may take; more copies are evaluated in several calls.

    Raises:
        ValueError: a setting out of range.
        TypeError: a setting of the wrong type.
    """

    c: float = 0.1
    samples: int = 2
    wrt: Wrt = "weights"
    common_random_numbers: bool = True
    memory_limit: int = field(default=MEMORY_LIMIT, repr=False)

    method: ClassVar[str] = "spsa"
    draws: ClassVar[bool] = True

    def estimate(self, point: Tensor, values: Values, *, bytes_per_copy: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        total = torch.zeros(point.shape, dtype=torch.float64)
        at_once = self._pairs_at_once(bytes_per_copy)
        for start in range(0, self.samples, at_once):
            n = min(at_once, self.samples - start)
            # One stream for all chunks, so that directions do not depend on their size.
            coins = torch.randint(0, 2, (n, *point.shape), generator=generator, dtype=point.dtype)
            offsets = coins.mul_(2 * self.c).sub_(self.c)  # c D
            differences = self._differences(point, offsets, values, start)
            total += (differences.unsqueeze(2) * offsets).sum(0)
        return total.mul_(1 / (2 * self.c**2 * self.samples))  # 1 / D is D
