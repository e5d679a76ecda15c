"""The parameter-shift rule, gate occurrence by gate occurrence."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.circuit import Angle, Circuit
from qrnn_fast.estimators.base import MEMORY_LIMIT, Estimator, Evaluation, copies_at_once, copies_seed, row_values


@dataclass(frozen=True)
class ParameterShift(Estimator):
    """Exact gradients from evaluations at shifted angles, as hardware can do them.

    Measurement and reset are fixed linear maps, so the outputs are trigonometric polynomials in the angle of each gate
    occurrence. Every occurrence at every step is shifted by itself: two evaluations for a gate whose generator has two
    eigenvalues, four for a controlled rotation (Anselmetti et al., arXiv:2104.05695, eq. 8). An angle that serves
    several occurrences gets the sum over them. With shots the estimate is unbiased, and every evaluation draws numbers
    of its own.

    Args:
        over_ranks: spread the copies over the ranks of torch.distributed's default process group, which all hold the
            same batch; every rank gets the whole gradient.
        memory_limit: bytes that the shifted copies of one call may take; more copies are evaluated in several calls.

    Raises:
        ValueError: `memory_limit` is below 1.
        TypeError: a setting of the wrong type.
    """

    over_ranks: bool = False
    memory_limit: int = field(default=MEMORY_LIMIT, repr=False)

    method: ClassVar[str] = "parameter-shift"

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
        unshared = _unshare(evaluation.circuit.to_string(), angles.device)
        scales, offsets = unshared.scales.to(angles.dtype), unshared.offsets.to(angles.dtype)
        occurrences = offsets + scales * angles[..., unshared.slots]  # (B, T, J)
        n_rows, n_steps, n_occurrences = occurrences.shape
        n_shifts = len(unshared.shifts)
        n_copies = n_steps * n_shifts
        evaluation = Evaluation(unshared.circuit, evaluation.backend, evaluation.shots)
        if evaluation.is_sampled:
            seed = copies_seed(seed, n_copies)
        values = row_values(evaluation, occurrences, memory, grad_probs, grad_memory, seed, sequence_ids, n_copies)
        values = self.spread(
            values, n_rows, evaluation.circuit, occurrences, memory, grad_probs, grad_memory, seed, sequence_ids
        )
        point = occurrences.flatten(1)
        gradient = torch.zeros(point.shape, dtype=torch.float64, device=point.device)
        at_once = copies_at_once(self.memory_limit, evaluation.bytes_per_copy(n_rows, n_rows * n_steps, angles.dtype))
        for start in range(0, n_copies, at_once):
            copies = range(start, min(n_copies, start + at_once))
            copy = torch.arange(copies.start, copies.stop, device=point.device)
            step, shift = copy // n_shifts, copy % n_shifts
            coordinate = step * n_occurrences + unshared.shifted[shift]
            offsets = torch.zeros(len(copy), 1, point.shape[1], dtype=angles.dtype, device=point.device)
            offsets[copy - copies.start, 0, coordinate] = unshared.shifts[shift].to(angles.dtype)
            terms = values(offsets, copies) * unshared.coefficients[shift, None]  # (N, B)
            gradient.scatter_add_(1, coordinate.expand(n_rows, -1), terms.T)
        per_occurrence = gradient.view(occurrences.shape) * unshared.scales
        by_slot = torch.zeros(angles.shape, dtype=torch.float64, device=angles.device)
        by_slot.index_add_(2, unshared.slots, per_occurrence)
        return by_slot.to(angles.dtype), None


class _Unshared(NamedTuple):
    """A circuit in which every gate occurrence with a slot has a slot of its own, J in all, and M shift terms."""

    circuit: Circuit
    slots: Tensor  # (J,) the original slot, and the angle there: offset + scale * slot
    scales: Tensor  # (J,)
    offsets: Tensor  # (J,)
    shifted: Tensor  # (M,) occurrence that the term shifts
    shifts: Tensor  # (M,) radians
    coefficients: Tensor  # (M,)


@lru_cache(maxsize=128)
def _unshare(text: str, device: torch.device) -> _Unshared:
    circuit = Circuit.from_string(text)
    rules = {op.name: [op.shift_rule(i) for i in range(op.n_angles)] for op in _core.op_table()}
    unshared = Circuit(circuit.n_qubits)
    shared: list[Angle] = []
    terms: list[tuple[int, float, float]] = []
    for operation in circuit.operations:
        angles: list[Angle | float] = []
        for angle, rule in zip(operation.angles, rules.get(operation.name, []), strict=True):
            if isinstance(angle, Angle):
                terms += [(len(shared), coefficient, shift) for coefficient, shift in rule]
                shared.append(angle)
                angle = unshared.angle()
            angles.append(angle)
        unshared.add(operation, angles)
    for error in circuit.readout_errors:
        unshared.readout_error(error.confusion, error.qubits)
    return _Unshared(
        unshared,
        torch.tensor([angle.slot for angle in shared], dtype=torch.int64, device=device),
        torch.tensor([angle.scale for angle in shared], dtype=torch.float64, device=device),
        torch.tensor([angle.offset for angle in shared], dtype=torch.float64, device=device),
        torch.tensor([occurrence for occurrence, _, _ in terms], dtype=torch.int64, device=device),
        torch.tensor([shift for _, _, shift in terms], dtype=torch.float64, device=device),
        torch.tensor([coefficient for _, coefficient, _ in terms], dtype=torch.float64, device=device),
    )
