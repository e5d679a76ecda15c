"""Qiskit programs of one time step: random ones, and what they do, worked out branch by branch."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, IfElseOp, ParameterVector
from qiskit.circuit.library import CCXGate, CHGate, CUGate, ECRGate, RXXGate, RZXGate, SwapGate, UnitaryGate, iSwapGate
from qiskit.quantum_info import DensityMatrix, Kraus, partial_trace, random_unitary

ANGLES = ParameterVector("x", 12)  # more than ten, so that names and numbers sort differently


def _angle(draw: Any) -> Any:
    first, second = (ANGLES[draw(st.sampled_from([1, 2, 10, 11]))] for _ in range(2))
    return draw(st.sampled_from([first, 2 * first - 0.3, 0.5 * first + second / 4, -(first - second), 0.7]))


def _gate(draw: Any, n: int) -> tuple[Gate, int]:
    """A gate that is, or is not, in the op table, alone or as a composite one."""
    kind = draw(st.integers(0, 9 if n > 2 else 8))
    if kind == 0:
        return UnitaryGate(random_unitary(2, seed=draw(st.integers(0, 99)))), 1
    if kind == 1:
        return CUGate(_angle(draw), _angle(draw), 0.3, _angle(draw)), 2
    if kind == 2:
        return RZXGate(_angle(draw)), 2
    if kind == 3:
        return draw(st.sampled_from([ECRGate(), iSwapGate(), SwapGate(), CHGate(ctrl_state=0)])), 2
    if kind == 4:
        inner = QuantumCircuit(2, name="rx")  # the name of a gate that it is not
        inner.cx(1, 0)
        inner.ry(_angle(draw), 1)
        inner.append(RXXGate(_angle(draw)), [1, 0])
        return inner.to_gate(), 2
    if kind <= 8:
        qc = QuantumCircuit(1)
        {5: qc.rx, 6: qc.rz, 7: qc.ry, 8: lambda a, q: qc.u(a, 0.2, a, q)}[kind](_angle(draw), 0)
        return qc.data[0].operation, 1
    return CCXGate(), 3


@st.composite
def programs(draw: Any, gates_only: bool = False) -> QuantumCircuit:
    """Up to three qubits and four classical bits, with measurements, resets and conditions in any order, or gates."""
    n = draw(st.integers(2, 3))
    qc = QuantumCircuit(n, 4)
    qubits = st.permutations(range(n))
    written: list[int] = []
    unwritten = list(draw(st.permutations(range(4))))

    def append_gate(target: QuantumCircuit) -> None:
        op, arity = _gate(draw, n)
        target.append(op, draw(qubits)[:arity])

    for _ in range(draw(st.integers(2, 9))):
        kinds = ["gate"] if gates_only else ["gate", "gate", "measure", "measure", "reset", "if", "if", "if"]
        kind = draw(st.sampled_from(kinds))
        if kind == "gate":
            append_gate(qc)
        elif kind == "reset":
            qc.reset(draw(qubits)[0])
        elif kind == "measure" and unwritten:
            written.append(unwritten.pop())
            qc.measure(draw(qubits)[0], written[-1])
        elif kind == "if" and written:
            bit, value = draw(st.sampled_from(written)), draw(st.integers(0, 1))
            with qc.if_test((qc.clbits[bit], value)) as otherwise:
                if draw(st.booleans()):
                    append_gate(qc)
                else:
                    qc.x(draw(qubits)[0])
                if draw(st.booleans()):
                    with qc.if_test((qc.clbits[draw(st.sampled_from(written))], 1)):
                        append_gate(qc)
            if draw(st.booleans()):
                with otherwise:
                    append_gate(qc)
    if not written and not gates_only:
        qc.measure(draw(qubits)[0], unwritten.pop())
    return qc


def outcomes(qc: QuantumCircuit, carried: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Probabilities of the written classical bits, in ascending order, and the density matrix of the carried qubits.

    Every measurement splits a branch in two; a branch is a value of the classical bits and a state times its odds.
    """
    written: set[int] = set()
    branches = [((0,) * qc.num_clbits, DensityMatrix.from_label("0" * qc.num_qubits))]

    def run(block: QuantumCircuit, qubits: list[int], bits: list[int], branches: list[Any]) -> list[Any]:
        for instruction in block.data:
            op = instruction.operation
            on = [qubits[block.find_bit(q).index] for q in instruction.qubits]
            into = [bits[block.find_bit(c).index] for c in instruction.clbits]
            if op.name == "measure":
                written.update(into)
                branches = [b for branch in branches for b in measured(*branch, on[0], into[0])]
            elif isinstance(op, IfElseOp):
                after = []
                for values, state in branches:
                    target, value = op.condition
                    asked = [target] if not hasattr(target, "size") else list(target)
                    number = sum(values[bits[block.find_bit(c).index]] << i for i, c in enumerate(asked))
                    body = op.blocks[0] if number == int(value) else op.blocks[1] if len(op.blocks) > 1 else None
                    after += [(values, state)] if body is None else run(body, on, into, [(values, state)])
                branches = after
            else:
                branches = [(values, evolved(state, op, on)) for values, state in branches]
        return branches

    def evolved(state: DensityMatrix, op: Any, on: list[int]) -> DensityMatrix:
        if op.name == "reset":
            return state.evolve(Kraus([np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])]), on)
        return state.evolve(op, on)

    def measured(values: tuple[int, ...], state: DensityMatrix, qubit: int, bit: int) -> list[Any]:
        projections = [np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]
        return [
            ((*values[:bit], value, *values[bit + 1 :]), state.evolve(Kraus([projections[value]]), [qubit]))
            for value in (0, 1)
        ]

    branches = run(qc, list(range(qc.num_qubits)), list(range(qc.num_clbits)), branches)
    order = sorted(written)
    probs, memory = np.zeros(2 ** len(order)), np.zeros((2 ** len(carried),) * 2, complex)
    for values, state in branches:
        probs[sum(values[bit] << i for i, bit in enumerate(order))] += np.trace(state.data).real
        memory += partial_trace(state, [q for q in range(qc.num_qubits) if q not in carried]).data
    return probs, memory
