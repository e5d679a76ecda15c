"""Other ways to compute the same: circuit and angles (B, T, A) float64 to outcome probabilities (B, T, 2^r).

Each is written as its experienced user would write it, for steps that measure their readout qubits at the end and reset
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from qrnn_fast import Angle, Circuit
from qrnn_fast.backends import Aer
from torch import Tensor

Peer = Callable[[Circuit, Tensor], Tensor]
SHOTS = 1024

_aer_exact, _aer_shots = Aer(max_parallel_threads=1), Aer(shots=SHOTS, max_parallel_threads=1)


def aer_exact(circuit: Circuit, angles: Tensor) -> Tensor:
    """A density matrix of all qubits, probabilities saved before each reset."""
    return _aer_exact.run(circuit, angles, None)[0]


def aer_shots(circuit: Circuit, angles: Tensor) -> Tensor:
    """Frequencies over 1,024 shots."""
    return _aer_shots.run(circuit, angles, None, seed=1)[0]


# ---- PyTorch by hand.
BYTES_AT_ONCE = 64 * 2**20  # of columns in flight


def torch_columns(circuit: Circuit, angles: Tensor) -> Tensor:
    """What one step makes of each basis state of the memory, for all steps of all sequences at once, since it does not
    depend on the state; then the density matrix of the memory, step after step.
    """
    n, memory, readout = circuit.n_qubits, circuit.memory, circuit.readout
    n_rows, n_steps, n_angles = angles.shape
    dim = 2 ** len(memory)
    flat = angles.reshape(-1, n_angles)
    at_once = max(1, BYTES_AT_ONCE // (16 * dim * 2**n))
    # (B T, outcome, memory out, memory in)
    kraus = torch.cat([_kraus(circuit, part) for part in flat.split(at_once)]).view(n_rows, n_steps, -1, dim, dim)
    rho = torch.zeros(n_rows, dim, dim, dtype=torch.complex128)
    rho[:, 0, 0] = 1
    probs = []
    for t in range(n_steps):
        branches = kraus[:, t] @ rho[:, None] @ kraus[:, t].mH
        probs.append(branches.diagonal(dim1=-2, dim2=-1).real.sum(-1))
        rho = branches.sum(1)
    assert len(readout) + len(memory) == n
    return torch.stack(probs, 1)


def _kraus(circuit: Circuit, angles: Tensor) -> Tensor:
    """Kraus operators (rows, 2^r, 2^m, 2^m) of one step for angles (rows, A)."""
    n, memory, readout = circuit.n_qubits, circuit.memory, circuit.readout
    dim = 2 ** len(memory)
    start = torch.zeros(dim, 2**n, dtype=torch.complex128)
    for i in range(dim):
        start[i, sum((i >> k & 1) << q for k, q in enumerate(memory))] = 1
    # axes: rows, columns, qubit n - 1, ..., qubit 0
    state = start.expand(len(angles), -1, -1).reshape(len(angles), dim, *[2] * n)
    waiting: dict[int, Tensor] = {}  # one-qubit gates, multiplied up until another gate needs their qubit

    def apply(matrix: Tensor, qubit: int, control: int | None = None) -> None:
        nonlocal state
        axis = state.dim() - 1 - qubit
        if control is None:
            state = _on_axis(matrix, state, axis)
            return
        control_axis = state.dim() - 1 - control
        off, on = state.unbind(control_axis)
        on = _on_axis(matrix, on, axis if axis < control_axis else axis - 1)
        state = torch.stack([off, on], control_axis)

    for op in circuit.operations:
        if op.name in ("measure", "reset"):
            continue
        values = [
            a.offset + a.scale * angles[:, a.slot] if isinstance(a, Angle) else angles.new_tensor([a])
            for a in op.angles
        ]
        if len(op.qubits) == 1:
            matrix = _rotation(op.name, values)
            (q,) = op.qubits
            waiting[q] = matrix @ waiting[q] if q in waiting else matrix
            continue
        for q in op.qubits:
            if q in waiting:
                apply(waiting.pop(q), q)
        control, target = op.qubits
        apply(_rotation(op.name[1:], values), target, control)
    for q, matrix in waiting.items():
        apply(matrix, q)
    order = [2 + n - 1 - q for q in reversed(readout)] + [2 + n - 1 - q for q in reversed(memory)]
    return state.permute(0, *order, 1).reshape(len(angles), 2 ** len(readout), dim, dim)


def _on_axis(matrix: Tensor, state: Tensor, axis: int) -> Tensor:
    shape = state.shape
    folded = state.reshape(shape[0], math.prod(shape[1:axis]), 2, -1)
    return torch.einsum("bij,bljr->blir", matrix.expand(shape[0], 2, 2), folded).reshape(shape)


def _rotation(name: str, angles: Sequence[Tensor]) -> Tensor:
    """(rows or 1, 2, 2)."""
    if name == "x":
        return torch.tensor([[[0, 1], [1, 0]]], dtype=torch.complex128)
    (theta,) = angles
    c, s, zero = torch.cos(theta / 2), torch.sin(theta / 2), torch.zeros_like(theta)
    entries = {
        "rx": (c, zero, zero, -s, zero, -s, c, zero),
        "ry": (c, zero, -s, zero, s, zero, c, zero),
        "rz": (c, -s, zero, zero, zero, zero, c, s),
    }[name]
    return torch.view_as_complex(torch.stack(entries, -1).view(-1, 2, 2, 2))


# ---- PennyLane.
def pennylane(circuit: Circuit, angles: Tensor) -> Tensor:
    """default.mixed: a QNode for one step on the memory's density matrix; called step after step."""
    step = _pennylane_step(circuit)
    dim = 2 ** len(circuit.memory)
    probs = []
    for sequence in angles.numpy():
        rho = torch.zeros(dim, dim, dtype=torch.complex128).numpy()
        rho[0, 0] = 1
        for values in sequence:
            outcome, rho = step(values, rho)
            probs.append(torch.as_tensor(outcome))
    return torch.stack(probs).view(*angles.shape[:2], -1)


@lru_cache(maxsize=8)
def _pennylane_step(circuit: Circuit) -> Callable[[Any, Any], tuple[Any, Any]]:
    import pennylane as qml

    gates = {"cx": qml.CNOT, **{name: getattr(qml, name.upper()) for name in ("rx", "ry", "rz", "crx", "cry", "crz")}}
    memory, readout = circuit.memory[::-1], circuit.readout[::-1]  # its first wire is the highest bit

    @qml.qnode(qml.device("default.mixed", wires=circuit.n_qubits))  # type: ignore[untyped-decorator]
    def step(values: Any, rho: Any) -> Any:
        qml.QubitDensityMatrix(rho, wires=memory)
        for op in circuit.operations:
            if op.name not in ("measure", "reset"):
                given = [a.offset + a.scale * values[a.slot] if isinstance(a, Angle) else a for a in op.angles]
                gates[op.name](*given, wires=list(op.qubits))
        return qml.probs(wires=readout), qml.density_matrix(wires=memory)

    return step  # type: ignore[no-any-return]


PEERS: dict[str, Peer] = {
    "torch by hand": torch_columns,
    "PennyLane": pennylane,
    "Aer, exact": aer_exact,
    "Aer, 1,024 shots": aer_shots,
}
