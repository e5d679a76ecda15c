"""The backend that runs circuits on quantum processors."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.backends.runtime.budget import JOB_SECONDS, Clock, Estimate, check_budget
from qrnn_fast.backends.runtime.devices import check_mode, is_ibm, open_device
from qrnn_fast.backends.runtime.dispatch import Dispatch
from qrnn_fast.backends.runtime.jobs import Part, split
from qrnn_fast.backends.runtime.journal import Call, Journal
from qrnn_fast.backends.runtime.program import SEED_TRANSPILER, Program, compile_program
from qrnn_fast.circuit import Circuit


class Runtime:
    """Quantum processors, IBM's and others', and their snapshots on a local simulator.

    A call is one job, with one circuit and a row of parameter values for each sequence, unless that exceeds what a job
    may hold; then all its jobs are submitted before the first one is waited for. Circuits are transpiled to the
    backend's own instructions once for each circuit and number of steps.

    **Stopping and resuming.** With a `journal`, jobs' ids are on disk before they are waited for, and results before
    they are used. Calls are numbered: `position` is the number of those that were answered. A run that is resumed from
    a checkpoint sets `position` to what it was at the checkpoint and makes the same calls again; those that the journal
    knows are answered from stored results or from jobs that run or have finished meanwhile, and nothing is paid for
    twice. `forget` removes results that lie before a checkpoint. A call that raised or was interrupted can be made
    again in the same way; a job that failed or was cancelled is then submitted anew. Where there is no service of IBM's
    to ask for a job of an earlier process (local simulators, processors of others), a job without stored results runs
    again, and is paid for again.

    Calls of several threads wait for each other. A copy of a layer shares the layer's Runtime.

    Job ids, rows, shots and QPU time go to the logger "qrnn_fast.runtime".

    Args:
        backend: a Qiskit BackendV2 object; "NAME" of a processor of IBM's, with the saved account; or "fake:NAME" of a
            snapshot, such as "fake:Marrakesh".
        mode: a Session or Batch of qiskit_ibm_runtime, or None to send single jobs.
        shots: samples per sequence, unless `evolve` or the layer asks for another number.
        options: of the sampler, handed on: a dict or `SamplerOptions` for IBM's backends, a dict for others.
        optimization_level: of the transpilation, 0 to 3.
        timeout: seconds to wait for the jobs of a call; None for any time.
        max_qpu_seconds: limit to the QPU time of all calls, the journal's included; None for none.
        journal: path of the journal, a file that the first call makes where there is none; None to keep none.
        one_call_per_update: run the perturbed copies of the gradient together with the forward pass, as one job where
            they fit into one. Where False, they run when a gradient is asked for, as a job of their own, and nothing is
            spent on them where none is. Inside `torch.no_grad()` they never run. Under `torch.compile` they are a job
            of their own, too; `create_graph=True` runs those over angles once more, activation checkpointing all.

    Raises:
        ValueError: a backend without reset or measurement, an unknown name, or a number out of range.
        TypeError: something of a wrong type.
        RuntimeError: no IBM Quantum account is saved.
        ImportError: qiskit_ibm_runtime is needed and not installed.
        JournalError: the journal cannot be read.
    """

    name: ClassVar[str] = "runtime"

    def __init__(
        self,
        backend: Any,
        mode: Any = None,
        *,
        shots: int = 1024,
        options: Any = None,
        optimization_level: int = 3,
        timeout: float | None = None,
        max_qpu_seconds: float | None = None,
        journal: str | os.PathLike[str] | None = None,
        one_call_per_update: bool = True,
    ) -> None:
        self.shots = _at_least(1, "shots", shots)
        if optimization_level not in range(4):
            raise ValueError(f"optimization_level must be 0, 1, 2 or 3, got {optimization_level!r}")
        for name, seconds in (("timeout", timeout), ("max_qpu_seconds", max_qpu_seconds)):
            if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, Real)):
                raise TypeError(f"{name} must be a number of seconds or None, got {seconds!r}")
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} must be a positive number of seconds or None, got {seconds!r}")
        self.one_call_per_update = one_call_per_update
        self._device = open_device(backend)
        check_mode(self._device, mode)
        self._mode = mode
        self._optimization_level = optimization_level
        self._timeout = timeout
        self._max_qpu_seconds = max_qpu_seconds
        self._journal = Journal(None if journal is None else Path(journal))
        self._dispatch = Dispatch(self._device, mode, options, self._journal)
        self._position = 0
        self._programs: dict[tuple[str, int], Program] = {}
        self._one_at_a_time = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Runtime:
        """Itself: copies of a layer share the processor, its journal and its budget."""
        return self

    def __repr__(self) -> str:
        mode = None if self._mode is None else type(self._mode).__name__
        return f"Runtime({self._device.name!r}, mode={mode}, shots={self.shots})"

    @property
    def position(self) -> int:
        """Number of calls that were answered; set it to resume from a checkpoint."""
        return self._position

    @position.setter
    def position(self, number: int) -> None:
        self._position = _at_least(0, "position", number)

    @property
    def used_qpu_seconds(self) -> float:
        """QPU time of all jobs so far, of earlier processes with the same journal too.

        It is what the service reports, the estimate where it reports nothing (yet), so for jobs that still run, too,
        and nothing where neither is known.
        """
        return self._journal.seconds

    def forget(self, position: int) -> None:
        """Remove the stored results of the calls before `position`, which no checkpoint needs any more."""
        self._journal.forget(position)

    def qpu_seconds(self, circuit: Circuit, n_steps: int, n_rows: int, shots: int | None = None) -> Estimate:
        """What a call takes of the processor.

        Args:
            circuit: one time step.
            n_steps: number of steps T.
            n_rows: number of sequences B, perturbed copies included.
            shots: of each; None for the number given to the constructor.

        Raises:
            ValueError: the circuit cannot run here, or the backend does not tell how long its instructions take.
        """
        n_steps, n_rows = _at_least(1, "n_steps", n_steps), _at_least(1, "n_rows", n_rows)
        shots = self.shots if shots is None else _at_least(1, "shots", shots)
        program = self._program(circuit, n_steps)
        clock = self._clock(program)
        if clock is None:
            raise ValueError(f"{self._device.name} does not tell how long its instructions take")
        parts = _parts(program, n_rows, shots)
        return Estimate(n_rows, shots, len(parts), clock.circuit, clock.circuit + clock.delay, clock.seconds(parts))

    def run(
        self,
        circuit: Circuit,
        angles: Tensor,
        memory: Tensor | None,
        *,
        shots: int | None = None,
        seed: int = 0,
        sequence_ids: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Frequencies of the outcomes.

        Args:
            circuit: one time step, without channels and readout errors.
            angles: (B, T, A) float32 or float64, radians, finite.
            memory: None; a processor starts from |0...0>.
            shots: samples per sequence; None for the number given to the constructor.
            seed: of a local simulator, so that its results can be had again. A processor draws by itself.
            sequence_ids: (B,) int64 or None, without effect: there are no common random numbers on a processor, all
                sequences are drawn independently.

        Returns:
            (B, T, 2^r) in the dtype of the angles, and None.

        Raises:
            ValueError: a memory, angles that are not finite, or a circuit that cannot run here.
            BudgetError: the call would exceed `max_qpu_seconds`; nothing was sent.
            JobError: a job failed, was cancelled, took longer than the timeout or brought partial results.
            JournalError: the journal has another call at this position, or is damaged.
        """
        shots = self.shots if shots is None else shots
        if angles.shape[-1] != circuit.n_angles:
            raise ValueError(f"angles must have the shape (B, T, {circuit.n_angles}), got {tuple(angles.shape)}")
        if memory is not None:
            raise ValueError("a quantum processor starts from |0...0> and takes no memory; use backend='native'")
        if not angles.isfinite().all():
            raise ValueError("a quantum processor takes finite angles only")
        n_rows, n_steps = angles.shape[:2]
        if n_rows == 0 or n_steps == 0:
            return angles.new_zeros(n_rows, n_steps, 2 ** len(circuit.readout)), None
        with self._one_at_a_time:  # or two calls would have the same number
            program = self._program(circuit, n_steps)
            digest, parts = self._digest(circuit, angles, shots), _parts(program, n_rows, shots)
            clock = self._clock(program)
            estimates = [None if clock is None else clock.seconds([part]) for part in parts]
            call = self._journal.call(self._position, digest, parts, estimates)
            counts = self._answer(call, program, angles, seed)
            self._dispatch.done(call)
            self._position += 1
        return torch.from_numpy(counts / shots).to(angles.dtype), None

    # ---- a call

    def _answer(self, call: Call, program: Program, angles: Tensor, seed: int) -> NDArray[np.int64]:
        """Counts (B, T, 2^r) of all parts."""
        counts = np.zeros((len(angles), program.n_steps, 1 << program.n_bits), dtype=np.int64)
        waiting: list[int] = []
        for i, part in enumerate(call.parts):
            stored = self._journal.results(call, i)
            if stored is None:
                waiting.append(i)
            else:
                counts[part.start : part.stop] += stored
        jobs = {i: job for i in waiting if (job := self._dispatch.find(call, i)) is not None}
        new = [i for i in waiting if i not in jobs]
        if new:
            self._check_budget([call.estimates[i] for i in new])
            self._journal.begin(call, seed)
        for i in new:
            jobs[i] = self._dispatch.submit(call, i, program, angles, seed)
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        for i in waiting:
            part = call.parts[i]
            counts[part.start : part.stop] += self._dispatch.collect(call, i, jobs[i], program, deadline)
        return counts

    # ---- circuits and time

    def _program(self, circuit: Circuit, n_steps: int) -> Program:
        key = (circuit.to_string(), n_steps)
        if key not in self._programs:
            self._programs[key] = compile_program(circuit, n_steps, self._device, self._optimization_level)
        return self._programs[key]

    def _clock(self, program: Program) -> Clock | None:
        if program.seconds is None:
            return None
        return Clock(program.seconds, self._dispatch.shot_delay, JOB_SECONDS if is_ibm(self._device) else 0.0)

    def _check_budget(self, estimates: list[float | None]) -> None:
        if self._max_qpu_seconds is None:
            return
        known = [seconds for seconds in estimates if seconds is not None]
        if len(known) < len(estimates):
            raise ValueError(
                f"{self._device.name} does not tell how long its instructions take, so that max_qpu_seconds cannot be "
                "kept; use None"
            )
        check_budget(self.used_qpu_seconds, sum(known), self._max_qpu_seconds)

    def _digest(self, circuit: Circuit, angles: Tensor, shots: int) -> str:
        """Tells whether two calls ask for the same."""
        how = (self._device.name, self._optimization_level, SEED_TRANSPILER, self._dispatch.outcome_options)
        digest = hashlib.sha256(repr((circuit.to_string(), tuple(angles.shape), shots, how)).encode())
        digest.update(angles.contiguous().numpy().tobytes())
        return digest.hexdigest()


def _parts(program: Program, n_rows: int, shots: int) -> list[Part]:
    return split(n_rows, shots, bits=program.n_steps * program.n_bits, instructions=program.instructions)


def _at_least(least: int, name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value
