"""An independent reference: dense density matrices in torch, one gate at a time, every gate a literal matrix.

Nothing of the op table or the engines is used but the list `circuit.operations`. Differentiable by autograd, slow.
"""

from __future__ import annotations

import math

import torch
from qrnn_fast import Angle, Circuit
from torch import Tensor

C = torch.complex128
I2 = torch.eye(2, dtype=C)
X = torch.tensor([[0, 1], [1, 0]], dtype=C)
Y = torch.tensor([[0, -1j], [1j, 0]], dtype=C)
Z = torch.tensor([[1, 0], [0, -1]], dtype=C)
ROOT = 1 / math.sqrt(2)

FIXED = {
    "h": torch.tensor([[ROOT, ROOT], [ROOT, -ROOT]], dtype=C),
    "x": X,
    "y": Y,
    "z": Z,
    "s": torch.tensor([[1, 0], [0, 1j]], dtype=C),
    "sdg": torch.tensor([[1, 0], [0, -1j]], dtype=C),
    "t": torch.tensor([[1, 0], [0, ROOT + 1j * ROOT]], dtype=C),
    "tdg": torch.tensor([[1, 0], [0, ROOT - 1j * ROOT]], dtype=C),
    "sx": torch.tensor([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]], dtype=C) / 2,
    "sxdg": torch.tensor([[1 - 1j, 1 + 1j], [1 + 1j, 1 - 1j]], dtype=C) / 2,
    "ecr": ROOT * (torch.kron(X, I2) - torch.kron(Y, X)),
    "swap": torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=C),
}


def rotation(pauli: Tensor, theta: Tensor) -> Tensor:
    """exp(-i theta/2 P) for P with P^2 = 1."""
    return torch.cos(theta / 2) * torch.eye(len(pauli), dtype=C) - 1j * torch.sin(theta / 2) * pauli


def phase(theta: Tensor) -> Tensor:
    return torch.diag(torch.stack([torch.ones((), dtype=C), torch.exp(1j * theta)]))


def general(theta: Tensor, phi: Tensor, lam: Tensor) -> Tensor:
    """Qiskit's U gate."""
    c, s = torch.cos(theta / 2), torch.sin(theta / 2)
    rows = [c, -torch.exp(1j * lam) * s, torch.exp(1j * phi) * s, torch.exp(1j * (phi + lam)) * c]
    return torch.stack([r.to(C) for r in rows]).reshape(2, 2)


def controlled(unitary: Tensor) -> Tensor:
    """The first qubit controls; it is the high bit of the matrix index here."""
    return torch.block_diag(I2, unitary)


ROTATIONS = {
    "rx": lambda t: rotation(X, t),
    "ry": lambda t: rotation(Y, t),
    "rz": lambda t: rotation(Z, t),
    "p": phase,
    "u": general,
    "crx": lambda t: controlled(rotation(X, t)),
    "cry": lambda t: controlled(rotation(Y, t)),
    "crz": lambda t: controlled(rotation(Z, t)),
    "cp": lambda t: controlled(phase(t)),
    "rxx": lambda t: rotation(torch.kron(X, X), t),
    "ryy": lambda t: rotation(torch.kron(Y, Y), t),
    "rzz": lambda t: rotation(torch.kron(Z, Z), t),
}
FIXED |= {"cx": controlled(X), "cy": controlled(Y), "cz": controlled(Z)}


def unitary(name: str, angles: list[Tensor]) -> Tensor:
    """Matrix of a gate; the first qubit is the high bit of an index."""
    return FIXED[name] if name in FIXED else ROTATIONS[name](*angles)


