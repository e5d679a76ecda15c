"""What the native backend would do for a circuit, as a table for a person to read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit

# Seconds of a trajectory's multiply-add, all around it included, on the machine of the planner's other figures.
_TRAJECTORY_OPERATION = 0.9e-10


@dataclass(frozen=True)
class EngineCost:
    """What an engine would take for one step of one sequence, or of one shot, in float64.

    Attributes:
        engine: "pauli", "factor" or "trajectory".
        operations: real multiply-adds.
        bytes: the state and what is kept beside it during a step; of trajectories, what a thread has in flight.
        seconds: on one core, roughly: a figure to compare engines by, measured on one machine.
        active: how many qubits exist at once after each part of the step. A qubit is activated when an op first touches
            it after its reset; a copied outcome counts as one.
    """

    engine: str
    operations: float
    bytes: float
    seconds: float
    active: tuple[int, ...]

    def _cells(self) -> tuple[str, ...]:
        stages = [str(n) for n, _ in groupby(self.active)]
        shown = stages if len(stages) <= 12 else [*stages[:11], "...", f"at most {max(self.active)}"]
        return (
            self.engine,
            f"{self.operations:,.0f}",
            f"{self.bytes / 1e3:,.1f} kB",
            f"{self.seconds * 1e6:,.2f} us",
            " ".join(shown),
        )


@dataclass(frozen=True)
class Plan:
    """The engine that runs a circuit, and the cost of each.

    Attributes:
        engine: the engine chosen for exact probabilities; None where there is no room for them.
        costs: one entry per engine for these.
        sampling: what one shot costs.
        refusal: where `engine` is None, why.
    """

    engine: str | None
    costs: tuple[EngineCost, ...]
    sampling: EngineCost
    refusal: str = ""

    @classmethod
    def of(cls, circuit: Circuit) -> Plan:
        """The plan for `circuit`.

        Raises:
            ValueError: it measures nothing.
        """
        shot = _core.TrajectoryPlan(circuit._core)
        seconds = _TRAJECTORY_OPERATION * shot.operations
        sampling = EngineCost("trajectory", shot.operations, shot.workspace_bytes(8), seconds, tuple(shot.active))
        try:
            plan = _core.Plan(circuit._core)
        except ValueError as error:
            return cls(None, (), sampling, str(error))
        costs = tuple(EngineCost(c.engine, c.operations, c.bytes, c.seconds, tuple(c.active)) for c in plan.costs)
        return cls(plan.engine, costs, sampling)

    def __str__(self) -> str:
        head = ("engine", "operations", "memory", "estimate", "qubits alive, over the step")
        rows = [head, *(cost._cells() for cost in (*self.costs, self.sampling))]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 4)), row[4]])
            for row in rows
        ]
        chosen = self.engine or f"no engine for exact probabilities, since {self.refusal}"
        return "\n".join([*lines, f"chosen: {chosen}; with shots: trajectory, whose figures are for one shot"])
