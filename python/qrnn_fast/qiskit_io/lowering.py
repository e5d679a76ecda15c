"""Qiskit instructions, one after the other, as ops of the op table.

What comes out is a flat list of `Gate`, `Measure`, `Reset` and `Channel`: composite instructions are opened, gates that
the op table does not have go through Qiskit's transpiler, and a gate inside an `if_else` carries the classical bits it
waits for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np

from qrnn_fast import _core
from qrnn_fast.circuit import Angle, Kraus
from qrnn_fast.qiskit_io.export import gate, is_standard

# Classical bits, as their numbers in the circuit, and the value that each must have.
Condition = tuple[tuple[int, bool], ...]


class Gate(NamedTuple):
    """A gate of the op table."""

    name: str
    qubits: tuple[int, ...]
    angles: tuple[Angle | float, ...]
    condition: Condition = ()
    where: str = ""


class Measure(NamedTuple):
    """A measurement of one qubit into one classical bit."""

    qubit: int
    bit: int


class Reset(NamedTuple):
    """A reset of one qubit."""

    qubit: int


class Channel(NamedTuple):
    """Noise."""

    kraus: Kraus
    qubits: tuple[int, ...]


Item = Gate | Measure | Reset | Channel

_GATES = {op.qiskit_name: op for op in _core.op_table() if op.is_gate}
_NOTHING = ("barrier", "delay")
_ACCEPTED = "gates, measure, reset, kraus, barriers, if_else on bits measured before in the same step"


def refuse(where: str, reason: str) -> NoReturn:
    """Raise ValueError for an instruction that no circuit of the op table can hold."""
    raise ValueError(f"{where}: {reason}; accepted: {_ACCEPTED}")


class Lowering:
    """Turns instructions into items; `slots` tells each parameter's angle slot."""

    def __init__(self, slots: dict[Any, int]) -> None:
        self._slots = slots

    def circuit(
        self,
        qc: Any,
        qubits: tuple[int, ...],
        bits: tuple[int, ...],
        condition: Condition = (),
        inside: str = "",
    ) -> Iterator[Item]:
        """The items of a QuantumCircuit whose qubits and classical bits are these of the whole circuit."""
        place = dict(zip(qc.qubits, qubits, strict=True)), dict(zip(qc.clbits, bits, strict=True))
        for position, instruction in enumerate(qc.data):
            op = instruction.operation
            on = tuple(place[0][q] for q in instruction.qubits)
            into = tuple(place[1][c] for c in instruction.clbits)
            where = f"{inside}instruction {position}, {op.name!r} on qubits {on}"
            yield from self._instruction(op, on, into, condition, where, place[1])

    def _instruction(
        self,
        op: Any,
        qubits: tuple[int, ...],
        bits: tuple[int, ...],
        condition: Condition,
        where: str,
        bit_of: dict[Any, int],
    ) -> Iterator[Item]:
        from qiskit.circuit import ForLoopOp, IfElseOp, Instruction
        from qiskit.circuit import Gate as QiskitGate

        if isinstance(op, IfElseOp):
            for block, holds in zip(op.blocks, (True, False), strict=False):
                further = _condition(op.condition, holds, bit_of, where)
                both = dict(condition) | dict(further)
                if all(both[bit] == value for bit, value in condition):  # else the block is never reached
                    yield from self.circuit(block, qubits, bits, tuple(both.items()), f"{where}: ")
        elif isinstance(op, QiskitGate) or not isinstance(op, Instruction):
            # What is no instruction, such as a Clifford or a gate with annotated modifiers, is unitary, too.
            yield from self.gate(op, qubits, condition, where)
        elif op.definition is not None:
            # Before the names, which a composite instruction of the user's may share.
            yield from self.circuit(op.definition, qubits, bits, condition, f"{where}: ")
        elif op.name in _NOTHING:
            return
        elif op.name in ("measure", "reset", "kraus") and condition:
            refuse(where, "only gates can wait for a classical bit")
        elif op.name == "measure":
            yield Measure(qubits[0], bits[0])
        elif op.name == "reset":
            yield Reset(qubits[0])
        elif op.name == "kraus":
            yield Channel(tuple(tuple(map(tuple, np.asarray(k).tolist())) for k in op.params), qubits)
        elif isinstance(op, ForLoopOp):
            refuse(where, "a loop within the step has no definition in terms of gates; write its passes one by one")
        else:
            refuse(where, "it has no definition in terms of gates")

    def gate(self, op: Any, qubits: tuple[int, ...], condition: Condition, where: str) -> Iterator[Item]:
        """A gate as it stands in the op table, or as what Qiskit's transpiler makes of it."""
        known = _GATES.get(op.name)
        if not is_standard(op):
            # Its definition tells what it does; the transpiler would go by its name, which may be one of Qiskit's.
            if getattr(op, "definition", None) is not None:
                yield from self.circuit(op.definition, qubits, (), condition, f"{where}: ")
                return
            if known is not None:
                refuse(where, "it has the name of a gate of Qiskit's, is another one, and has no definition")
        if known is not None:
            terms = [self._terms(value, where) for value in op.params]
            if all(len(t) == 1 for t in terms):
                yield Gate(known.name, qubits, tuple(t[0] for t in terms), condition, where)
                return
            if known.n_angles == 1:
                # Rotations by parts of an angle, about the same axis, one after the other.
                for term in terms[0]:
                    yield Gate(known.name, qubits, (term,), condition, where)
                return
        for instruction, on in _transpiled(op, where):
            yield from self.gate(instruction, tuple(qubits[i] for i in on), condition, where)

    def _terms(self, value: Any, where: str) -> list[Angle | float]:
        """An angle as a sum of angles of one slot each, the first of which holds the constant."""
        parameters = getattr(value, "parameters", ())
        if not parameters:
            return [float(value)]
        terms: list[Angle | float] = []
        for parameter in sorted(parameters, key=lambda p: self._slots[p]):
            try:
                slope = value.gradient(parameter)
            except RuntimeError:  # of sign(), which Qiskit does not differentiate
                slope = math.nan
            if getattr(slope, "parameters", ()) or isinstance(slope, complex) or not math.isfinite(slope):
                raise ValueError(
                    f"{where}: the angle {value} is not affine in {parameter.name} with a real factor; accepted: "
                    "numbers and sums of parameters times numbers. Put a parameter of its own there, and let the "
                    "encoder of qf.QRNN, any nn.Module, compute its angle"
                )
            if float(slope) != 0:
                terms.append(Angle(self._slots[parameter], float(slope)))
        offset = float(value.bind(dict.fromkeys(parameters, 0.0)))
        return [terms[0] + offset, *terms[1:]] if terms else [offset]


