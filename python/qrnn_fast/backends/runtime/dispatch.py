"""The parts of a call on their way: submitted as jobs, found again, collected, all of it in the journal."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.backends.runtime.devices import is_ibm, make_sampler, outcome_options, repetition_delay
from qrnn_fast.backends.runtime.jobs import JobError, collect, incomplete, reported_seconds
from qrnn_fast.backends.runtime.journal import Call, Journal
from qrnn_fast.backends.runtime.program import Program

logger = logging.getLogger("qrnn_fast.runtime")


class Dispatch:
    """What sends jobs to a device.

    Args:
        device: a BackendV2.
        mode: a Session or Batch on it, or None.
        options: of its sampler.
        journal: where all of it is kept.

    Attributes:
        shot_delay: seconds between two shots.
        outcome_options: the sampler's, as text.

    Raises:
        TypeError: the sampler does not take the options. It may raise ValueError for their values.
    """

    def __init__(self, device: Any, mode: Any, options: Any, journal: Journal) -> None:
        self._device = device
        # IBM's, which hands out the jobs of earlier processes.
        self._service: Any = getattr(device, "service", None) if is_ibm(device) else None
        self._mode = mode
        self._options = options
        self._journal = journal
        self._jobs: dict[str, Any] = {}  # this process', until their call is answered
        chosen = make_sampler(device, mode, options, None, []).options
        self.shot_delay = repetition_delay(device, chosen)
        self.outcome_options = outcome_options(chosen)

    def submit(self, call: Call, i: int, program: Program, angles: Tensor, seed: int) -> Any:
        """The job of part `i`, submitted; arguments as for `Runtime.run`."""
        part = call.parts[i]
        # The jobs of a call must not draw the same numbers; Aer takes seeds below 2^63.
        own_seed = int(np.random.SeedSequence([seed % 2**64, i]).generate_state(1, np.uint64)[0] >> np.uint64(2))
        sampler = make_sampler(self._device, self._mode, self._options, own_seed, [self._tag(call, i)])
        pub, shots = program.pub(angles[part.start : part.stop], part.shots)
        job = sampler.run([pub], shots=shots)
        job_id = job.job_id()
        self._journal.submitted(call, i, job_id)
        self._jobs[job_id] = job
        logger.info("job %s: submitted, %d rows of %d shots", job_id, part.n_rows, part.shots)
        return job

    def find(self, call: Call, i: int) -> Any:
        """The job that was submitted for part `i` and is not lost, None where there is none.

        Raises:
            JobError: the service does not hand it out.
        """
        job_id = call.jobs.get(i)
        if job_id in self._jobs:
            return self._jobs[job_id]
        if self._service is None:
            if job_id is not None:
                logger.warning(
                    "call %d: job %s ended with its process and left no results; it runs again", call.number, job_id
                )
            return None
        if job_id is not None:
            return self._fetch(job_id)
        if call.begun_before:
            # Submitted, perhaps, by a process that ended before it could write down the id.
            for job in self._service.jobs(job_tags=[self._tag(call, i)]):
                if job.job_id() not in self._journal.ids:
                    self._journal.submitted(call, i, job.job_id())
                    return job
        return None

    def collect(self, call: Call, i: int, job: Any, program: Program, deadline: float | None) -> NDArray[np.uint32]:
        """Counts (k, T, 2^r) of part `i`, when its job has finished.

        Args:
            call: the call.
            i: index of the part.
            job: the part's.
            program: what the job runs.
            deadline: on the clock of `time.monotonic`, or None to wait for ever.

        Raises:
            JobError: it brings no results, or not all of them, or not in time.
        """
        part, job_id = call.parts[i], job.job_id()
        try:
            data = collect(job, deadline)
            try:
                counts = program.counts(data, part.n_rows, part.shots)
            except ValueError as error:
                raise incomplete(job_id, str(error)) from error
        except JobError as error:
            if error.is_lost:
                logger.warning("%s", error)
                self._journal.lost(call, i, error.status, reported_seconds(job))
            raise
        reported = reported_seconds(job)
        seconds = call.estimates[i] if reported is None else reported
        self._journal.finished(call, i, counts, seconds, reported is not None)
        logger.info(
            "job %s: finished, %d rows of %d shots, QPU time %s",
            job_id,
            part.n_rows,
            part.shots,
            "unknown" if seconds is None else f"{seconds:.2f} s, {'estimated' if reported is None else 'reported'}",
        )
        return counts

    def done(self, call: Call) -> None:
        """The call was answered."""
        self._journal.done(call)
        self._jobs.clear()

    def _fetch(self, job_id: str) -> Any:
        from qiskit.exceptions import QiskitError

        try:
            return self._service.job(job_id)
        except QiskitError as error:
            raise JobError(
                f"the journal names job {job_id}, and the service does not hand it out: {error}. Is it the same "
                "account and instance?",
                job_id,
                "UNREACHABLE",
            ) from error

    def _tag(self, call: Call, i: int) -> str:
        return f"qrnn_fast-{self._journal.run}-{call.number}-{i}"
