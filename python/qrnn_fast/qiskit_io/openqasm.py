"""Circuits from and to OpenQASM 3, by way of Qiskit's exporter and importer."""

from __future__ import annotations

from qrnn_fast.circuit import Circuit
from qrnn_fast.qiskit_io.export import SequenceParameters, build
from qrnn_fast.qiskit_io.importing import from_qiskit


def to_qasm3(circuit: Circuit, steps: int = 1) -> str:
    """The circuit of a sequence of `steps` steps as an OpenQASM 3 program.

    Args:
        circuit: one time step.
        steps: number of steps T, at least 1.

    Returns:
        A program with the inputs ``angle_t_slot``, radians, in the order of steps and slots, and one register
        ``step_t`` of outcome bits per step.

    Raises:
        ValueError: `steps` below 1, or noise, which OpenQASM 3 does not know.
    """
    from qiskit import qasm3
    from qiskit.circuit import Parameter

    if circuit.readout_errors or any(op.kraus is not None for op in circuit.operations):
        raise ValueError("OpenQASM 3 knows no noise; write the circuit without channels and readout errors")
    sequence = SequenceParameters(circuit, steps)
    named = {
        p: Parameter(f"angle_{t}_{slot}") for t, row in enumerate(sequence.parameters) for slot, p in enumerate(row)
    }
    qc = build(circuit, sequence)
    qc.assign_parameters({p: named[p] for p in qc.parameters}, inplace=True)
    # Qiskit declares the parameters that gates use, sorted by name; slots that no gate uses have their place, too.
    version, include, *lines = [
        line for line in qasm3.dumps(qc).splitlines(keepends=True) if not line.startswith("input ")
    ]
    inputs = [f"input float[64] {p.name};\n" for p in named.values()]
    return "".join([version, include, *inputs, *lines])


def from_qasm3(program: str) -> Circuit:
    """The circuit of one time step that an OpenQASM 3 program describes; see `from_qiskit` for what it may hold.

    Args:
        program: its text. Angle slots are its ``input`` declarations, in the order in which they stand.

    Raises:
        ValueError: an instruction that cannot be expressed, or a program that Qiskit's importer does not take.
        TypeError: `program` is no text.
        ImportError: the package qiskit-qasm3-import is missing.
    """
    from qiskit import qasm3

    if not isinstance(program, str):
        raise TypeError(f"program must be the text of an OpenQASM 3 program, got {type(program).__name__}")
    try:
        import openqasm3
    except ModuleNotFoundError as error:
        raise ImportError("OpenQASM 3 is read by qiskit-qasm3-import: pip install 'qrnn_fast[qasm3]'") from error
    try:
        qc = qasm3.loads(program)
    except openqasm3.parser.QASM3ParsingError as error:
        reason = str(error) or "it does not parse"
        raise ValueError(
            f"this is no OpenQASM 3 program: {reason}; from_qasm3 takes the program's text, got {program[:40]!r}"
        ) from error
    except qasm3.QASM3ImporterError as error:
        raise ValueError(f"Qiskit does not take this OpenQASM 3 program: {error.message}") from error
    by_name = {p.name: p for p in qc.parameters}
    declared = [
        s.identifier.name for s in openqasm3.parse(program).statements if isinstance(s, openqasm3.ast.IODeclaration)
    ]
    return from_qiskit(qc, [by_name[name] if name in by_name else _unused(name) for name in declared])


def _unused(name: str) -> object:
    from qiskit.circuit import Parameter

    return Parameter(name)
