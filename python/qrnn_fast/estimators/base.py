"""What the gradient estimators share: settings as a canonical string, and the evaluation of perturbed copies.

An estimator sees a circuit from outside: angles in, outcome probabilities and final memory out. It returns
vector-Jacobian products. All but the adjoint evaluate K perturbed copies in one batched call of the backend, or, where
they would take more than `memory_limit` bytes, in as many calls as that takes.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from numbers import Real
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Circuit
from qrnn_fast.estimators.ranks import over_ranks

Wrt = Literal["weights", "angles"]

# Offsets (N, R, P) or (N, 1, P) from the point that a gradient is wanted at, and the copies' numbers (N,), to values
# (N, R) in float64: N copies of R rows that do not see each other. Where evaluations are sampled, what a copy draws is
# decided by its number, which several copies may share.
Values = Callable[[Tensor, Sequence[int]], Tensor]

MEMORY_LIMIT = 256 * 2**20  # bytes, the estimators' default
MAX_IDS = 2**32  # how many sequences the random numbers of one seed can tell apart


def check_id_range(sequence_ids: Tensor | None) -> None:
    """Raise ValueError unless the ids lie where the random numbers' counter has room for them."""
    if sequence_ids is None or sequence_ids.numel() == 0:
        return
    least, largest = map(int, sequence_ids.aminmax())
    if least < 0 or largest >= MAX_IDS:
        raise ValueError(f"sequence_ids must lie between 0 and 2^32 - 1, got {least} to {largest}")


