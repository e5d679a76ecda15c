"""What the exact engines have in common on a GPU: arrays in, arrays out, one launch in between."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.arguments import fields
from qrnn_fast.cuda.device import Device

EXACT_FIELDS = fields(
    "n_sequences n_steps",
    "angles memory probabilities memory_out grad_probabilities grad_memory_out grad_angles grad_memory workspace kept",
)
"""Of ExactArguments of csrc/cuda/exact.hpp, which the kernels of both engines take."""


class ExactEngine(ABC):
    """Exact probabilities and gradients of one circuit on a device.

    Args:
        circuit: one time step.
        device: where to run.

    Raises:
        ValueError: nothing is measured, the engine has not what the circuit needs, or its tables do not fit into
            memory.
    """

    def __init__(self, circuit: Circuit, device: Device) -> None:
        self._device = device
        self._n_outcomes = 2 ** len(circuit.readout)
        self._dim = 2 ** len(circuit.memory)

    def run(self, angles: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outcome probabilities (B, T, 2^r) and final memory (B, 2^m, 2^m, 2), real and imaginary part.

        Args:
            angles: (B, T, A) float32 or float64, radians, contiguous, on the device.
            memory: (B, 2^m, 2^m, 2) of the same dtype, contiguous; None for |0...0>.

        Raises:
            ValueError: a single sequence's work exceeds the device's budget.
        """
        n_sequences, n_steps, _ = angles.shape
        probs = angles.new_empty(n_sequences, n_steps, self._n_outcomes)
        final = angles.new_empty(n_sequences, self._dim, self._dim, 2)
        if n_sequences > 0:
            self._launch(angles, adjoint=False, memory=memory, probabilities=probs, memory_out=final)
        return probs, final

    def vjp(
        self, angles: Tensor, memory: Tensor | None, grad_probs: Tensor, grad_memory: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Gradients of a function by the angles and by the initial memory, from those by `run`'s results.

        Raises:
            ValueError: a single sequence's work, and what is kept of its steps, exceeds the device's budget.
        """
        grad_angles = torch.empty_like(angles)
        grad_initial = angles.new_empty(len(angles), self._dim, self._dim, 2)
        if len(angles) > 0:
            self._launch(
                angles,
                adjoint=True,
                memory=memory,
                grad_probabilities=grad_probs,
                grad_memory_out=grad_memory,
                grad_angles=grad_angles,
                grad_memory=grad_initial,
            )
        return grad_angles, grad_initial

    @abstractmethod
    def _launch(self, angles: Tensor, *, adjoint: bool, **arrays: Tensor | None) -> None:
        """Start the kernel of a forward or of an adjoint pass over a batch of at least one sequence."""

    def _groups_at_once(self, bytes_of_group: int, n_steps: int) -> int:
        """How many groups of sequences of so many steps the device's memory holds.

        Raises:
            ValueError: not a single one.
        """
        budget = self._device.memory_budget
        if bytes_of_group > budget:
            raise ValueError(
                f"the work of a sequence of {n_steps} steps needs {bytes_of_group / 1e9:.1f} GB on the GPU, where "
                f"{budget / 1e9:.1f} GB are granted; cut the sequence into pieces and hand the memory on, or use "
                "float32"
            )
        return budget // max(1, bytes_of_group)