class Register:
    """A density matrix as a tensor of axes of length 2: measured bits, then qubits' rows, then qubits' columns.

    A bit's axis appears when it is measured, in front of those that are there.
    """

    def __init__(self, n_qubits: int, memory: tuple[int, ...], rho: Tensor) -> None:
        self.n = n_qubits
        self.bits: list[int] = []  # outcome bit of each bit axis
        full = torch.zeros((2**n_qubits, 2**n_qubits), dtype=C)
        index = torch.tensor([sum((i >> k & 1) << q for k, q in enumerate(memory)) for i in range(2 ** len(memory))])
        full = full.index_put((index[:, None], index[None, :]), rho)
        # Reshaping puts the highest qubit first; turn it round, so that axis q is qubit q.
        n = n_qubits
        self.state = full.reshape((2,) * (2 * n)).permute([*range(n - 1, -1, -1), *range(2 * n - 1, n - 1, -1)])

    def row(self, qubit: int) -> int:
        return len(self.bits) + qubit

    def column(self, qubit: int) -> int:
        return len(self.bits) + self.n + qubit

    def _apply(self, matrix: Tensor, axes: list[int]) -> None:
        k = len(axes)
        tensor = matrix.reshape((2,) * (2 * k))
        out = torch.tensordot(tensor, self.state, dims=(list(range(k, 2 * k)), axes))
        self.state = torch.movedim(out, list(range(k)), axes)

    def gate(self, matrix: Tensor, qubits: tuple[int, ...]) -> None:
        self._apply(matrix, [self.row(q) for q in qubits])
        self._apply(matrix.conj(), [self.column(q) for q in qubits])

    def channel(self, kraus: list[Tensor], qubits: tuple[int, ...]) -> None:
        """The sum of K rho K^dagger; the first qubit is the low bit of a row or column of K."""
        before, total = self.state, torch.zeros_like(self.state)
        for matrix in kraus:
            self.state = before
            self.gate(matrix, qubits[::-1])
            total = total + self.state
        self.state = total

    def measure(self, qubit: int, bit: int) -> None:
        branches = []
        for value in (0, 1):
            selected = self.state.narrow(self.row(qubit), value, 1).narrow(self.column(qubit), value, 1)
            zero = torch.zeros_like(selected)
            for axis in (self.row(qubit), self.column(qubit)):
                selected = torch.cat([selected, zero] if value == 0 else [zero, selected], dim=axis)
                zero = torch.zeros_like(selected)
            branches.append(selected)
        self.state = torch.stack(branches)
        self.bits.insert(0, bit)

    def reset(self, qubit: int) -> None:
        traced = torch.diagonal(self.state, dim1=self.row(qubit), dim2=self.column(qubit)).sum(-1)
        row = torch.stack([traced, torch.zeros_like(traced)], dim=self.row(qubit))
        self.state = torch.stack([row, torch.zeros_like(row)], dim=self.column(qubit))

    def probabilities(self) -> Tensor:
        """Outcome i has bit k of i in outcome bit k."""
        r, state = len(self.bits), self.state
        for n_left in range(self.n, 0, -1):
            state = torch.diagonal(state, dim1=r, dim2=r + n_left).sum(-1)
        return state.permute([self.bits.index(bit) for bit in range(r - 1, -1, -1)]).reshape(-1).real

    def memory(self, qubits: tuple[int, ...]) -> Tensor:
        """Reduced density matrix; index bit k is qubits[k]."""
        state = self.state.sum(dim=tuple(range(len(self.bits))))
        left = list(range(self.n))
        for q in [q for q in range(self.n) if q not in qubits]:
            at = left.index(q)
            state = torch.diagonal(state, dim1=at, dim2=len(left) + at).sum(-1)
            left.remove(q)
        m = len(left)
        axes = [*range(m - 1, -1, -1), *range(2 * m - 1, m - 1, -1)]
        return state.permute(axes).reshape(2**m, 2**m)


def told(circuit: Circuit, probabilities: Tensor) -> Tensor:
    """Probabilities of what a reading device with the circuit's readout errors tells, outcome by outcome."""
    for error in circuit.readout_errors:
        bits = [circuit.readout.index(q) for q in error.qubits]
        n = 2 ** len(bits)
        rest = ~sum(1 << bit for bit in bits)
        new = [torch.zeros((), dtype=torch.float64) for _ in probabilities]
        for outcome, p in enumerate(probabilities):
            true = sum((outcome >> bit & 1) << k for k, bit in enumerate(bits))
            for other in range(n):
                observed = (outcome & rest) | sum((other >> k & 1) << bit for k, bit in enumerate(bits))
                new[observed] = new[observed] + error.confusion[other][true] * p
        probabilities = torch.stack(new)
    return probabilities


def evolve_sequence(circuit: Circuit, angles: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (T, 2^r) and final memory (2^m, 2^m) of one sequence (T, A) that starts from rho."""
    outputs = []
    memory, r = circuit.memory, len(circuit.readout)
    operations = circuit.operations
    for a in angles:
        register = Register(circuit.n_qubits, memory, rho)
        for op in operations:
            if op.name == "measure":
                for qubit, bit in zip(op.qubits, op.bits, strict=True):
                    register.measure(qubit, bit)
            elif op.name == "reset":
                for qubit in op.qubits:
                    register.reset(qubit)
            elif op.name == "channel":
                register.channel([torch.tensor(k, dtype=C) for k in op.kraus], op.qubits)
            else:
                values = [
                    x.offset + x.scale * a[x.slot] if isinstance(x, Angle) else torch.tensor(x, dtype=torch.float64)
                    for x in op.angles
                ]
                register.gate(unitary(op.name, values), op.qubits)
        outputs.append(told(circuit, register.probabilities()))
        rho = register.memory(memory)
    empty = torch.zeros((0, 2**r), dtype=torch.float64)
    return torch.stack(outputs) if outputs else empty, rho


def evolve_reference(circuit: Circuit, angles: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Reference for `qrnn_fast.evolve`: angles (B, T, A) float64, memory (B, 2^m, 2^m) complex128 or None."""
    dim = 2 ** len(circuit.memory)
    if memory is None:
        memory = torch.zeros((len(angles), dim, dim), dtype=C)
        memory[:, 0, 0] = 1
    # Linear in the Hermitian part, as promised by evolve.
    memory = (memory + memory.mH) / 2
    results = [evolve_sequence(circuit, a, rho) for a, rho in zip(angles, memory, strict=True)]
    return torch.stack([p for p, _ in results]), torch.stack([m for _, m in results])