class Evaluation(NamedTuple):
    """A circuit on a backend: what an estimator evaluates."""

    circuit: Circuit
    backend: Backend
    shots: int | None

    @property
    def is_sampled(self) -> bool:
        """Whether the probabilities are frequencies over shots, drawn from the seed."""
        return self.shots is not None or getattr(self.backend, "shots", None) is not None

    def run(
        self, angles: Tensor, memory: Tensor | None, seed: int, sequence_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Probabilities (B, T, 2^r) and final memory (B, 2^m, 2^m), None where the backend cannot tell it.

        Args:
            angles: (B, T, A).
            memory: (B, 2^m, 2^m) complex, or None for |0...0>.
            seed: where all random numbers start.
            sequence_ids: (B,) int64, what sets the sequences' random numbers apart; None for their rows. Without shots
                the backend is not told them.

        Raises:
            ValueError: an id below 0 or not below 2^32, or angles on a device where the backend does not compute.
            RuntimeError: the backend returned something of another shape or dtype.
        """
        drawn = None
        if sequence_ids is not None:
            check_id_range(sequence_ids)
            drawn = sequence_ids if self.is_sampled else None
        place = "cpu" if angles.is_cpu else angles.device.type
        if place not in getattr(self.backend, "devices", ("cpu",)):
            raise ValueError(
                f"backend {self.backend.name!r} does not compute on {angles.device}, where the angles are; use "
                "angles.cpu() (model.cpu() for a layer), or the native backend"
            )
        probs, final = self.backend.run(self.circuit, angles, memory, shots=self.shots, seed=seed, sequence_ids=drawn)
        if probs.shape[:-1] != angles.shape[:-1] or probs.dtype != angles.dtype:
            raise RuntimeError(
                f"backend {self.backend.name!r} returned probabilities of shape {tuple(probs.shape)} and {probs.dtype} "
                f"for angles of shape {tuple(angles.shape)} and {angles.dtype}"
            )
        return probs, final

    def bytes_per_copy(self, n_rows: int, n_steps: int, dtype: torch.dtype) -> int:
        """Bytes that one copy of a batch takes on its way through the backend.

        Args:
            n_rows: number of sequences B.
            n_steps: number of steps, summed over the sequences.
            dtype: of the angles.
        """
        n_outcomes, dim = 1 << len(self.circuit.readout), 1 << len(self.circuit.memory)
        # twice the angles (offsets, copies), the probabilities (outputs, products) and the memory (in, out)
        return (2 * n_steps * (self.circuit.n_angles + n_outcomes) + 4 * n_rows * dim * dim) * dtype.itemsize


class Estimator(ABC):
    """A way to get gradients, with its settings."""

    method: ClassVar[str]
    draws: ClassVar[bool] = False  # whether it draws random directions
    over_ranks = False  # whether its copies are spread over ranks
    text: str  # canonical; an attribute, since torch.compile guards on it and evolve reads it in every call

    def __post_init__(self) -> None:
        settings: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        self._check(settings)
        object.__setattr__(self, "text", json.dumps({"method": self.method, **settings}, default=float))

    @staticmethod
    def _check(settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            if name == "wrt":
                if value not in ("weights", "angles"):
                    raise ValueError(f"wrt must be 'weights' or 'angles', got {value!r}")
            elif name == "c":
                if isinstance(value, bool) or not isinstance(value, Real):
                    raise TypeError(f"c must be a number of radians or weight units, got {value!r}")
                if not 0 < float(value) < math.inf:
                    raise ValueError(f"c must be positive and finite, got {value!r}")
            elif name in ("common_random_numbers", "per_sequence", "over_ranks"):
                if not isinstance(value, bool):
                    raise TypeError(f"{name} must be True or False, got {value!r}")
            else:
                if isinstance(value, bool) or not isinstance(value, int):
                    raise TypeError(f"{name} must be an integer, got {value!r}")
                if value < 1:
                    raise ValueError(f"{name} must be at least 1, got {value}")

    @property
    def over_weights(self) -> bool:
        """Whether it perturbs an encoder's parameters instead of angles."""
        return False

    def spread(self, values: Values, n_rows: int, circuit: Circuit, *held: Tensor | int | None) -> Values:
        """The values of copies, evaluated by all ranks where `over_ranks` is set.

        Args:
            values: the values of copies.
            n_rows: number R of their rows.
            circuit: what is evaluated.
            held: all that decides the values besides.
        """
        return over_ranks(values, n_rows, self.text, circuit.to_string(), *held) if self.over_ranks else values

    @abstractmethod
    def vjp(
        self,
        evaluation: Evaluation,
        angles: Tensor,
        memory: Tensor | None,
        grad_probs: Tensor,
        grad_memory: Tensor | None,
        seed: int,
        sequence_ids: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Vector-Jacobian product of probabilities and final memory.

        Args:
            evaluation: what is differentiated.
            angles: (B, T, A) float32 or float64, radians.
            memory: (B, 2^m, 2^m) complex, or None for |0...0>.
            grad_probs: (B, T, 2^r).
            grad_memory: (B, 2^m, 2^m) complex, None where nothing depends on the final memory.
            seed: the forward pass's.
            sequence_ids: the forward pass's, (B,) int64 or None.

        Returns:
            Gradients by the angles (B, T, A) and by the initial memory, None where the estimator has no such thing.
        """


class Perturbation(Estimator):
    """An estimator by central differences of step `c` along directions in any space, of angles or of weights."""

    c: float
    wrt: Wrt
    common_random_numbers: bool
    memory_limit: int
    per_sequence = False  # whether directions over weights belong to one sequence of the batch

    @property
    def over_weights(self) -> bool:
        return self.wrt == "weights"

    @abstractmethod
    def n_pairs(self, n_coordinates: int) -> int:
        """Number of differences that a gradient by this many coordinates takes."""

    def n_copies(self, n_coordinates: int) -> int:
        """How many numbers its copies have: both ends of a pair may share one."""
        return self.n_pairs(n_coordinates) * (1 if self.common_random_numbers else 2)

    @abstractmethod
    def estimate(
        self, point: Tensor, values: Values, *, bytes_per_copy: int, seed: int, ids: Tensor | None = None
    ) -> Tensor:
        """Gradient of the values at `point`, row by row.

        Args:
            point: (R, P), R rows that are perturbed independently of each other.
            values: what is differentiated, around that point; a row's value depends on that row of the offsets only.
            bytes_per_copy: bytes that `values` takes per copy of the point.
            seed: of the directions, where they are drawn.
            ids: (R,) int64, what sets the rows' directions apart; None for their numbers.

        Returns:
            (R, P) float64.
        """

    def vjp(
        self,
        evaluation: Evaluation,
        angles: Tensor,
        memory: Tensor | None,
        grad_probs: Tensor,
        grad_memory: Tensor | None,
        seed: int,
        sequence_ids: Tensor | None,
    ) -> tuple[Tensor, None]:
        point = angles.flatten(1)
        n_copies = self.n_copies(point.shape[1])
        if evaluation.is_sampled:
            seed = copies_seed(seed, n_copies)
        values = row_values(evaluation, angles, memory, grad_probs, grad_memory, seed, sequence_ids, n_copies)
        gradient = self.estimate(
            point,
            self.spread(
                values, len(point), evaluation.circuit, angles, memory, grad_probs, grad_memory, seed, sequence_ids
            ),
            bytes_per_copy=evaluation.bytes_per_copy(len(angles), angles.shape[:2].numel(), angles.dtype),
            seed=seed,
            ids=sequence_ids,
        )
        return gradient.to(angles.dtype).view(angles.shape), None

    def _pairs_at_once(self, bytes_per_copy: int) -> int:
        return copies_at_once(self.memory_limit, 2 * bytes_per_copy)

    def _differences(self, offsets: Tensor, values: Values, first: int) -> Tensor:
        """Values (N, R) at the offsets less those at their opposites.

        Args:
            offsets: (N, R, P) or (N, 1, P).
            values: what is evaluated.
            first: number of the first of these N pairs, of all pairs of the gradient.
        """
        last = first + len(offsets)
        if self.common_random_numbers:
            copies = [*range(first, last)] * 2
        else:
            copies = [*range(2 * first, 2 * last, 2), *range(2 * first + 1, 2 * last, 2)]
        both = values(torch.cat([offsets, -offsets]), copies)
        plus, minus = both.chunk(2)
        return plus - minus


def copies_seed(seed: int, n_copies: int) -> int:
    """Seed of all perturbed copies of a gradient, for the seed of the forward pass.

    It is not the forward pass's, for then the copies' shot noise would go together with that of the gradient they are
    multiplied by. Nor is it that of gradients of another number of copies, of longer sequences with the same seed, say,
    which would have the same ids.
    """
    return (seed + (n_copies + 1) * 0x9E3779B97F4A7C15) % 2**63


def copy_ids(copies: Sequence[int], n_copies: int, sequence_ids: Tensor | None, n_rows: int) -> Tensor:
    """Sequence ids of perturbed copies: copy k of K of a sequence s has s * K + k, whatever else runs beside it.

    Args:
        copies: numbers of the N copies, below K.
        n_copies: number K of copies of the whole gradient.
        sequence_ids: (B,) int64; None for the rows.
        n_rows: number of sequences B.

    Returns:
        (N*B,) int64.

    Raises:
        ValueError: ids beyond 2^32.
    """
    ids = torch.arange(n_rows, device="cpu") if sequence_ids is None else sequence_ids
    above = 1 + max(ids.tolist(), default=-1)
    if n_copies * above > MAX_IDS:
        raise ValueError(
            f"{n_copies:,} perturbed copies of sequences with ids below {above:,} are more than the 2^32 sequences "
            "that shots can be drawn for in one gradient; use a smaller batch, smaller sequence_ids or fewer samples"
        )
    return (ids * n_copies + torch.tensor(copies, device="cpu")[:, None]).flatten()


def copies_at_once(memory_limit: int, bytes_per_copy: int) -> int:
    """How many copies a call may hold: as many as fit into the limit, at least one."""
    return max(1, memory_limit // max(1, bytes_per_copy))


def row_values(
    evaluation: Evaluation,
    angles: Tensor,
    memory: Tensor | None,
    grad_probs: Tensor,
    grad_memory: Tensor | None,
    seed: int,
    sequence_ids: Tensor | None,
    n_copies: int,
) -> Values:
    """The outputs' product with their gradients, per sequence, as a function of offsets from the flattened angles.

    Args:
        evaluation: what is evaluated.
        angles: (B, T, A).
        memory: (B, 2^m, 2^m) complex or None.
        grad_probs: (B, T, 2^r).
        grad_memory: (B, 2^m, 2^m) complex or None.
        seed: of all copies.
        sequence_ids: the forward pass's, (B,) int64; None for the rows.
        n_copies: of the whole gradient.

    Returns:
        Offsets (N, B, T*A) or (N, 1, T*A) and the numbers of the copies to values (N, B).
    """
    n_rows, n_steps, n_angles = angles.shape

    def values(offsets: Tensor, copies: Sequence[int]) -> Tensor:
        n, points = len(offsets), angles.flatten(1) + offsets
        initial = None if memory is None else memory.repeat(n, 1, 1)
        drawn = copy_ids(copies, n_copies, sequence_ids, n_rows) if evaluation.is_sampled else None
        outputs = evaluation.run(points.reshape(n * n_rows, n_steps, n_angles), initial, seed, drawn)
        return contract(n, *outputs, grad_probs, grad_memory)

    return values


def contract(n: int, probs: Tensor, memory: Tensor | None, grad_probs: Tensor, grad_memory: Tensor | None) -> Tensor:
    """Product of outputs and gradients for every row of N copies of B sequences.

    Args:
        n: number of copies N.
        probs: (N*B, T, 2^r).
        memory: (N*B, 2^m, 2^m) complex; used where `grad_memory` is given.
        grad_probs: (B, T, 2^r).
        grad_memory: (B, 2^m, 2^m) complex or None.

    Returns:
        (N, B) float64.
    """

    def product(outputs: Tensor, gradient: Tensor) -> Tensor:
        # Summed in float64: differences of these values are what the estimators live on.
        return (outputs.double().view(n, *gradient.shape) * gradient).flatten(2).sum(2)

    total = product(probs, grad_probs)
    if grad_memory is not None and memory is not None:
        total += product(torch.view_as_real(memory), torch.view_as_real(grad_memory.resolve_conj()))
    return total
