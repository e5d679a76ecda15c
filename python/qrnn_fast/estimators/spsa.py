"""Simultaneous perturbation: all coordinates at once, along random directions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.estimators.base import MEMORY_LIMIT, Perturbation, Values, Wrt


@dataclass(frozen=True)
class SPSA(Perturbation):
    """Simultaneous perturbation stochastic approximation.

    The gradient's estimate is the mean over `samples` directions D of [y(x + c D) - y(x - c D)] / (2 c D), the
    elements of D being +1 or -1 with equal odds (Spall, IEEE Trans. Autom. Control 37, 332, 1992, eq. 2.2). Directions
    are drawn afresh for every forward pass and every sample; over angles, and with `per_sequence`, for every sequence,
    too.

    Args:
        c: size of the perturbation; radians where `wrt` is "angles", the weights' units where it is "weights".
        samples: directions per gradient; each takes two evaluations.
        wrt: "weights" perturbs the encoder's parameters, shared over the steps and, without `per_sequence`, the batch
            (in `QRNN` only); "angles" perturbs every sequence's angles, and gradients go on from there by
            back-propagation.
        common_random_numbers: with shots, let both ends of a difference draw the same random numbers, so that most of
            the shot noise cancels: the closer the two ends, the fewer of the shots turn out differently. The mean of
            the estimate is the same either way. Other pairs, and every forward pass, draw other numbers. False makes
            the ends independent, as they are on hardware.
        per_sequence: over weights, draw directions for every sequence of the batch instead of one for all of them. A
            sequence's difference then multiplies its own directions, at the same number of evaluations, and the
            variance goes with the sum of the sequences' squared gradients instead of the square of their sum: B times
            less where the B gradients agree, more in a batch where they cancel, and on average over batches drawn at
            random never more. Over angles it is always so.
        over_ranks: spread the copies over the ranks of torch.distributed's default process group, which all hold the
            same batch, weights and seed; every rank gets the whole gradient.
        memory_limit: bytes that the perturbed copies of one call may take; more copies are evaluated in several calls.

    Raises:
        ValueError: a setting out of range.
        TypeError: a setting of the wrong type.
    """

    c: float = 0.1
    samples: int = 2
    wrt: Wrt = "weights"
    common_random_numbers: bool = True
    per_sequence: bool = False
    over_ranks: bool = False
    memory_limit: int = field(default=MEMORY_LIMIT, repr=False)

    method: ClassVar[str] = "spsa"
    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_sequence and self.wrt != "weights":
            raise ValueError(
                "per_sequence is for directions over weights; over angles every sequence has its own ones anyway, so "
                "leave it out, or set wrt='weights'"
            )

    def n_pairs(self, n_coordinates: int) -> int:
        return self.samples

    def estimate(
        self, point: Tensor, values: Values, *, bytes_per_copy: int, seed: int, ids: Tensor | None = None
    ) -> Tensor:
        ids = torch.arange(len(point), device="cpu") if ids is None else ids
        total = torch.zeros(point.shape, dtype=torch.float64, device=point.device)
        at_once = self._pairs_at_once(bytes_per_copy)
        for start in range(0, self.samples, at_once):
            samples = range(start, min(self.samples, start + at_once))
            coins = _coins(seed, ids, samples, point.shape[1]).to(point)
            offsets = coins.mul_(2 * self.c).sub_(self.c)  # c D
            differences = self._differences(offsets, values, start)
            total += (differences.unsqueeze(2) * offsets).sum(0)
        return total.mul_(1 / (2 * self.c**2 * self.samples))  # 1 / D is D


_WEYL = np.uint64(0x9E3779B97F4A7C15)


def _coins(seed: int, ids: Tensor, samples: range, n_coordinates: int) -> Tensor:
    """Fair coins (N, R, P) uint8 for these N samples of R rows: a row's follow from the seed and its id alone.

    Each sample of each row is a stream of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, fig. 16), 64 coins a number.

    Args:
        seed: shared by all rows.
        ids: (R,) int64.
        samples: numbers of the N samples.
        n_coordinates: number P of coordinates.
    """
    rows = _mix(_mix(np.array([seed], np.uint64)) + ids.numpy().astype(np.uint64))
    streams = _mix(rows + np.array(samples, np.uint64)[:, None])
    counter = np.arange(1, n_coordinates // 64 + 2, dtype=np.uint64)
    words = _mix(streams[..., None] + counter * _WEYL).astype("<u8")
    return torch.from_numpy(np.unpackbits(words.view(np.uint8), axis=-1, count=n_coordinates))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer: a bijection after which neighbours have nothing in common."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
