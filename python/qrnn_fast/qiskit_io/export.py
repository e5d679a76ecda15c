"""Circuits of qrnn_fast as Qiskit circuits."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from qrnn_fast import _core
from qrnn_fast.circuit import Angle, Circuit, Operation

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from torch import Tensor

# Called with the step, the operation and the Qiskit circuit that is being built, in place of appending the op.
Hook = Callable[[int, Operation, "QuantumCircuit"], None]


class SequenceParameters:
    """The parameters of a sequence of steps: `parameters[t][slot]` stands for ``angles[t, slot]``.

    Qiskit sorts a circuit's parameters by name, so that no order of theirs can be relied on; values are bound by
    parameter object.

    Raises:
        ValueError: `steps` below 1.
    """

    def __init__(self, circuit: Circuit, steps: int) -> None:
        from qiskit.circuit import ParameterVector

        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.parameters = [ParameterVector(f"angles_{t}", circuit.n_angles) for t in range(steps)]

    def values(self, angles: Tensor) -> dict[Any, float]:
        """Parameter to value in radians, for angles (T, A)."""
        shape = (len(self.parameters), len(self.parameters[0]))
        if tuple(angles.shape) != shape:
            raise ValueError(f"angles must have the shape {shape}, got {tuple(angles.shape)}")
        rows = angles.tolist()
        return {
            p: x for vector, row in zip(self.parameters, rows, strict=True) for p, x in zip(vector, row, strict=True)
        }


def to_qiskit(circuit: Circuit, steps: int = 1) -> QuantumCircuit:
    """The circuit of a sequence of `steps` steps.

    Args:
        circuit: one time step.
        steps: number of steps T, at least 1.

    Returns:
        A QuantumCircuit with one classical register ``step_t`` of r bits per step, bit i being the outcome of qubit
        ``circuit.readout[i]``, and the parameters ``angles_t[slot]``, radians.

    Raises:
        ValueError: `steps` below 1.
    """
    return build(circuit, SequenceParameters(circuit, steps))


def build(
    circuit: Circuit,
    sequence: SequenceParameters,
    *,
    n_ancillas: int = 0,
    classical: bool = True,
    hooks: dict[str, Hook] | None = None,
    end_of_step: Callable[[int, QuantumCircuit], None] | None = None,
) -> QuantumCircuit:
    """`to_qiskit` with parameters made beforehand, and with room for a backend's own instructions.

    Args:
        circuit: one time step.
        sequence: the parameters of all steps.
        n_ancillas: qubits added behind the circuit's own.
        classical: whether there are classical registers; without them a hook must stand in for "measure".
        hooks: by op name, what is called in place of appending the op.
        end_of_step: called after each step.
    """
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.quantum_info import Kraus

    qc = QuantumCircuit(QuantumRegister(circuit.n_qubits + n_ancillas, "q"))
    operations = circuit.operations
    for t, parameters in enumerate(sequence.parameters):
        register = ClassicalRegister(len(circuit.readout), f"step_{t}")
        if classical:
            qc.add_register(register)
        for op in operations:
            if hooks and op.name in hooks:
                hooks[op.name](t, op, qc)
            elif op.name == "measure":
                qc.measure(op.qubits, [register[bit] for bit in op.bits])
            elif op.name == "reset":
                qc.reset(op.qubits)
            elif op.kraus is not None:
                qc.append(Kraus([np.array(k) for k in op.kraus]), op.qubits)
            else:
                values = [a.offset + a.scale * parameters[a.slot] if isinstance(a, Angle) else a for a in op.angles]
                qc.append(gate(op.name, values), op.qubits)
        if end_of_step:
            end_of_step(t, qc)
    return qc


def gate(name: str, angles: list[Any]) -> Any:
    """The Qiskit gate that the op table names, with numbers or parameter expressions as angles."""
    prototype = _standard_gates()[_qiskit_names()[name]]
    return type(prototype)(*angles)


def is_standard(op: Any) -> bool:
    """Whether a Qiskit gate is the one of Qiskit's library that its name says."""
    standard = _standard_gates().get(op.name)
    return standard is not None and op.base_class is standard.base_class


@lru_cache(maxsize=1)
def _qiskit_names() -> dict[str, str]:
    return {op.name: op.qiskit_name for op in _core.op_table()}


@lru_cache(maxsize=1)
def _standard_gates() -> dict[str, Any]:
    from qiskit.circuit.library import get_standard_gate_name_mapping

    return dict(get_standard_gate_name_mapping())
