"""Circuits from Qiskit and OpenQASM 3."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import qrnn_fast as qf
import torch
from hypothesis import HealthCheck, given, settings
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.classical import expr
from qiskit.circuit.library import CXGate, RXGate
from qiskit.quantum_info import Clifford, Operator
from qiskit_programs import ANGLES, outcomes, programs
from strategies import circuits, noisy_circuits

SLOW = [HealthCheck.too_slow]


def assert_same(ours: qf.Circuit, theirs: qf.Circuit) -> None:
    """The same ops, angles up to rounding."""
    assert (ours.n_qubits, ours.readout, ours.memory) == (theirs.n_qubits, theirs.readout, theirs.memory)
    for a, b in zip(ours.operations, theirs.operations, strict=True):
        assert (a.name, a.qubits, a.bits) == (b.name, b.qubits, b.bits)
        for x, y in zip(a.angles, b.angles, strict=True):
            assert type(x) is type(y)
            if isinstance(x, qf.Angle) and isinstance(y, qf.Angle):
                assert x.slot == y.slot
                assert (x.scale, x.offset) == pytest.approx((y.scale, y.offset), abs=1e-14)
            else:
                assert x == pytest.approx(y, abs=1e-14)
        if a.kraus is not None:
            np.testing.assert_allclose(a.kraus, b.kraus, atol=1e-14)


def split_measures(circuit: qf.Circuit) -> qf.Circuit:
    """The circuit with one op for every qubit that is measured or reset, as Qiskit has it."""
    split = qf.Circuit(circuit.n_qubits, circuit.n_angles)
    for op in circuit.operations:
        for qubit in op.qubits if op.name in ("measure", "reset") else ():
            split.append(op.name, [qubit])
        if op.name not in ("measure", "reset"):
            split.add(op)
    return split


@settings(max_examples=150, deadline=None)
@given(circuits())
def test_there_and_back(circuit: qf.Circuit) -> None:
    assert_same(qf.from_qiskit(circuit.to_qiskit()), split_measures(circuit))


@settings(max_examples=30, deadline=None)
@given(noisy_circuits())
def test_channels_there_and_back(circuit: qf.Circuit) -> None:
    """A channel of one Kraus operator comes back as gates; readout errors are not part of a Qiskit circuit."""
    back = qf.from_qiskit(circuit.to_qiskit())
    clean = qf.Circuit(circuit.n_qubits, circuit.n_angles)
    for op in circuit.operations:
        clean.add(op)
    assert_same_outputs(back, clean)


def assert_same_outputs(ours: qf.Circuit, theirs: qf.Circuit) -> None:
    """Readout, memory, probabilities and final memory, for two steps."""
    assert (ours.readout, ours.memory) == (theirs.readout, theirs.memory)
    angles = torch.linspace(-1, 2, 2 * theirs.n_angles, dtype=torch.float64).view(2, -1)
    for a, b in zip(qf.evolve(ours, angles[:, : ours.n_angles]), qf.evolve(theirs, angles), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=0)


@pytest.mark.parametrize("cell", [qf.cells.crx_chain(4), qf.cells.reuploading(4), qf.cells.echo_state(4)])
def test_cells_there_and_back(cell: qf.Circuit) -> None:
    back = qf.from_qiskit(cell.to_qiskit())
    assert back.n_angles == cell.n_angles
    assert_same(back, split_measures(cell))


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
@given(programs())
def test_programs(qc: QuantumCircuit) -> None:
    """Probabilities and memory against the program run branch by branch."""
    circuit = qf.from_qiskit(qc, angles=ANGLES)
    angles = torch.linspace(-2, 2, len(ANGLES), dtype=torch.float64)
    probs, memory = qf.evolve(circuit, angles[None, :])
    assert memory is not None
    expected, state = outcomes(
        qc.assign_parameters(dict(zip(ANGLES, angles.tolist(), strict=True)), strict=False), circuit.memory
    )
    np.testing.assert_allclose(probs[0].numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(memory.numpy(), state, atol=1e-9)


def probabilities(circuit: qf.Circuit) -> list[float]:
    probs, _ = qf.evolve(circuit, torch.zeros(1, circuit.n_angles, dtype=torch.float64))
    return [pytest.approx(p, abs=1e-12) for p in probs[0].tolist()]


def test_slots_follow_the_given_order() -> None:
    x, w = ParameterVector("x", 2), ParameterVector("w", 11)
    qc = QuantumCircuit(1, 1)
    qc.rx(x[1], 0)
    qc.ry(w[10] / 2, 0)
    qc.rz(w[2] + 1, 0)
    qc.measure(0, 0)
    circuit = qf.from_qiskit(qc, angles=[*x, *w])
    assert [op.angles[0] for op in circuit.operations[:3]] == [qf.Angle(1), qf.Angle(12, 0.5), qf.Angle(4, 1, 1)]
    assert circuit.n_angles == 13
    with pytest.raises(ValueError, match=r"whose order is not given; hand over angles=\[\.\.\.\]"):
        qf.from_qiskit(qc)
    with pytest.raises(ValueError, match=r"does not hold the parameters \['w\[2\]', 'w\[10\]'\]"):
        qf.from_qiskit(qc, angles=x)
    with pytest.raises(ValueError, match="holds a parameter twice"):
        qf.from_qiskit(qc, angles=[*x, *w, x[0]])
    with pytest.raises(ValueError, match=r"others of the same name, \['x\[1\]'\], which Qiskit tells apart"):
        qf.from_qiskit(qc, angles=[*ParameterVector("x", 2), *w])


@pytest.mark.parametrize(
    ("angles", "message"),
    [
        ([ParameterVector("x", 2), ParameterVector("w", 2)], r"the vector 'x' in it; write \[\*x, \*w\]"),
        (["x[0]"], r"got a list with 'x\[0\]' in it"),
        (Parameter("a"), r"a ParameterVector or a list of parameters, got Parameter\(a\)"),
        ("x", "got 'x'"),
        (5, "got 5"),
    ],
)
def test_angles_of_another_type(angles: Any, message: str) -> None:
    qc = QuantumCircuit(1, 1)
    qc.measure(0, 0)
    with pytest.raises(TypeError, match=message):
        qf.from_qiskit(qc, angles=angles)


def test_one_vector_or_one_parameter_needs_no_order() -> None:
    x = ParameterVector("x", 12)
    qc = QuantumCircuit(1, 1)
    for i in (10, 2):
        qc.rx(x[i], 0)
    qc.measure(0, 0)
    circuit = qf.from_qiskit(qc)
    assert circuit.n_angles == 12
    assert [op.angles for op in circuit.operations[:2]] == [(qf.Angle(10),), (qf.Angle(2),)]
    qc = QuantumCircuit(1, 1)
    qc.rx(Parameter("a"), 0)
    qc.measure(0, 0)
    assert qf.from_qiskit(qc).n_angles == 1


def test_bits_are_in_the_order_of_the_classical_bits() -> None:
    qc = QuantumCircuit(3, 3)
    qc.x(0)
    qc.measure([0, 1, 2], [2, 0, 1])
    qc.reset([0, 1, 2])
    circuit = qf.from_qiskit(qc)
    assert (circuit.n_qubits, circuit.readout) == (3, (1, 2, 0))
    assert probabilities(circuit) == [0, 0, 0, 0, 1, 0, 0, 0]


def test_a_bit_that_must_wait_is_copied() -> None:
    qc = QuantumCircuit(2, 2)
    qc.x(0)
    qc.measure(0, 1)
    qc.x(0)  # acts on the qubit before bit 0 is written
    qc.measure(1, 0)
    circuit = qf.from_qiskit(qc)
    assert (circuit.n_qubits, circuit.readout, circuit.memory) == (3, (1, 2), (0, 1))
    assert probabilities(circuit) == [0, 0, 1, 0]


def test_conditional_x_on_the_measured_qubit_is_a_reset() -> None:
    qc = QuantumCircuit(1, 1)
    qc.h(0)
    qc.measure(0, 0)
    with qc.if_test((qc.clbits[0], 1)):
        qc.x(0)
    circuit = qf.from_qiskit(qc)
    assert [op.name for op in circuit.operations] == ["h", "measure", "reset"]


def test_conditional_rotation_keeps_its_slot() -> None:
    qc = QuantumCircuit(2, 1)
    a = Parameter("a")
    qc.measure(0, 0)
    with qc.if_test((qc.clbits[0], 1)):
        qc.rx(2 * a + 0.1, 1)
    operation = qf.from_qiskit(qc).operations[-1]
    assert (operation.name, operation.qubits, operation.angles) == ("crx", (0, 1), (qf.Angle(0, 2, 0.1),))


def test_condition_on_a_register() -> None:
    bits, qubits = ClassicalRegister(2, "c"), QuantumRegister(3)
    qc = QuantumCircuit(qubits, bits, ClassicalRegister(1, "d"))
    qc.x(1)
    qc.measure([0, 1], bits)
    with qc.if_test((bits, 2)):
        qc.x(2)
    with qc.if_test((bits, 1)):
        qc.h(2)
    qc.measure(2, 2)
    assert probabilities(qf.from_qiskit(qc)) == [0, 0, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("name", ["id", "barrier", "delay", "u2", "iswap", "measure", "kraus"])
def test_composites_are_what_they_hold_whatever_their_name(name: str) -> None:
    """As a gate, as a gate inside another, and as an instruction."""
    gates = QuantumCircuit(2, name=name)
    gates.ry(0.4, 0)
    gates.cx(0, 1)
    outer = QuantumCircuit(2, name="outer")
    outer.append(gates.to_gate(), [1, 0])
    qc, flat = QuantumCircuit(2, 2), QuantumCircuit(2, 2)
    qc.append(gates.to_gate(), [0, 1])
    qc.append(outer.to_gate(), [0, 1])
    for on in ([0, 1], [1, 0]):
        flat.compose(gates, on, inplace=True)
    measured = gates.copy(name)
    measured.add_register(ClassicalRegister(2))
    measured.measure([0, 1], [0, 1])
    qc.append(measured.to_instruction(), [0, 1], [0, 1])
    flat.compose(measured, inplace=True)
    assert_same(qf.from_qiskit(qc), qf.from_qiskit(flat))


def test_operations_without_a_definition() -> None:
    """Gates with annotated modifiers and Cliffords are synthesised by the transpiler."""
    a = Parameter("a")
    qc, plain = QuantumCircuit(3, 1), QuantumCircuit(3, 1)
    qc.h([0, 1])
    qc.append(RXGate(a).control(2, annotated=True), [0, 1, 2])
    qc.append(Clifford(CXGate()), [2, 0])
    qc.measure(0, 0)
    plain.h([0, 1])
    plain.append(RXGate(a).control(2, annotated=False), [0, 1, 2])
    plain.cx(2, 0)
    plain.measure(0, 0)
    assert_same_outputs(qf.from_qiskit(qc), qf.from_qiskit(plain))


def test_refused_with_name_and_position() -> None:
    a = Parameter("a")

    def refused(build: object, message: str) -> None:
        qc = QuantumCircuit(2, 2)
        qc.h(0)
        build(qc)  # type: ignore[operator]
        with pytest.raises(ValueError, match=message):
            qf.from_qiskit(qc)

    refused(
        lambda qc: qc.append(Gate("magic", 2, []), [1, 0]), r"instruction 1, 'magic' on qubits \(1, 0\): .*decompose"
    )
    refused(lambda qc: qc.rx(a * a, 1), r"instruction 1, 'rx' on qubits \(1,\): the angle a\*a is not affine in a")
    refused(lambda qc: qc.rx(a.sign(), 1), r"the angle sign\(a\) is not affine in a")
    refused(lambda qc: qc.rx(a * a, 1), "accepted: numbers and sums of parameters times numbers.*encoder of qf.QRNN")
    refused(lambda qc: qc.append(Gate("rx", 1, [0.1]), [1]), "name of a gate of Qiskit's, is another one")

    def composite(qc: QuantumCircuit) -> None:
        inner = QuantumCircuit(1, name="inner")
        inner.x(0)
        inner.rx(a.sin(), 0)
        qc.append(inner.to_instruction(), [0])

    refused(
        composite, r"instruction 1, 'inner' on qubits \(0,\): instruction 1, 'rx' on qubits \(0,\): the angle sin\(a\)"
    )

    def early(qc: QuantumCircuit) -> None:
        with qc.if_test((qc.clbits[1], 1)):
            qc.x(1)

    refused(early, r"'if_else' .*: instruction 0, 'x' .* waits for classical bit 1, which is not measured before")

    def body(qc: QuantumCircuit) -> None:
        qc.measure(0, 0)
        with qc.if_test((qc.clbits[0], 1)):
            qc.reset(1)

    refused(body, "'reset' on qubits .*only gates can wait")

    def expression(qc: QuantumCircuit) -> None:
        qc.measure([0, 1], [0, 1])
        with qc.if_test(expr.bit_or(*qc.clbits)):
            qc.x(1)

    refused(expression, "neither on a bit nor on a register's value")

    def large(qc: QuantumCircuit) -> None:
        qc.measure([0, 1], [0, 1])
        with qc.if_test((qc.cregs[0], 4)):
            qc.x(1)

    refused(large, "'if_else' .*: it waits for c == 4, which its 2 bits cannot hold")

    def loop(qc: QuantumCircuit) -> None:
        with qc.for_loop(range(2)):
            qc.x(1)

    refused(loop, "instruction 1, 'for_loop' .*no definition.*write its passes one by one")

    def twice(qc: QuantumCircuit) -> None:
        qc.measure([0, 1], [0, 0])

    refused(twice, r"classical bits \[0\] are written twice")
    with pytest.raises(TypeError, match="must be a qiskit QuantumCircuit, got Circuit"):
        qf.from_qiskit(qf.Circuit(1))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(circuits())
def test_openqasm_there_and_back(circuit: qf.Circuit) -> None:
    """Gates that OpenQASM's library does not have come back as their definitions: outcomes and memory are compared."""
    back = qf.from_qasm3(circuit.to_qasm3())
    assert back.n_angles == circuit.n_angles
    assert_same_outputs(back, circuit)


