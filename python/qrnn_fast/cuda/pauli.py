"""The Pauli engine on a GPU: shapes of launches, and the two kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.arguments import REALS, Arguments
from qrnn_fast.cuda.device import Device
from qrnn_fast.cuda.exact import EXACT_FIELDS, ExactEngine

_THREADS = 256
_LANES = (32, 16, 8, 4, 2, 1)


class _Arguments(Arguments):
    """ExactArguments of csrc/cuda/exact.hpp."""

    _fields_ = EXACT_FIELDS


@dataclass(frozen=True)
class _Launch:
    """How a batch is spread over the device."""

    lanes: int  # sequences of a block of threads
    threads: int
    grid: int
    workspace: int  # numbers of a block
    in_shared: bool
    kept: int  # numbers that the adjoint keeps, of a block


class PauliEngine(ExactEngine):
    """The Pauli engine; see `ExactEngine`."""

    def __init__(self, circuit: Circuit, device: Device) -> None:
        super().__init__(circuit, device)
        self._plan = _core.CudaPauliPlan(circuit._core)
        self._source = cache(self._plan.source)  # to print one takes longer than to run it

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
        kept = (n_steps + 1) * self._plan.kept_size() * lanes if adjoint else 0
        of_block = kept if in_shared else kept + workspace
        if of_block > 0:
            at_once = self._groups_at_once(of_block * angles.itemsize, n_steps)
            # More blocks than are at work at a time would only take memory.
            grid = min(grid, 16 * self._device.n_multiprocessors, at_once)
        return _Launch(lanes, _THREADS, grid, workspace, in_shared, kept)

    def _launch(self, angles: Tensor, *, adjoint: bool, **arrays: Tensor | None) -> None:
        launch = self._shape(angles, adjoint=adjoint)
        if adjoint:
            arrays["kept"] = angles.new_empty(launch.grid * launch.kept)
        if not launch.in_shared:
            arrays["workspace"] = angles.new_empty(launch.grid * launch.workspace)
        shared = launch.workspace * angles.itemsize if launch.in_shared else 0
        argument = _Arguments.of(n_sequences=len(angles), n_steps=angles.shape[1], angles=angles, **arrays)
        source = self._source(REALS[angles.dtype], launch.lanes)
        kernel = self._device.kernel(source, "pauli_adjoint" if adjoint else "pauli_forward")
        kernel.launch(launch.grid, launch.threads, shared, argument)
