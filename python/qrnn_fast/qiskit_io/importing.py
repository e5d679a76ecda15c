"""A Qiskit circuit of one time step as a circuit of qrnn_fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qrnn_fast.circuit import Circuit
from qrnn_fast.qiskit_io.lowering import Gate, Item, Lowering, Measure, Reset, controlled, refuse

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter


def from_qiskit(qc: QuantumCircuit, angles: Sequence[Parameter] | None = None) -> Circuit:
    """The circuit of one time step that a QuantumCircuit describes.

    Gates of the op table stay as they are, composite ones are opened, others are decomposed by Qiskit's transpiler.
    Angles are numbers or expressions affine in parameters. Barriers, delays and global phases are dropped. A gate in
    an `if_else` waits for bits measured before it in the same step; it becomes a gate controlled by the measured qubit.

    Bit i of an outcome index is the i-th classical bit that the circuit writes. Where a qubit has changed before the
    last use of its bit, is measured twice, or bits are not written in their order, a bit is copied to a further qubit,
    which stands behind those of `qc`, is measured in its place and reset at the end of the step.

    Args:
        qc: one time step, with its measurements and resets.
        angles: the parameters in the order of the angle slots: a ParameterVector or a list of parameters. Parameters
            that the circuit does not use keep their slots. None where all parameters are elements of one
            ParameterVector, or where there is one or none: Qiskit's own order, by name, is no order to rely on.

    Returns:
        The circuit, with `len(angles)` angle slots.

    Raises:
        ValueError: an instruction that cannot be expressed, with its name and position; parameters that `angles` does
            not hold; or several loose parameters without `angles`.
        TypeError: `qc` is no QuantumCircuit, or `angles` holds something else than parameters.
    """
    from qiskit import QuantumCircuit

    if not isinstance(qc, QuantumCircuit):
        raise TypeError(f"qc must be a qiskit QuantumCircuit, got {type(qc).__name__}")
    slots = _slots(qc, angles)
    items = list(Lowering(slots).circuit(qc, tuple(range(qc.num_qubits)), tuple(range(qc.num_clbits))))
    return _Assembly(items, qc.num_qubits, len(slots)).circuit()


def _slots(qc: QuantumCircuit, angles: Sequence[Parameter] | None) -> dict[Any, int]:
    used = list(qc.parameters)
    if angles is None:
        angles = list(getattr(used[0], "vector", used[:1])) if used else []
        if not set(used) <= set(angles):
            raise ValueError(
                f"the circuit has the parameters {[p.name for p in used]}, whose order is not given; hand over "
                "angles=[...], the parameters in the order of the angle slots"
            )
    _require_parameters(angles)
    slots = {parameter: slot for slot, parameter in enumerate(angles)}
    if len(slots) != len(angles):
        raise ValueError(f"angles holds a parameter twice: {[p.name for p in angles]}")
    missing = [p.name for p in used if p not in slots]
    if missing:
        namesakes = {p.name for p in angles} & set(missing)
        raise ValueError(
            f"angles does not hold the parameters {missing} of the circuit; "
            + (
                f"it holds others of the same name, {sorted(namesakes)}, which Qiskit tells apart: hand over those "
                "that the circuit was drawn with"
                if namesakes
                else "add them, or bind them to numbers by qc.assign_parameters"
            )
        )
    return slots


def _require_parameters(angles: object) -> None:
    from qiskit.circuit import Parameter, ParameterVector

    accepted = "angles must be a ParameterVector or a list of parameters"
    if isinstance(angles, str | Parameter) or not isinstance(angles, Iterable):
        raise TypeError(f"{accepted}, got {angles!r}")
    for given in angles:
        if isinstance(given, ParameterVector):
            raise TypeError(f"{accepted}, got a list with the vector {given.name!r} in it; write [*x, *w] for [x, w]")
        if not isinstance(given, Parameter):
            raise TypeError(f"{accepted}, got a list with {given!r} in it")


class _CopyNeeded(Exception):  # noqa: N818  it never leaves this module
    def __init__(self, bit: int) -> None:
        self.bit = bit


class _Assembly:
    """Puts items together to a circuit, with as many copied bits as that takes.

    A measured qubit holds its bit until another op than a control acts on it. Measurements can wait as long: that
    brings them into the order of their classical bits.
    """

    def __init__(self, items: Sequence[Item], n_qubits: int, n_angles: int) -> None:
        self._items, self._n_qubits, self._n_angles = items, n_qubits, n_angles
        bits = [item.bit for item in items if isinstance(item, Measure)]
        self._order = sorted(bits)
        twice = {bit for bit in bits if bits.count(bit) > 1}
        if twice:
            raise ValueError(
                f"classical bits {sorted(twice)} are written twice in the step; measure into a bit of its own each time"
            )

    def circuit(self) -> Circuit:
        copied: set[int] = set()
        while True:
            try:
                return self._build(sorted(copied))
            except _CopyNeeded as needed:
                copied.add(needed.bit)

    def _build(self, copied: Sequence[int]) -> Circuit:
        circuit = Circuit(self._n_qubits + len(copied), self._n_angles)
        copies = {bit: self._n_qubits + i for i, bit in enumerate(copied)}
        holder: dict[int, int] = {}  # qubit that holds a bit, by bit
        written: dict[int, int] = {}  # bits whose measurement waits, and their qubits
        measured: set[int] = set()  # qubits that a measurement of their own stands for
        seen: set[int] = set()  # bits measured so far
        emitted = 0  # number of measurements that stand in the circuit

        def act_on(qubits: Iterable[int]) -> None:
            for bit, qubit in list(holder.items()):
                if qubit in qubits:
                    if bit in written:
                        raise _CopyNeeded(bit)
                    del holder[bit]

        for item in self._items:
            if isinstance(item, Measure):
                seen.add(item.bit)
                if item.bit in copies:
                    circuit.cx(item.qubit, copies[item.bit])
                elif item.qubit in measured:
                    raise _CopyNeeded(item.bit)
                else:
                    measured.add(item.qubit)
                holder[item.bit] = written[item.bit] = copies.get(item.bit, item.qubit)
                while emitted < len(self._order) and self._order[emitted] in written:
                    circuit.measure(written.pop(self._order[emitted]))
                    emitted += 1
            elif isinstance(item, Gate) and item.condition:
                self._conditional(circuit, item, seen, holder, act_on)
            elif isinstance(item, Gate):
                act_on(item.qubits)
                circuit.append(item.name, item.qubits, item.angles)
            elif isinstance(item, Reset):
                act_on([item.qubit])
                circuit.reset(item.qubit)
            else:
                act_on(item.qubits)
                circuit.channel(item.kraus, item.qubits)
        if copies:
            circuit.reset(list(copies.values()))
        return circuit

    def _conditional(
        self,
        circuit: Circuit,
        item: Gate,
        seen: set[int],
        holder: dict[int, int],
        act_on: Callable[[Iterable[int]], None],
    ) -> None:
        for bit, _ in item.condition:
            if bit not in seen:
                refuse(item.where, f"it waits for classical bit {bit}, which is not measured before it in the step")
            if bit not in holder:
                raise _CopyNeeded(bit)
        controls = tuple(holder[bit] for bit, _ in item.condition)
        own = [bit for (bit, _), control in zip(item.condition, controls, strict=True) if control in item.qubits]
        if own:
            (_, value), *others = item.condition
            if item.name == "x" and value and not others:
                # X where 1 was measured, on the measured qubit: a reset.
                act_on(item.qubits)
                circuit.reset(item.qubits)
                return
            raise _CopyNeeded(own[0])
        act_on(item.qubits)
        for gate in controlled(item, controls):
            circuit.append(gate.name, gate.qubits, gate.angles)
