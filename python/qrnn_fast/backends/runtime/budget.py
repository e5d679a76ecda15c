"""Seconds of a quantum processor: what a call takes, and the limit that is set to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qrnn_fast.backends.runtime.jobs import Part

# What a job takes besides its shots on IBM's processors (its guide "Workload usage").
JOB_SECONDS = 2.0


class BudgetError(RuntimeError):
    """A call that would take more QPU time than is left."""


class Estimate(NamedTuple):
    """What a call takes of a quantum processor.

    Attributes:
        circuits: sequences that run.
        shots: of each.
        jobs: in how many jobs.
        circuit_seconds: duration of one sequence.
        seconds_per_shot: with the delay until the next one.
        qpu_seconds: of the whole call, with what each job takes besides its shots.
    """

    circuits: int
    shots: int
    jobs: int
    circuit_seconds: float
    seconds_per_shot: float
    qpu_seconds: float


class Clock(NamedTuple):
    """Seconds that a circuit's shots take on a device."""

    circuit: float
    delay: float  # between two shots
    job: float  # of a job besides its shots

    def seconds(self, parts: Sequence[Part]) -> float:
        """Seconds that these jobs take."""
        return len(parts) * self.job + (self.circuit + self.delay) * sum(part.executions for part in parts)


def check_budget(used: float, needed: float, limit: float) -> None:
    """Raise BudgetError where the limit does not suffice."""
    if used + needed > limit:
        raise BudgetError(
            f"this call would take about {needed:.1f} s of the QPU; {used:.1f} s of max_qpu_seconds = {limit:g} s "
            "are used. Nothing was sent. Use fewer shots, samples or sequences, or raise max_qpu_seconds"
        )
