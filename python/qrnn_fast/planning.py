"""What the native backend would do for a circuit, as a table for a person to read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit


@dataclass(frozen=True)
class EngineCost:
    """What an engine would take for one step of one sequence, in float64.

    Attributes:
        engine: "pauli" or "factor".
        operations: real multiply-adds.
        bytes: the state and what is kept beside it during a step.
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
        engine: the engine chosen.
        costs: one entry per engine.
    """

    engine: str
    costs: tuple[EngineCost, ...]

    @classmethod
    def of(cls, circuit: Circuit) -> Plan:
        """The plan for `circuit`.

        Raises:
            ValueError: it measures nothing, or does not fit into memory.
        """
        plan = _core.Plan(circuit._core)
        costs = tuple(EngineCost(c.engine, c.operations, c.bytes, c.seconds, tuple(c.active)) for c in plan.costs)
        return cls(plan.engine, costs)

    def __str__(self) -> str:
        head = ("engine", "operations", "memory", "estimate", "qubits alive, over the step")
        rows = [head, *(cost._cells() for cost in self.costs)]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 4)), row[4]])
            for row in rows
        ]
        return "\n".join([*lines, f"chosen: {self.engine}"])