def controlled(item: Gate, controls: tuple[int, ...]) -> list[Gate]:
    """A gate that waits for classical bits as one controlled by the qubits that hold them.

    Args:
        item: the gate with its condition.
        controls: for each bit of the condition, the qubit in whose Z basis it is.
    """
    from qiskit.circuit import Parameter

    parameters = {a.slot: Parameter(f"angle_{a.slot}") for a in item.angles if isinstance(a, Angle)}
    angles = [a.offset + a.scale * parameters[a.slot] if isinstance(a, Angle) else a for a in item.angles]
    op = gate(item.name, angles)
    # Values of the controls, that of the first one in the lowest bit.
    values = sum(int(value) << i for i, (_, value) in enumerate(item.condition))
    op = op.control(len(controls), ctrl_state=values, annotated=False)
    lowering = Lowering({parameter: slot for slot, parameter in parameters.items()})
    return [g for g in lowering.gate(op, (*controls, *item.qubits), (), item.where) if isinstance(g, Gate)]


def _transpiled(op: Any, where: str) -> Iterable[tuple[Any, tuple[int, ...]]]:
    """Other gates of the op table that make up a gate: each with the numbers of its qubits."""
    from qiskit import QuantumCircuit, transpile
    from qiskit.exceptions import QiskitError

    qc = QuantumCircuit(op.num_qubits)
    qc.append(op, range(op.num_qubits))
    try:
        lowered = transpile(qc, basis_gates=[name for name in _GATES if name != op.name], optimization_level=0)
    except QiskitError as error:
        refuse(where, f"Qiskit's transpiler does not decompose it ({error.message})")
    return [(i.operation, tuple(lowered.find_bit(q).index for q in i.qubits)) for i in lowered.data]


def _condition(condition: Any, holds: bool, bit_of: dict[Any, int], where: str) -> Condition:
    """The bits and their values that an if_else's condition asks for, or asks not for where it does not hold."""
    from qiskit.circuit import ClassicalRegister, Clbit

    if isinstance(condition, tuple):
        target, value = condition
        if isinstance(target, Clbit):
            return ((bit_of[target], bool(value) == holds),)
        if isinstance(target, ClassicalRegister):
            if int(value) >> len(target):
                refuse(where, f"it waits for {target.name} == {value}, which its {len(target)} bits cannot hold")
            if holds or len(target) == 1:
                return tuple((bit_of[c], bool(int(value) >> i & 1) == holds) for i, c in enumerate(target))
            refuse(where, f"its else branch waits for {target.name} != {value}, which is no value of single bits")
    refuse(where, f"the condition {condition} is neither on a bit nor on a register's value")
