"""Conversion to Qiskit: gates, angles by parameter object, registers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from qiskit.quantum_info import Operator
from qrnn_fast import Angle, Circuit, _core, cells
from qrnn_fast.qiskit_io import SequenceParameters, build
from qrnn_fast.qiskit_io.export import gate
from reference import unitary
from strategies import GATES


@pytest.mark.parametrize("op", GATES, ids=lambda op: op.name)
def test_gates_agree_with_qiskit(op: _core.OpInfo) -> None:
    """The reference's matrix has the first qubit as its high bit, Qiskit's as its low one."""
    angles = [0.3, -1.1, 2.0][: op.n_angles]
    theirs = Operator(gate(op.name, angles)).data
    if op.n_qubits == 2:
        theirs = theirs.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
    ours = unitary(op.name, [torch.tensor(a, dtype=torch.float64) for a in angles]).numpy()
    phase = np.vdot(ours, theirs)
    np.testing.assert_allclose(theirs, ours * (phase / abs(phase)), atol=1e-14)


def test_registers_and_parameters() -> None:
    circuit = cells.crx_chain(4)
    qc = circuit.to_qiskit(steps=3)
    assert [register.name for register in qc.cregs] == ["step_0", "step_1", "step_2"]
    assert [register.size for register in qc.cregs] == [2, 2, 2]
    assert qc.num_qubits == 4
    assert len(qc.parameters) == 3 * circuit.n_angles
    assert qc.count_ops()["crx"] == 9
    assert qc.count_ops()["measure"] == qc.count_ops()["reset"] == 6
    measured = [
        (qc.find_bit(i.qubits[0]).index, qc.find_bit(i.clbits[0]).registers[0]) for i in qc.data if i.name == "measure"
    ]
    expected = [(q, (qc.cregs[t], i)) for t in range(3) for i, q in enumerate(circuit.readout)]
    assert measured == expected


def test_angles_are_bound_by_object() -> None:
    """With more than ten slots and steps, names sort otherwise than numbers: angles_10 before angles_2."""
    circuit = Circuit(1, 12)
    for slot in range(12):
        circuit.rx(2 * Angle(slot) + 0.5, 0)
    circuit.measure([0])
    sequence = SequenceParameters(circuit, 11)
    angles = torch.arange(132, dtype=torch.float64).reshape(11, 12)
    bound = build(circuit, sequence).assign_parameters(sequence.values(angles))
    found = [float(i.operation.params[0]) for i in bound.data if i.name == "rx"]
    assert found == (2 * angles.flatten() + 0.5).tolist()


def test_refused() -> None:
    circuit = cells.crx_chain(2)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        circuit.to_qiskit(steps=0)
    with pytest.raises(ValueError, match=r"angles must have the shape \(2, 13\), got \(3, 13\)"):
        SequenceParameters(circuit, 2).values(torch.zeros(3, 13))
