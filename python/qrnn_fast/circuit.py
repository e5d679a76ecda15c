"""Describe one time step of a recurrent circuit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qrnn_fast import _core
from qrnn_fast._gates import GateMethods

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from qrnn_fast.planning import Plan


@dataclass(frozen=True)
class Angle:
    """An angle of a gate: ``offset + scale * angles[slot]`` radians.

    Made by `Circuit.angle`; adding a number moves the offset, multiplying by a number scales.
    """

    slot: int
    scale: float = 1.0
    offset: float = 0.0

    def __add__(self, other: float) -> Angle:
        return Angle(self.slot, self.scale, self.offset + float(other))

    def __sub__(self, other: float) -> Angle:
        return self + (-other)

    def __mul__(self, other: float) -> Angle:
        return Angle(self.slot, self.scale * float(other), self.offset * float(other))

    def __truediv__(self, other: float) -> Angle:
        return self * (1.0 / other)

    def __neg__(self) -> Angle:
        return self * -1.0

    def __rsub__(self, other: float) -> Angle:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__


# Kraus operators by number, row and column; bit j of a row or column is qubit j of the op.
Kraus = tuple[tuple[tuple[complex, ...], ...], ...]


class Operation(NamedTuple):
    """One op of a circuit, as listed by `Circuit.operations`."""

    name: str
    qubits: tuple[int, ...]
    angles: tuple[Angle | float, ...]  # radians; a plain number is a constant
    bits: tuple[int, ...]  # outcome bits written by a measure
    kraus: Kraus | None = None  # of a channel


class ReadoutError(NamedTuple):
    """What a reading device makes of measured qubits."""

    qubits: tuple[int, ...]
    confusion: tuple[tuple[float, ...], ...]  # [told][true]: conditional probability; bit j of both is qubits[j]


class Circuit(GateMethods):
    """The ops of one time step, applied again at every step of a sequence.

    The qubits start in |0>. At the end of a step the qubits in `memory` are carried over to the next one; all others
    were reset. There is one method for every op of the op table::

        c = Circuit(2)
        c.rx(c.angle(), 0)
        c.crx(2 * c.angle() + 0.1, 0, 1)
        c.measure([1])
        c.reset([1])

    Args:
        n_qubits: number of qubits.
        n_angles: number of angle slots to begin with; `angle` adds further ones.

    Raises:
        ValueError: a qubit or an angle slot that does not exist, a qubit named twice, or a wrong number of them.
        TypeError: a qubit that is no integer, or an angle that is neither a number nor an `Angle`.
    """

    def __init__(self, n_qubits: int, n_angles: int = 0) -> None:
        self._core = _core.Circuit(_index(n_qubits, "n_qubits"), _index(n_angles, "n_angles"))
        self._text: str | None = None  # to_string(), until the circuit changes
        self.remembered: dict[Any, Any] = {}  # what others have worked out for this circuit, until it changes

    @property
    def n_qubits(self) -> int:
        """Number of qubits."""
        return self._core.n_qubits

    @property
    def n_angles(self) -> int:
        """Number of angle slots A, the last dimension of the angles handed to `evolve`."""
        return self._core.n_angles

    @property
    def readout(self) -> tuple[int, ...]:
        """The measured qubits; bit i of an outcome index is qubit ``readout[i]``."""
        return self._core.readout

    @property
    def memory(self) -> tuple[int, ...]:
        """The qubits carried over the step, ascending; all whose last op is not a reset."""
        return self._core.memory

    @property
    def operations(self) -> list[Operation]:
        """The ops in the order in which they act."""
        return [
            Operation(name, qubits, tuple(Angle(*a) if a[0] >= 0 else a[2] for a in angles), bits, _tuples(kraus))
            for name, qubits, angles, bits, kraus in self._core.operations
        ]

    @property
    def readout_errors(self) -> list[ReadoutError]:
        """What `readout_error` has added, in that order."""
        return [
            ReadoutError(qubits, tuple(zip(*[iter(confusion)] * 2 ** len(qubits), strict=True)))
            for qubits, confusion in self._core.readout_errors
        ]

    def angle(self) -> Angle:
        """A new angle slot; hand it to one gate or to several."""
        self._changed()
        return Angle(self._core.new_angle())

    def append(self, name: str, qubits: Iterable[int], angles: Iterable[Angle | float] = ()) -> Circuit:
        """Append the op called `name`; returns the circuit itself."""
        indices = [_index(q, f"{name}: a qubit") for q in qubits]
        self._core.append(name, indices, [_angle_triple(a, name) for a in angles])
        self._changed()
        return self

    def channel(self, kraus: Any, qubits: int | Iterable[int]) -> Circuit:
        """Append noise: rho becomes the sum over j of K_j rho K_j^dagger; returns the circuit itself.

        `qf.noise` makes the usual channels.

        Args:
            kraus: 1 to 16 operators, (J, 2, 2) or (J, 4, 4) complex, the sum of K_j^dagger K_j being 1 (to 1e-6).
            qubits: one or two; bit j of a row or column is the j-th of them, as in Qiskit.

        Raises:
            ValueError: matrices of another shape, or not complete; a qubit that does not exist.
        """
        matrices = np.asarray(kraus, dtype=np.complex128)
        if matrices.ndim != 3:
            raise ValueError(f"kraus must have the shape (J, 2, 2) or (J, 4, 4), got {matrices.shape}")
        self._core.append_channel(_indices(qubits, "channel"), matrices.tolist())
        self._changed()
        return self

    def readout_error(self, confusion: Any, qubits: int | Iterable[int]) -> Circuit:
        """What the reading device makes of measured qubits; returns the circuit itself.

        The state after the measurement is what it was: only the outcome that is told changes.

        Args:
            confusion: (2^k, 2^k), the probability of telling a row's outcome where a column's is true; or for one qubit
                the pair (P(1 | 0), P(0 | 1)).
            qubits: k measured qubits; bit j of a row or column is the j-th of them.

        Raises:
            ValueError: no such probabilities, or a qubit that is not measured or has a readout error already.
        """
        matrix = np.asarray(confusion, dtype=np.float64)
        if matrix.shape == (2,):
            matrix = np.array([[1 - matrix[0], matrix[1]], [matrix[0], 1 - matrix[1]]])
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"confusion must be a square matrix or a pair of probabilities, got {matrix.shape}")
        self._core.add_readout_error(_indices(qubits, "readout_error"), matrix.ravel().tolist())
        self._changed()
        return self

    def add(self, operation: Operation, angles: Iterable[Angle | float] | None = None) -> Circuit:
        """Append an operation of another circuit, with other angles if they are given; returns the circuit itself."""
        if operation.kraus is not None:
            return self.channel(operation.kraus, operation.qubits)
        return self.append(operation.name, operation.qubits, operation.angles if angles is None else angles)

    def _changed(self) -> None:
        self._text = None
        self.remembered.clear()

    def draw(self) -> str:
        """A picture of the step in plain text; print it."""
        from qrnn_fast.drawing import draw

        return draw(self)

    def plan(self) -> Plan:
        """Which engine of the native backend runs the circuit, and what each would cost; print it."""
        from qrnn_fast.planning import Plan

        return Plan.of(self)

    def to_qiskit(self, steps: int = 1) -> QuantumCircuit:
        """The circuit of a sequence of `steps` steps as a Qiskit QuantumCircuit; see `qrnn_fast.qiskit_io`."""
        from qrnn_fast.qiskit_io import to_qiskit

        return to_qiskit(self, steps)

    def to_qasm3(self, steps: int = 1) -> str:
        """The circuit of a sequence of `steps` steps as an OpenQASM 3 program; see `qrnn_fast.qiskit_io`."""
        from qrnn_fast.qiskit_io import to_qasm3

        return to_qasm3(self, steps)

    def to_dict(self) -> dict[str, Any]:
        """The circuit as a dictionary of numbers, strings and lists; `from_dict` takes it back."""
        ops: list[list[Any]] = []
        numbers: dict[Any, int] = {}  # by channel: each stands there once
        for name, qubits, angles, _, kraus in self._core.operations:
            ops.append([name, list(qubits), [list(a) for a in angles]])
            if kraus is not None:
                ops[-1].append(numbers.setdefault(_tuples(kraus), len(numbers)))
        data = {"n_qubits": self.n_qubits, "n_angles": self.n_angles, "operations": ops}
        if numbers:
            data["channels"] = [[[[[z.real, z.imag] for z in row] for row in k] for k in kraus] for kraus in numbers]
        if self._core.readout_errors:
            data["readout_errors"] = [[list(qubits), confusion] for qubits, confusion in self._core.readout_errors]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Circuit:
        """The circuit that `to_dict` described.

        Raises:
            ValueError: a missing or unknown key, or ops that no circuit can hold.
        """
        expected, optional = {"n_qubits", "n_angles", "operations"}, {"channels", "readout_errors"}
        if set(data) - optional != expected:
            raise ValueError(
                f"a circuit's dictionary has the keys {sorted(expected)} and perhaps {sorted(optional)}, got "
                f"{sorted(data)}"
            )
        circuit = cls(data["n_qubits"], data["n_angles"])
        channels = [[[[complex(*z) for z in row] for row in k] for k in kraus] for kraus in data.get("channels", [])]
        for name, qubits, angles, *channel in data["operations"]:
            if channel:
                if channel[0] not in range(len(channels)):
                    raise ValueError(f"{name}: there is no channel {channel[0]!r} among the {len(channels)} given")
                circuit._core.append_channel(list(qubits), channels[channel[0]])
            else:
                circuit._core.append(name, list(qubits), [(int(s), float(k), float(o)) for s, k, o in angles])
        for qubits, confusion in data.get("readout_errors", []):
            circuit._core.add_readout_error(list(qubits), list(confusion))
        return circuit

    def to_string(self) -> str:
        """A canonical string: equal circuits give equal strings. `from_string` takes it back."""
        text = self._text
        if text is None:
            self._text = text = json.dumps(self.to_dict(), separators=(",", ":"))
        return text

    @classmethod
    def from_string(cls, text: str) -> Circuit:
        """The circuit that `to_string` described."""
        return cls.from_dict(json.loads(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circuit) and self.to_string() == other.to_string()

    def __hash__(self) -> int:
        return hash(self.to_string())

    def __reduce__(self) -> tuple[Any, ...]:
        return Circuit.from_string, (self.to_string(),)

    def __repr__(self) -> str:
        return (
            f"Circuit(n_qubits={self.n_qubits}, n_angles={self.n_angles}, {len(self._core.operations)} ops, "
            f"readout={self.readout}, memory={self.memory})"
        )


def _index(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{what} must be an integer, got {value!r}")
    return int(value)


def _indices(qubits: int | Iterable[int], op: str) -> list[int]:
    return [_index(q, f"{op}: a qubit") for q in ([qubits] if isinstance(qubits, Integral) else qubits)]  # type: ignore[union-attr]


def _tuples(kraus: list[list[list[complex]]] | None) -> Kraus | None:
    return None if kraus is None else tuple(tuple(tuple(row) for row in matrix) for matrix in kraus)


def _angle_triple(angle: Angle | float, op: str) -> tuple[int, float, float]:
    if isinstance(angle, Angle):
        return angle.slot, angle.scale, angle.offset
    if isinstance(angle, bool) or not isinstance(angle, Real):
        raise TypeError(f"{op}: an angle is a number of radians or an angle slot from Circuit.angle(), got {angle!r}")
    return -1, 0.0, float(angle)
