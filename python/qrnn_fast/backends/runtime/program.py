"""A sequence as a circuit in a device's own instructions, the values of its parameters, and what its results say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.backends.runtime.devices import is_ibm
from qrnn_fast.circuit import Circuit
from qrnn_fast.qiskit_io import SequenceParameters, build

# A resumed run must send the circuit that it sent before.
SEED_TRANSPILER = 0

# Control-system instructions that IBM's validation counts for an ISA instruction (its guide "Job limits").
_CONTROL_INSTRUCTIONS = {"rz": 1, "delay": 1, "sx": 2, "x": 2, "cx": 5, "cz": 5, "ecr": 5, "measure": 10, "reset": 17}
_INITIALISATION = 50


@dataclass(frozen=True)
class Program:
    """What runs for T steps of a circuit.

    Attributes:
        circuit: the transpiled QuantumCircuit, one register ``step_t`` of r bits for each step.
        parameters: those it has left.
        columns: for each of them its index in a row of flattened angles (T * A).
        n_steps: number of steps T.
        n_bits: outcome bits of a step r.
        seconds: duration of the circuit, None where the device does not tell its instructions' durations.
        instructions: control-system instructions of the busiest qubit.
    """

    circuit: Any
    parameters: tuple[Any, ...]
    columns: NDArray[np.int64]
    n_steps: int
    n_bits: int
    seconds: float | None
    instructions: int

    def pub(self, angles: Tensor, shots: int) -> tuple[tuple[Any, ...], int]:
        """The primitive unified bloc for rows of angles (k, T, A), and the number of its shots."""
        if not self.parameters:  # a bloc without parameters has no rows: one circuit runs for all of them
            return (self.circuit,), len(angles) * shots
        values = angles.double().flatten(1).numpy()[:, self.columns]
        return (self.circuit, {self.parameters: values}), shots

    def counts(self, data: Any, n_rows: int, shots: int) -> NDArray[np.uint32]:
        """How often each outcome came: (k, T, 2^r).

        Args:
            data: of the bloc's result; ``step_t.array`` is (k, shots, bytes), the highest bits in the first byte.
            n_rows: number of rows k.
            shots: shots of each row.

        Raises:
            ValueError: a register or shots are missing.
        """
        n_outcomes, n_bytes = 1 << self.n_bits, (self.n_bits + 7) // 8
        counts = np.empty((n_rows, self.n_steps, n_outcomes), dtype=np.uint32)
        first = n_outcomes * np.arange(n_rows)[:, None]
        for t in range(self.n_steps):
            array = getattr(getattr(data, f"step_{t}", None), "array", None)
            if array is None:
                raise ValueError(f"the outcomes of step {t} are missing")
            expected = (n_rows, shots, n_bytes) if self.parameters else (n_rows * shots, n_bytes)
            if array.shape != expected:
                raise ValueError(f"the outcomes of step {t} have the shape {array.shape}, expected {expected}")
            outcomes = np.zeros((n_rows, shots), dtype=np.int64)
            for byte in np.moveaxis(array.reshape(n_rows, shots, n_bytes), -1, 0):
                outcomes = outcomes << 8 | byte
            counted = np.bincount((first + outcomes).ravel(), minlength=n_rows * n_outcomes)
            counts[:, t] = counted.reshape(n_rows, n_outcomes)
        return counts


def compile_program(circuit: Circuit, n_steps: int, backend: Any, optimization_level: int) -> Program:
    """The program of `n_steps` steps in the backend's own instructions.

    Raises:
        ValueError: the circuit measures nothing, has noise of its own or more qubits than the backend.
    """
    if not circuit.readout:
        raise ValueError("the circuit measures nothing; call measure([...]) on at least one qubit")
    if circuit.readout_errors or any(op.kraus is not None for op in circuit.operations):
        raise ValueError(
            f"the circuit has channels or readout errors, and {backend.name} brings its own noise; drop them, or "
            "simulate them by backend='native' or qf.backends.Aer()"
        )
    if circuit.n_qubits > backend.num_qubits:
        raise ValueError(f"the circuit has {circuit.n_qubits} qubits, {backend.name} has {backend.num_qubits}")
    from qiskit.exceptions import QiskitError
    from qiskit.transpiler import generate_preset_pass_manager

    sequence = SequenceParameters(circuit, n_steps)
    passes = generate_preset_pass_manager(
        backend=backend, optimization_level=optimization_level, seed_transpiler=SEED_TRANSPILER
    )
    transpiled = passes.run(build(circuit, sequence))
    if is_ibm(backend):
        _check_rzz(transpiled, backend)
    # By the parameter itself: its position in the circuit follows from its name, so that step 10 comes before step 2.
    index = {p: i for i, p in enumerate(p for vector in sequence.parameters for p in vector)}
    parameters = tuple(transpiled.parameters)
    try:
        seconds = transpiled.estimate_duration(backend.target)
    except QiskitError:
        seconds = None
    return Program(
        transpiled,
        parameters,
        np.array([index[p] for p in parameters], dtype=np.int64),
        n_steps,
        len(circuit.readout),
        seconds,
        _busiest(transpiled),
    )


def _check_rzz(transpiled: Any, backend: Any) -> None:
    if any(i.operation.name == "rzz" and i.operation.is_parameterized() for i in transpiled.data):
        raise ValueError(
            f"{backend.name} was opened with fractional gates, whose rzz takes angles from 0 to pi/2 only, which "
            "angles that vary cannot promise; open it with use_fractional_gates=False"
        )


def _busiest(transpiled: Any) -> int:
    instructions: Counter[Any] = Counter()
    for instruction in transpiled.data:
        for qubit in instruction.qubits:
            instructions[qubit] += _CONTROL_INSTRUCTIONS.get(instruction.operation.name, 1)
    return _INITIALISATION + max(instructions.values(), default=0)
