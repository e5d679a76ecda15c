"""The Pauli engine on a GPU: shapes of launches, arrays, and the two kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.arguments import REALS, Arguments, fields
from qrnn_fast.cuda.budget import groups_at_once
from qrnn_fast.cuda.device import Device

_THREADS = 256
_LANES = (32, 16, 8, 4, 2, 1)


class _Arguments(Arguments):
    """PauliArguments of csrc/cuda/pauli.hpp."""

    _fields_ = fields(
        "n_sequences n_steps",
        "angles memory probabilities memory_out grad_probabilities grad_memory_out grad_angles grad_memory "
        "workspace kept",
    )


@dataclass(frozen=True)
class _Launch:
    """How a batch is spread over the device."""

    lanes: int  # sequences of a block of threads
    threads: int
    grid: int
    workspace: int  # numbers of a block
    in_shared: bool


class PauliEngine:
    """Exact probabilities and gradients of one circuit on a device.

    Args:
        circuit: one time step.
        device: where to run.

    Raises:
        ValueError: nothing is measured, or the plan's tables do not fit into memory.
    """

    def __init__(self, circuit: Circuit, device: Device) -> None:
        self._plan = _core.CudaPauliPlan(circuit._core)
        self._source = cache(self._plan.source)  # to print one takes longer than to run it
        self._device = device
        self._n_outcomes = 2 ** len(circuit.readout)
        self._dim = 2 ** len(circuit.memory)

    def run(self, angles: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outcome probabilities (B, T, 2^r) and final memory (B, 2^m, 2^m, 2), real and imaginary part.

        Args:
            angles: (B, T, A) float32 or float64, radians, contiguous, on the device.
            memory: (B, 2^m, 2^m, 2) of the same dtype, contiguous; None for |0...0>.
        """
        n_sequences, n_steps, _ = angles.shape
        probs = angles.new_empty(n_sequences, n_steps, self._n_outcomes)
        final = angles.new_empty(n_sequences, self._dim, self._dim, 2)
        if n_sequences > 0:
            launch = self._shape(angles, adjoint=False)
            self._launch("pauli_forward", launch, angles, memory=memory, probabilities=probs, memory_out=final)
        return probs, final

    def vjp(
        self, angles: Tensor, memory: Tensor | None, grad_probs: Tensor, grad_memory: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Gradients of a function by the angles and by the initial memory, from those by `run`'s results.

        Raises:
            ValueError: what has to be kept of a single group of sequences exceeds the device's budget.
        """
        grad_angles = torch.empty_like(angles)
        grad_initial = angles.new_empty(len(angles), self._dim, self._dim, 2)
        if len(angles) > 0:
            launch = self._shape(angles, adjoint=True)
            kept = angles.new_empty(launch.grid * (angles.shape[1] + 1) * self._plan.kept_size() * launch.lanes)
            self._launch(
                "pauli_adjoint",
                launch,
                angles,
                memory=memory,
                grad_probabilities=grad_probs,
                grad_memory_out=grad_memory,
                grad_angles=grad_angles,
                grad_memory=grad_initial,
                kept=kept,
            )
        return grad_angles, grad_initial

    def _shape(self, angles: Tensor, *, adjoint: bool) -> _Launch:
        """As many sequences in a block as fill the device and leave room for two blocks on a multiprocessor."""
        n_sequences, n_steps, _ = angles.shape
        numbers, spread = self._device.shared_bytes // angles.itemsize, 2 * self._device.n_multiprocessors
        in_shared, lanes = True, 1
        for lanes in _LANES:
            workspace = self._plan.workspace_size(lanes, _THREADS // lanes, adjoint)
            if 2 * workspace <= numbers and (n_sequences >= lanes * spread or lanes == 1):
                break
        else:
            in_shared = workspace <= numbers
        grid = -(-n_sequences // lanes)
        of_block = 0 if in_shared else workspace
        if adjoint:
            of_block += (n_steps + 1) * self._plan.kept_size() * lanes
        if of_block > 0:
            at_once = groups_at_once(self._device, of_block * angles.itemsize, n_steps)
            # More blocks than are at work at a time would only take memory.
            grid = min(grid, 16 * self._device.n_multiprocessors, at_once)
        return _Launch(lanes, _THREADS, grid, workspace, in_shared)

    def _launch(self, name: str, launch: _Launch, angles: Tensor, **arrays: Tensor | None) -> None:
        source = self._source(REALS[angles.dtype], launch.lanes)
        if not launch.in_shared:
            arrays["workspace"] = angles.new_empty(launch.grid * launch.workspace)
        shared = launch.workspace * angles.itemsize if launch.in_shared else 0
        argument = _Arguments.of(n_sequences=len(angles), n_steps=angles.shape[1], angles=angles, **arrays)
        self._device.kernel(source, name).launch(launch.grid, launch.threads, shared, argument)
