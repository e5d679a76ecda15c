"""Random circuits for hypothesis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from qrnn_fast import Angle, Circuit, _core

GATES = [op for op in _core.op_table() if op.is_gate]
N_SLOTS = 4


def angles() -> st.SearchStrategy[Angle | float]:
    """Slots used as they are, scaled or shifted, and constants that make structural zeros."""
    slots = st.builds(
        Angle,
        st.integers(0, N_SLOTS - 1),
        st.sampled_from([1.0, -1.0, 2.0, 0.7]),
        st.sampled_from([0.0, 0.3]),
    )
    constants = st.sampled_from([0.0, 0.4, math.pi / 2, -math.pi / 2, math.pi])
    return st.one_of(slots, slots, constants)


@st.composite
def circuits(draw: Any, max_qubits: int = 5, max_ops: int = 20, max_memory: int = 4) -> Circuit:
    """Any gate of the op table, measurements and resets anywhere in the step, slots shared by gates."""
    n = draw(st.integers(1, max_qubits))
    circuit = Circuit(n, N_SLOTS)
    unmeasured = set(range(n))
    for _ in range(draw(st.integers(0, max_ops))):
        kind = draw(st.integers(0, 9))
        qubit = draw(st.integers(0, n - 1))
        if kind == 0 and qubit in unmeasured:
            circuit.measure(qubit)
            unmeasured.discard(qubit)
        elif kind == 1:
            circuit.reset(qubit)
        else:
            gate = draw(st.sampled_from([g for g in GATES if g.n_qubits <= n]))
            qubits = draw(st.permutations(range(n)))[: gate.n_qubits]
            circuit.append(gate.name, qubits, [draw(angles()) for _ in range(gate.n_angles)])
    for qubit in sorted(unmeasured):
        # At least one qubit is measured; the last one is where none was.
        if draw(st.booleans()) or (not circuit.readout and qubit == max(unmeasured)):
            circuit.measure(qubit)
    for qubit in range(n):
        if qubit in circuit.memory and (draw(st.booleans()) or len(circuit.memory) > max_memory):
            circuit.reset(qubit)
    return circuit


DAMPING = np.array([[[1, 0], [0, 0.8]], [[0, 0.6], [0, 0]]])
FLIP = np.array([[[0.8, 0], [0, 0.8]], [[0, 0.6], [0.6, 0]]])


@st.composite
def channels(draw: Any, n_qubits: int) -> NDArray[np.complex128]:
    """Kraus operators: any channel at all, or one whose transfer matrix has structural zeros."""
    if draw(st.booleans()):
        single = [draw(st.sampled_from([DAMPING, FLIP])) for _ in range(n_qubits)]
        return single[0] if n_qubits == 1 else np.array([np.kron(b, a) for b in single[1] for a in single[0]])
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    dim, n_operators = 2**n_qubits, draw(st.integers(1, 4))
    columns = rng.normal(size=(n_operators * dim, dim)) + 1j * rng.normal(size=(n_operators * dim, dim))
    isometry, _ = np.linalg.qr(columns)
    return isometry.reshape(n_operators, dim, dim)


@st.composite
def noisy_circuits(draw: Any, max_qubits: int = 3, max_ops: int = 12) -> Circuit:
    """A circuit with channels anywhere, behind the last reset included, and with readout errors."""
    circuit = draw(circuits(max_qubits, max_ops))
    n = circuit.n_qubits
    noisy = Circuit(n, N_SLOTS)
    for op in [None, *circuit.operations]:
        if op is not None:
            noisy.add(op)
        if draw(st.integers(0, 2)) == 0:
            k = draw(st.integers(1, min(2, n)))
            noisy.channel(draw(channels(k)), draw(st.permutations(range(n)))[:k])
    unread = list(draw(st.permutations(circuit.readout)))
    while unread and draw(st.booleans()):
        k = draw(st.integers(1, min(2, len(unread))))
        rng = np.random.default_rng(draw(st.integers(0, 2**31)))
        noisy.readout_error(rng.dirichlet(np.ones(2**k), size=2**k).T, [unread.pop() for _ in range(k)])
    return noisy