def test_openqasm_program() -> None:
    circuit = qf.from_qasm3("""
        OPENQASM 3.0;
        include "stdgates.inc";
        input float[64] theta;
        input float[64] unused;
        input float[64] alpha;
        qubit[2] q;
        bit[2] c;
        ry(2 * theta + pi / 2) q[0];
        c[0] = measure q[0];
        if (!c[0]) { rx(alpha) q[1]; }
        c[1] = measure q[1];
        reset q[1];
    """)
    assert (circuit.n_angles, circuit.readout, circuit.memory) == (3, (0, 1), (0,))
    probs, _ = qf.evolve(circuit, torch.tensor([[0.0, 5.0, math.pi]], dtype=torch.float64))
    np.testing.assert_allclose(probs[0].numpy(), [0, 0.5, 0.5, 0], atol=1e-12)


def test_openqasm_refused() -> None:
    with pytest.raises(ValueError, match="Qiskit does not take this OpenQASM 3 program"):
        qf.from_qasm3("OPENQASM 3.0; qubit q; nonsense q;")
    with pytest.raises(ValueError, match=r"takes the program's text, got 'step\.qasm'"):
        qf.from_qasm3("step.qasm")
    with pytest.raises(TypeError, match="must be the text of an OpenQASM 3 program, got int"):
        qf.from_qasm3(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="knows no noise"):
        qf.Circuit(1).channel(qf.noise.depolarizing(0.1), 0).measure(0).to_qasm3()
    with pytest.raises(ValueError, match="steps must be at least 1"):
        qf.cells.crx_chain(2).to_qasm3(0)


def test_openqasm_of_several_steps() -> None:
    program = qf.cells.crx_chain(2).to_qasm3(steps=2)
    assert "input float[64] angle_1_12;" in program
    assert "bit[1] step_1;" in program


@settings(max_examples=60, deadline=None)
@given(programs(gates_only=True))
def test_unitaries(qc: QuantumCircuit) -> None:
    """Without measurements a program is a unitary: Qiskit's own, up to a global phase."""
    values = dict(zip(ANGLES, np.linspace(-2, 2, len(ANGLES)), strict=True))
    back = qf.from_qiskit(qc, angles=ANGLES).to_qiskit()
    slots = {p: values[ANGLES[p.index]] for p in back.parameters}
    bound = qc.assign_parameters({p: values[p] for p in qc.parameters})
    assert Operator(back.assign_parameters(slots)).equiv(Operator(bound), atol=1e-9)
