"""Circuits from and to Qiskit and OpenQASM 3. Qiskit is imported when a function here is first called."""

from qrnn_fast.qiskit_io.export import SequenceParameters, build, to_qiskit
from qrnn_fast.qiskit_io.importing import from_qiskit
from qrnn_fast.qiskit_io.openqasm import from_qasm3, to_qasm3

__all__ = ["SequenceParameters", "build", "from_qasm3", "from_qiskit", "to_qasm3", "to_qiskit"]
