"""The factor engine on a GPU: shapes of launches, and the two kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.arguments import REALS, Arguments, fields
from qrnn_fast.cuda.device import Device
from qrnn_fast.cuda.exact import EXACT_FIELDS, ExactEngine

_BARRIER_STRIDE = 32  # of the counters, in csrc/cuda/factor.hpp

_MOST_COLUMNS = 32  # of a chunk: a warp reads one row
_MOST_THREADS = 512  # of a block, in csrc/cuda/factor.cuh
_MOST_IN_SHARED = 256
_NUMBERS_OF_THREAD = 4  # of the state; threads with fewer are not worth their barriers
_TEAMS_OF_MULTIPROCESSOR = 16  # no more run at once


class _Arguments(Arguments):
    """FactorArguments of csrc/cuda/factor.hpp."""

    _fields_ = EXACT_FIELDS + fields("team_blocks", "barriers")


@dataclass(frozen=True)
class Launch:
    """How a batch is spread over the device.

    Attributes:
        threads: of a block.
        team_blocks: blocks that run one sequence together.
        n_teams: how many run at once.
        width: columns of a chunk, a power of 2 from 2 on.
        in_shared: whether the workspace is in shared memory; only for teams of one block.
    """

    threads: int
    team_blocks: int
    n_teams: int
    width: int
    in_shared: bool


class FactorEngine(ExactEngine):
    """The factor engine, for circuits without channels; see `ExactEngine`."""

    def __init__(self, circuit: Circuit, device: Device) -> None:
        super().__init__(circuit, device)
        self._plan = _core.CudaFactorPlan(circuit._core)
        self._source = cache(self._plan.source)  # to print one takes longer than to run it

    def launch_shape(self, angles: Tensor, *, adjoint: bool) -> Launch:
        """A block for each sequence where shared memory holds its numbers; of few larger ones each gets several.

        Raises:
            ValueError: a single sequence's work exceeds the device's budget.
        """
        n_sequences, n_steps, _ = angles.shape
        width = min(max(2, self._dim), _MOST_COLUMNS)
        useful = self._plan.rows * width // _NUMBERS_OF_THREAD  # threads
        threads, team_blocks, of_team = min(_MOST_IN_SHARED, 2 ** max(5, (useful - 1).bit_length())), 1, 0
        columns = self._columns_in_shared(threads, width, angles.itemsize, adjoint=adjoint)
        if columns is None:
            threads = _MOST_THREADS
            while self._plan.scratch_bytes(angles.itemsize, threads, adjoint) > self._device.shared_bytes:
                threads //= 2
            team_blocks = max(1, min(useful // threads, self._device.n_multiprocessors // n_sequences))
            of_team = self._plan.workspace_size(angles.itemsize, width, team_blocks, adjoint)
        if adjoint:
            of_team += n_steps * self._plan.kept_size()
        n_teams = min(n_sequences, self._groups_at_once(of_team * angles.itemsize, n_steps))
        if team_blocks == 1:
            n_teams = min(n_teams, _TEAMS_OF_MULTIPROCESSOR * self._device.n_multiprocessors)
        return Launch(threads, team_blocks, n_teams, columns or width, columns is not None)

    def _columns_in_shared(self, threads: int, width: int, real_bytes: int, *, adjoint: bool) -> int | None:
        """How many columns, up to `width`, make a chunk for which shared memory has room; None where it has none.

        Rather a quarter of the columns than one block alone on a multiprocessor.
        """
        fitting = [columns for columns in (width, width // 2, width // 4) if columns >= 2]
        for share in (2, 1):
            for columns in fitting:
                workspace = self._plan.workspace_size(real_bytes, columns, 1, adjoint) * real_bytes
                scratch = self._plan.scratch_bytes(real_bytes, threads, adjoint)
                if share * (scratch + workspace) <= self._device.shared_bytes:
                    return columns
        return None

    def _launch(self, angles: Tensor, *, adjoint: bool, **arrays: Tensor | None) -> None:
        launch, real_bytes = self.launch_shape(angles, adjoint=adjoint), angles.itemsize
        workspace = self._plan.workspace_size(real_bytes, launch.width, launch.team_blocks, adjoint)
        shared = self._plan.scratch_bytes(real_bytes, launch.threads, adjoint)
        if adjoint:
            arrays["kept"] = angles.new_empty(launch.n_teams * angles.shape[1] * self._plan.kept_size())
        if launch.in_shared:
            shared += workspace * real_bytes
        else:
            arrays["workspace"] = angles.new_empty(launch.n_teams * workspace)
        argument = _Arguments.of(
            n_sequences=angles.shape[0],
            n_steps=angles.shape[1],
            team_blocks=launch.team_blocks,
            angles=angles,
            barriers=torch.zeros(launch.n_teams * _BARRIER_STRIDE, dtype=torch.int32, device=angles.device),
            **arrays,
        )
        source = self._source(REALS[angles.dtype], launch.width)
        kernel = self._device.kernel(source, "factor_adjoint" if adjoint else "factor_forward")
        grid = launch.n_teams * launch.team_blocks
        kernel.launch(grid, launch.threads, shared, argument, cooperative=launch.team_blocks > 1)
