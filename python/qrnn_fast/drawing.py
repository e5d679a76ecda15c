"""Plain-text pictures of circuits."""

from __future__ import annotations

from qrnn_fast.circuit import Angle, Circuit, Operation


def draw(circuit: Circuit) -> str:
    """One row per qubit, time from left to right; each op stands in the first column where its qubits are free.

    Controls are dots, angles are written as ``2·a3+0.1`` (slot 3, doubled, plus 0.1 radians), ``M2`` writes outcome bit
    2, ``~`` is noise, and the left margin says what becomes of a qubit: memory (carried over the step) or reset.
    """
    n = circuit.n_qubits
    columns: list[dict[int, str]] = []  # by qubit: what stands in the column; "│" where a link passes through
    free = [0] * n  # first column in which a qubit is free
    for op in circuit.operations:
        for group in [op.qubits] if op.name not in ("measure", "reset") else [(q,) for q in op.qubits]:
            span = range(min(group), max(group) + 1)
            at = max(free[q] for q in span)
            while len(columns) <= at:
                columns.append({})
            for q in span:
                columns[at][q] = _symbol(op, q) if q in group else "│"
                free[q] = at + 1
    memory, readout = set(circuit.memory), {q: i for i, q in enumerate(circuit.readout)}
    margin = [f"q{q} {'memory' if q in memory else 'reset'}" for q in range(n)]
    width = max(map(len, margin))
    rows = [label.ljust(width) + " ─" for label in margin]
    for column in columns:
        cell = max(map(len, column.values()))
        for q in range(n):
            rows[q] += column.get(q, "").center(cell, "─") + "─"
    for q in range(n):
        rows[q] += f" bit {readout[q]}" if q in readout else ""
    return "\n".join(rows)


def _symbol(op: Operation, qubit: int) -> str:
    if op.name == "measure":
        return f"M{op.bits[op.qubits.index(qubit)]}"
    if op.name == "reset":
        return "|0>"
    if op.name == "channel":
        return "~"
    name = op.name.upper()
    is_controlled = len(op.qubits) == 2 and name.startswith("C")
    if is_controlled and qubit == op.qubits[0]:
        return "●"
    angles = ",".join(_angle(a) for a in op.angles)
    return (name[1:] if is_controlled else name) + (f"({angles})" if angles else "")


def _angle(angle: Angle | float) -> str:
    if not isinstance(angle, Angle):
        return f"{angle:.3g}"
    factor = {1.0: "", -1.0: "-"}.get(angle.scale, f"{angle.scale:.3g}·")
    return f"{factor}a{angle.slot}" + (f"{angle.offset:+.3g}" if angle.offset else "")
