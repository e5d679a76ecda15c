"""The trajectory engine on a GPU: shots through all steps; and steps that are sampled each by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.arguments import REALS, Arguments, fields
from qrnn_fast.cuda.device import Device

_WARP = 32
_WARPS = (8, 4, 2, 1)
# Threads that a multiprocessor holds at once: more of them need no memory of their own.
_RESIDENT_WARPS = 64
# Shots whose states are added up together: the same sums, however much memory a device has.
_SHOTS_PER_SUM = 2**16


class _Arguments(Arguments):
    """TrajectoryArguments of csrc/cuda/trajectory.hpp."""

    _fields_ = fields(
        "n_sequences n_steps first_shot n_shots n_initial seed",
        "angles initial initial_weights sequence_ids tables outcomes counts states memory workspace",
    )


class _MarginalArguments(Arguments):
    """MarginalArguments of csrc/cuda/marginal.cuh."""

    _fields_ = fields(
        "n_sequences n_steps n_outcomes n_shots seed", "probabilities sequence_ids outcomes counts workspace"
    )


@dataclass(frozen=True)
class _Batch:
    """Sequences to be sampled; see `TrajectoryEngine.run`."""

    angles: Tensor
    initial: Tensor | None
    weights: Tensor | None
    ids: Tensor
    seed: int

    def __getitem__(self, rows: slice) -> _Batch:
        initial, weights = (None if x is None else x[rows] for x in (self.initial, self.weights))
        return _Batch(self.angles[rows], initial, weights, self.ids[rows], self.seed)


@dataclass(frozen=True)
class _Launch:
    """How shots are spread over the device; their states are in shared memory or in a workspace of so many numbers."""

    grid: int
    threads: int
    shared_bytes: int
    workspace: int


class TrajectoryEngine:
    """Sampled outcomes of one circuit on a device: with the same seed those of the CPU's engine.

    A shot may differ from the CPU's, from that step on, where a number falls within rounding of its threshold. Nothing
    waits for the device.

    Args:
        circuit: one time step.
        device: where to run.

    Raises:
        ValueError: nothing is measured, or a shot's state has more than 2^24 amplitudes.
    """

    def __init__(self, circuit: Circuit, device: Device) -> None:
        self._plan = _core.TrajectoryPlan(circuit._core)
        self._device = device
        self._n_outcomes = 2 ** len(circuit.readout)
        self._dim = 2 ** len(circuit.memory)
        self._workspace = _core.trajectory_workspace_size(self._plan)
        self._sources = {dtype: _core.trajectory_source(self._plan, real) for dtype, real in REALS.items()}

    def run(
        self, angles: Tensor, initial: Tensor | None, weights: Tensor | None, ids: Tensor, *, seed: int, shots: int
    ) -> tuple[Tensor, Tensor]:
        """Frequencies of the outcomes (B, T, 2^r), and the final memory averaged over the shots (B, 2^m, 2^m, 2).

        Both are NaN from the first step on at which an angle is not finite.

        Args:
            angles: (B, T, A) float32 or float64, radians, contiguous, on the device.
            initial: (B, K, 2^m, 2) of the same dtype, contiguous: the states that shots begin in; None for |0...0>.
            weights: (B, K) float64, contiguous: their weights, summed up.
            ids: (B,) int64, contiguous, 0 <= id < 2^32.
            seed: of all random numbers, 0 <= seed < 2^63.
            shots: samples per sequence.

        Raises:
            ValueError: a single sequence, or 32 shots, need more memory than the device's budget.
        """
        batch = _Batch(angles, initial, weights, ids, seed)
        n_sequences, n_steps, _ = angles.shape
        counts = torch.zeros(n_sequences, n_steps, self._n_outcomes, dtype=torch.int32, device=angles.device)
        memory = angles.new_empty(n_sequences, self._dim, self._dim, 2)
        at_once = min(shots, _SHOTS_PER_SUM)
        for rows in self._chunks(angles, states=at_once):
            tables = self._tables(angles[rows])
            for first in range(0, shots, at_once):
                states = angles.new_empty(len(angles[rows]), min(at_once, shots - first), self._dim, 2)
                self._shots(batch[rows], tables, first, states.shape[1], counts=counts[rows], states=states)
                self._add_states(first, states, memory[rows])
        is_lost = angles.isfinite().all(2).logical_not().cumsum(1) > 0
        frequencies = (counts.double() / shots).to(angles.dtype).masked_fill(is_lost[..., None], torch.nan)
        memory = (memory * (1 / shots)).masked_fill(is_lost[:, -1:].any(1)[:, None, None, None], torch.nan)
        return frequencies, memory

    def sample(
        self, angles: Tensor, initial: Tensor | None, weights: Tensor | None, ids: Tensor, *, seed: int, shots: int
    ) -> Tensor:
        """The outcomes whose frequencies `run` tells, (B, shots, T) int32; arguments and errors as there.

        From the first step on at which an angle is not finite they mean nothing. (To raise, as the CPU does, one would
        have to wait for the angles.)
        """
        batch = _Batch(angles, initial, weights, ids, seed)
        outcomes = torch.empty(len(angles), shots, angles.shape[1], dtype=torch.int32, device=angles.device)
        for rows in self._chunks(angles, states=0):
            self._shots(batch[rows], self._tables(angles[rows]), 0, shots, outcomes=outcomes[rows])
        return outcomes

    def _chunks(self, angles: Tensor, *, states: int) -> list[slice]:
        """Slices of the batch whose tables and states, so many per sequence, take half of the budget at most."""
        n_sequences, n_steps, _ = angles.shape
        numbers = _core.trajectory_table_size(self._plan, n_steps) + states * 2 * self._dim
        of_sequence, budget = numbers * angles.itemsize, self._device.memory_budget // 2
        if of_sequence > budget:
            raise ValueError(
                f"sampling a sequence of {n_steps} steps needs {of_sequence / 1e9:.1f} GB on the GPU, where "
                f"{budget / 1e9:.1f} GB are granted; cut the sequence into pieces and hand the memory on, use fewer "
                "shots, or float32"
            )
        n = budget // of_sequence if of_sequence > 0 else n_sequences
        return [slice(first, first + n) for first in range(0, n_sequences, n)]

    def _tables(self, angles: Tensor) -> Tensor:
        n_sequences, n_steps, _ = angles.shape
        tables = angles.new_empty(n_sequences, _core.trajectory_table_size(self._plan, n_steps))
        if n_steps > 0:
            argument = _Arguments.of(n_sequences=n_sequences, n_steps=n_steps, angles=angles, tables=tables)
            threads = 128
            grid = min(n_sequences * n_steps, 16 * self._device.n_multiprocessors)
            self._device.kernel(self._sources[angles.dtype], "trajectory_tables").launch(grid, threads, 0, argument)
        return tables

    def _shots(
        self,
        batch: _Batch,
        tables: Tensor,
        first: int,
        shots: int,
        *,
        counts: Tensor | None = None,
        outcomes: Tensor | None = None,
        states: Tensor | None = None,
    ) -> None:
        angles = batch.angles
        launch = self._launch(len(angles) * shots, angles.itemsize)
        argument = _Arguments.of(
            n_sequences=len(angles),
            n_steps=angles.shape[1],
            first_shot=first,
            n_shots=shots,
            n_initial=0 if batch.initial is None else batch.initial.shape[1],
            seed=batch.seed,
            angles=angles,
            initial=batch.initial,
            initial_weights=batch.weights,
            sequence_ids=batch.ids,
            tables=tables,
            outcomes=outcomes,
            counts=counts,
            states=states,
            workspace=angles.new_empty(launch.workspace) if launch.workspace > 0 else None,
        )
        kernel = self._device.kernel(self._sources[angles.dtype], "trajectory_shots")
        kernel.launch(launch.grid, launch.threads, launch.shared_bytes, argument)

    def _launch(self, n_shots: int, itemsize: int) -> _Launch:
        """States in shared memory where those of four warps fit, one for each scheduler of a multiprocessor."""
        of_warp, n_multiprocessors = _WARP * self._workspace * itemsize, self._device.n_multiprocessors
        budget = self._device.memory_budget // 2
        if of_warp > budget:
            raise ValueError(
                f"sampling this circuit needs {of_warp / 1e9:.1f} GB on the GPU for {_WARP} shots, where "
                f"{budget / 1e9:.1f} GB are granted; use float32, or a circuit with fewer active qubits"
            )
        in_shared = 4 * of_warp <= self._device.shared_bytes
        room = self._device.shared_bytes // of_warp // 2 if in_shared else budget // of_warp
        # Two blocks or more on every multiprocessor, as far as there are shots.
        warps = max(n for n in _WARPS if n == 1 or (n <= room and n_shots >= 2 * n * _WARP * n_multiprocessors))
        grid = -(-n_shots // (warps * _WARP))
        if in_shared:
            return _Launch(grid, warps * _WARP, warps * of_warp, 0)
        grid = min(grid, room // warps, _RESIDENT_WARPS // warps * n_multiprocessors)
        return _Launch(grid, warps * _WARP, 0, grid * warps * _WARP * self._workspace)

    def _add_states(self, first: int, states: Tensor, memory: Tensor) -> None:
        n_sequences, shots, _, _ = states.shape
        argument = _Arguments.of(n_sequences=n_sequences, first_shot=first, n_shots=shots, states=states, memory=memory)
        threads, n_tiles = 8 * _WARP, -(-(self._dim**2) // _WARP)
        grid = min(n_sequences * n_tiles, 16 * self._device.n_multiprocessors)
        kernel = self._device.kernel(self._sources[states.dtype], "trajectory_memory")
        kernel.launch(grid, threads, 2 * threads * states.itemsize, argument)


def marginal_outcomes(device: Device, probabilities: Tensor, ids: Tensor, *, seed: int, shots: int) -> Tensor:
    """Outcomes (B, shots, T) int32, each step drawn by itself: those of the CPU, from the same seed.

    Args:
        device: where to run.
        probabilities: (B, T, n) float32 or float64, contiguous, on the device.
        ids: (B,) int64, contiguous, 0 <= id < 2^32.
        seed: of all random numbers, 0 <= seed < 2^63.
        shots: samples per sequence.
    """
    n_sequences, n_steps, _ = probabilities.shape
    outcomes = torch.empty(n_sequences, shots, n_steps, dtype=torch.int32, device=probabilities.device)
    _draw_steps(device, probabilities, ids, seed, shots, outcomes=outcomes)
    return outcomes


def marginal_frequencies(device: Device, probabilities: Tensor, ids: Tensor, *, seed: int, shots: int) -> Tensor:
    """How often each outcome is drawn, over the shots, (B, T, n); arguments as of `marginal_outcomes`.

    NaN at the steps that have a probability which is not finite.
    """
    counts = torch.zeros(probabilities.shape, dtype=torch.int32, device=probabilities.device)
    _draw_steps(device, probabilities, ids, seed, shots, counts=counts)
    is_lost = probabilities.isfinite().all(2, keepdim=True).logical_not()
    return (counts.double() / shots).to(probabilities.dtype).masked_fill(is_lost, torch.nan)


def _draw_steps(
    device: Device,
    probabilities: Tensor,
    ids: Tensor,
    seed: int,
    shots: int,
    *,
    outcomes: Tensor | None = None,
    counts: Tensor | None = None,
) -> None:
    n_sequences, n_steps, n_outcomes = probabilities.shape
    grid, threads = min(n_sequences * n_steps, 16 * device.n_multiprocessors), 4 * _WARP
    if grid == 0:
        return
    in_shared = 8 * n_outcomes <= device.shared_bytes
    argument = _MarginalArguments.of(
        n_sequences=n_sequences,
        n_steps=n_steps,
        n_outcomes=n_outcomes,
        n_shots=shots,
        seed=seed,
        probabilities=probabilities,
        sequence_ids=ids,
        outcomes=outcomes,
        counts=counts,
        workspace=None if in_shared else probabilities.new_empty(grid * n_outcomes, dtype=torch.float64),
    )
    kernel = device.kernel(_core.marginal_source(REALS[probabilities.dtype]), "marginal_outcomes")
    kernel.launch(grid, threads, 8 * n_outcomes if in_shared else 0, argument)
