"""A call's sequences and shots as jobs: how they are split, waited for and read."""

from __future__ import annotations

import time
from itertools import count, pairwise
from typing import Any, NamedTuple

# What IBM's processors take in one job (its guide "Job limits"): circuits times shots, and control-system instructions
# per qubit, over all circuits.
MAX_EXECUTIONS = 10_000_000
MAX_INSTRUCTIONS = 26_800_000
# Measured bits in one job; its error 8045 was reported from about here on.
MAX_MEASURED_BITS = 9_000_000

_FIRST_POLL, _LAST_POLL = 0.01, 1.0  # seconds between two looks at a job, doubled from one to the next


class JobError(RuntimeError):
    """A job that brought no results, or not all of them.

    Attributes:
        job_id: the service's name for it.
        status: "CANCELLED", "ERROR", "TIMEOUT", "INCOMPLETE" (results that are short of something), or "UNREACHABLE"
            (the service did not hand out the job or its results).
    """

    def __init__(self, message: str, job_id: str, status: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = status

    @property
    def is_lost(self) -> bool:
        """Whether nothing can come of this job any more."""
        return self.status in ("CANCELLED", "ERROR", "INCOMPLETE")


class Part(NamedTuple):
    """What one job does of a call: rows from `start` to before `stop`, `shots` shots of each."""

    start: int
    stop: int
    shots: int

    @property
    def n_rows(self) -> int:
        return self.stop - self.start

    @property
    def executions(self) -> int:
        """Circuits times shots."""
        return self.n_rows * self.shots


def split(n_rows: int, shots: int, *, bits: int, instructions: int) -> list[Part]:
    """Parts that keep to the limits of a job: groups of rows, each with all their shots or a share of them.

    Shots are split where a single row is too large for a job, and further where that makes fewer jobs.

    Args:
        n_rows: number of sequences B, at least 1.
        shots: shots of each, at least 1.
        bits: measured bits of a shot.
        instructions: control-system instructions of a sequence per qubit.
    """
    executions = max(1, min(MAX_EXECUTIONS, MAX_MEASURED_BITS // bits))
    row_limit = max(1, MAX_INSTRUCTIONS // instructions)

    def groups(shares: int) -> int:
        return -(-n_rows // min(row_limit, executions // -(-shots // shares)))

    best = least = -(-shots // executions)
    for shares in count(least):
        if shares > shots or shares >= best * groups(best):
            break
        if shares * groups(shares) < best * groups(best):
            best = shares
    rows = [n_rows * i // groups(best) for i in range(groups(best) + 1)]
    ends = [shots * i // best for i in range(best + 1)]
    return [Part(a, b, d - c) for a, b in pairwise(rows) for c, d in pairwise(ends)]


def collect(job: Any, deadline: float | None) -> Any:
    """The data of a job's only bloc, when it has finished.

    Args:
        job: a BasePrimitiveJob.
        deadline: on the clock of `time.monotonic`, or None to wait for ever.

    Raises:
        JobError: it failed, was cancelled or has not finished in time, or its results cannot be had.
    """
    from qiskit.exceptions import QiskitError

    job_id, poll = job.job_id(), _FIRST_POLL
    while not job.in_final_state():
        if deadline is not None and time.monotonic() >= deadline:
            raise JobError(
                f"job {job_id} is still {_word(job.status())} at the end of the timeout; it lives on. Its results come "
                "when the same call is made again, and where a journal is kept, also in a new process",
                job_id,
                "TIMEOUT",
            )
        time.sleep(poll)
        poll = min(2 * poll, _LAST_POLL)
    if job.cancelled():
        raise JobError(f"job {job_id} was cancelled; the same call made again submits it anew", job_id, "CANCELLED")
    try:
        # Asked for after an error, too: it tells the reason, and Qiskit's local jobs claim an error as long as their
        # thread has not begun.
        result = job.result()
    except QiskitError as error:
        if job.done():
            raise JobError(
                f"job {job_id} has finished, and its results cannot be had: {error}. Make the same call again",
                job_id,
                "UNREACHABLE",
            ) from error
        raise JobError(
            f"job {job_id} failed: {error}. The same call made again submits it anew", job_id, "ERROR"
        ) from error
    if not result:
        raise incomplete(job_id, "there are none")
    return result[0].data


def incomplete(job_id: str, why: str) -> JobError:
    """The error of a job whose results are short of something."""
    return JobError(
        f"job {job_id} has finished without all its results: {why}. The same call made again submits it anew",
        job_id,
        "INCOMPLETE",
    )


def reported_seconds(job: Any) -> float | None:
    """QPU seconds that the service charges for a job, None where it does not say or not yet."""
    from qiskit.exceptions import QiskitError

    metrics = getattr(job, "metrics", None)
    if metrics is None:
        return None
    try:
        usage = metrics().get("usage", {})
    except QiskitError:  # the results matter more
        return None
    seconds = usage.get("qpu_charge_time_seconds")
    return None if seconds is None or usage.get("status") == "pending" else float(seconds)


def _word(status: Any) -> str:
    return str(getattr(status, "name", status))
