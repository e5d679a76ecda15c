"""The ready-made cells, op by op against their published description."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import DensityMatrix, SparsePauliOp
from qrnn_fast import QRNN, Angle, Circuit, InputsAndWeights, cells, evolve, from_qiskit

Op = tuple[str, tuple[int, ...], object]


def listed(circuit: Circuit) -> list[Op]:
    """(name, qubits, slot) of every op; constants as they are, None without an angle."""
    out: list[Op] = []
    for name, qubits, angles, *_ in circuit.operations:
        angle = angles[0] if angles else None
        if isinstance(angle, Angle):
            assert (angle.scale, angle.offset) == (1.0, 0.0)
            angle = angle.slot
        out.append((name, qubits, angle))
    return out


def rot(slot: int, qubit: int) -> list[Op]:
    return [("rz", (qubit,), slot), ("rx", (qubit,), slot + 1), ("rz", (qubit,), slot + 2)]


END: list[Op] = [("measure", (1, 3), None), ("reset", (1, 3), None)]


@pytest.mark.parametrize(
    ("cell", "n_angles"),
    [(cells.crx_chain, 55), (cells.rx_rz_chain, 39), (cells.reuploading, 87), (cells.echo_state, 24)],
)
def test_eight_qubits(cell: object, n_angles: int) -> None:
    circuit = cell(8)  # type: ignore[operator]
    assert circuit.n_angles == n_angles
    assert circuit.readout == (1, 3, 5, 7)
    assert circuit.memory == (0, 2, 4, 6)


@pytest.mark.parametrize("repeats", [1, 2])
def test_crx_chain(repeats: int) -> None:
    once = rot(0, 0) + rot(3, 1) + rot(6, 2) + rot(9, 3)
    once += [("crx", (0, 1), 12), ("crx", (1, 2), 13), ("crx", (2, 3), 14)]
    once += rot(15, 0) + rot(18, 1) + rot(21, 2) + rot(24, 3)
    assert listed(cells.crx_chain(4, repeats)) == once * repeats + END


def test_rx_rz_chain() -> None:
    def pair(slot: int, qubit: int) -> list[Op]:
        return [("rx", (qubit,), slot), ("rz", (qubit,), slot + 1)]

    expected = pair(0, 0) + pair(2, 1) + pair(4, 2) + pair(6, 3)
    expected += [("crx", (0, 1), 8), ("crx", (1, 2), 9), ("crx", (2, 3), 10)]
    expected += pair(11, 0) + pair(13, 1) + pair(15, 2) + pair(17, 3)
    assert listed(cells.rx_rz_chain(4)) == expected + END


@pytest.mark.parametrize("repeats", [1, 3])
def test_reuploading(repeats: int) -> None:
    once: list[Op] = []
    for first, a, b in ((0, 0, 1), (20, 2, 3)):
        once += rot(first, a) + rot(first + 3, b) + [("cx", (a, b), None)]
        once += rot(first + 6, a) + rot(first + 9, b) + [("cry", (a, b), first + 12)]
        once += rot(first + 13, a) + rot(first + 16, b) + [("crx", (a, b), first + 19)]
    once += [("crz", (0, 1), 40), ("crz", (1, 2), 41), ("crz", (2, 3), 42)]
    assert listed(cells.reuploading(4, repeats)) == once * repeats + END


@pytest.mark.parametrize("repeats", [1, 3])
def test_echo_state(repeats: int) -> None:
    hidden, entangle = [[0.1, 0.2], [0.3, 0.4]], [0.5, 0.6]
    once: list[Op] = []
    for k, (cry, crx) in zip((0, 2), hidden, strict=True):
        both = rot(3 * k, k) + rot(3 * k + 3, k + 1)
        once += [*both, ("cx", (k, k + 1), None), *both, ("cry", (k, k + 1), cry), *both, ("crx", (k, k + 1), crx)]
    once += [("crz", (0, 2), 0.5), ("crz", (2, 0), 0.6)]
    assert listed(cells.echo_state(4, repeats, hidden=hidden, entangle=entangle)) == once * repeats + END


def test_echo_state_draws_its_couplings() -> None:
    """N(0, pi/(2r)) and N(0, pi/(10r)); 2000 numbers, so a deviation within 6 % has a chance below 1e-3 to fail."""

    def draw(seed: int) -> tuple[list[float], list[float]]:
        circuit = cells.echo_state(26, 2, generator=torch.Generator().manual_seed(seed))
        first = circuit.operations[: len(circuit.operations) // 2]
        hidden = [float(op.angles[0]) for op in first if op.name in ("cry", "crx")]  # type: ignore[arg-type]
        entangle = [float(op.angles[0]) for op in first if op.name == "crz"]  # type: ignore[arg-type]
        return hidden, entangle

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    hidden = torch.tensor([x for seed in range(80) for x in draw(seed)[0]])
    entangle = torch.tensor([x for seed in range(160) for x in draw(seed)[1]])
    assert len(hidden) == 2080
    assert hidden.std().item() == pytest.approx(math.pi / 4, rel=0.06)
    assert entangle.std().item() == pytest.approx(math.pi / 20, rel=0.06)


def test_two_qubits_have_no_ring() -> None:
    assert "crz" not in [op.name for op in cells.echo_state(2, 1).operations]


@pytest.mark.parametrize("cell", [cells.crx_chain, cells.rx_rz_chain, cells.reuploading, cells.echo_state])
@pytest.mark.parametrize(("n_qubits", "repeats"), [(3, 1), (0, 1), (4, 0), (4.0, 1), (4, True)])
def test_refused(cell: object, n_qubits: object, repeats: object) -> None:
    with pytest.raises(ValueError, match="must be an"):
        cell(n_qubits, repeats)  # type: ignore[operator]


def test_wrong_couplings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hidden must have the shape \(2, 2\)"):
        cells.echo_state(4, 1, hidden=[[0.1, 0.2]])
    with pytest.raises(ValueError, match=r"entangle must have the shape \(2,\)"):
        cells.echo_state(4, 1, entangle=[0.1])


def drawn(cell: str) -> tuple[QuantumCircuit, list[Any]]:
    """The cells of two registers as their papers draw them, in Qiskit: two exchange or data qubits, then memory."""
    x, w = ParameterVector("x", 2), ParameterVector("w", 24)
    n = 5 if cell == "recurrent_block" else 4
    qc, weights = QuantumCircuit(n, 2), iter(w)

    def turn(qubit: int, axes: str) -> None:
        for axis in axes:
            getattr(qc, f"r{axis}")(next(weights), qubit)

    if cell == "recurrent_block":
        qc.ry(x[0], 0)
        qc.ry(x[1], 1)
        for qubit in range(5):
            turn(qubit, "xzx")
        for a, b in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0)):
            qc.rzz(next(weights), a, b)
    else:
        axes = "xz" if cell == "emcz2" else "xzx"
        for qubit in (0, 1):
            qc.ry(x[qubit], qubit)
            turn(qubit, axes)
        qc.ry(x[0], 0)
        qc.ry(x[1], 1)
        for qubit in range(4):
            turn(qubit, axes)
        for a, b in ((0, 1), (1, 2), (2, 3)) if cell == "emcz2" else ((0, 2), (0, 3), (1, 2), (1, 3)):
            qc.cz(a, b)
        for qubit in (0, 1):
            turn(qubit, "x" if cell == "emcz2" else "xzx")
    qc.measure([0, 1], [0, 1])
    qc.reset([0, 1])
    used = len(w) - len(list(weights))
    return qc, [*x, *w[:used]]


@pytest.mark.parametrize(
    ("name", "sizes", "n_angles"), [("emcz2", (2, 2), 16), ("emcz3", (2, 2), 26), ("recurrent_block", (2, 3), 22)]
)
def test_cells_of_two_registers(name: str, sizes: tuple[int, int], n_angles: int) -> None:
    """The same outcomes and memory as the drawing, over four steps."""
    cell = getattr(cells, name)(*sizes)
    assert cell.n_angles == n_angles
    assert (cell.readout, cell.memory) == ((0, 1), tuple(range(2, sum(sizes))))
    qc, angles = drawn(name)
    values = torch.linspace(-3, 4, 4 * n_angles, dtype=torch.float64).view(4, n_angles)
    for ours, theirs in zip(evolve(cell, values), evolve(from_qiskit(qc, angles=angles), values), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


FIELDS = [0.3, -0.8, 0.9, 0.5]
COUPLINGS = [[0.0, 0.7, -0.4, 0.2], [9.0, 0.0, -0.9, 0.6], [9.0, 9.0, 0.0, -0.3], [9.0, 9.0, 9.0, 0.0]]  # 9: unused


def takaki_in_qiskit(angles: torch.Tensor, depth: int, time: float) -> tuple[torch.Tensor, DensityMatrix]:
    """Probabilities (T, 4) and the final state, the Hamiltonian's evolution being a matrix exponential."""
    terms = [("X", [j], FIELDS[j]) for j in range(4)]
    terms += [("ZZ", [j, k], COUPLINGS[j][k]) for j in range(4) for k in range(j + 1, 4)]
    evolution = scipy.linalg.expm(-1j * time * SparsePauliOp.from_sparse_list(terms, 4).to_matrix())
    state, probs = DensityMatrix.from_label("0000"), []
    for row in angles.tolist():
        weights = iter(row[2:])
        step = QuantumCircuit(4)
        step.ry(row[0], 0)
        step.ry(row[1], 1)
        for _ in range(depth):
            step.unitary(evolution, range(4))
            for qubit in range(4):
                step.rx(next(weights), qubit)
                step.rz(next(weights), qubit)
                step.rx(next(weights), qubit)
        state = state.evolve(step)
        probs.append(state.probabilities([0, 1]))
        state = state.reset([0, 1])
    return torch.from_numpy(np.array(probs)), state


def test_takaki() -> None:
    """Its slices come close to the exact evolution, with the square of their number; two are close enough."""
    angles = torch.linspace(-3, 4, 3 * 26, dtype=torch.float64).view(3, 26)
    expected, state = takaki_in_qiskit(angles, depth=2, time=0.2)
    errors = []
    for slices in (1, 2, 4, 8):
        cell = cells.takaki(2, 2, 2, time=0.2, slices=slices, fields=FIELDS, couplings=COUPLINGS)
        assert (cell.n_angles, cell.readout, cell.memory) == (26, (0, 1), (2, 3))
        probs, memory = evolve(cell, angles)
        errors.append((probs - expected).abs().max().item())
    assert all(3.5 < coarse / fine < 4.5 for coarse, fine in pairwise(errors))
    assert errors[1] < 2e-3
    assert errors[3] < 2e-4
    assert memory is not None
    assert (memory - torch.from_numpy(state.data[::4, ::4])).abs().max() < 2e-4


def test_takaki_draws_its_hamiltonian() -> None:
    def draw(seed: int) -> list[float]:
        cell = cells.takaki(3, 3, 1, time=0.5, slices=1, generator=torch.Generator().manual_seed(seed))
        constants = [op.angles[0] for op in cell.operations if op.angles and not isinstance(op.angles[0], Angle)]
        assert len(constants) == 6 + 15 + 6  # fields, couplings, fields
        return [float(c) for c in constants if isinstance(c, float)]

    assert draw(0) == draw(0) != draw(1)
    fields, couplings = (torch.tensor([draw(seed)[part] for seed in range(60)]) for part in (slice(6), slice(6, 21)))
    for drawn_numbers, most in ((fields, 0.5), (couplings, 1.0)):  # angles of h and J up to 1: 2 x 0.5 / 2 and 2 x 0.5
        assert most * 0.97 < drawn_numbers.abs().max() <= most
        assert drawn_numbers.mean().abs() < most / 8
        assert drawn_numbers.std().item() == pytest.approx(most / math.sqrt(3), rel=0.1)
    with pytest.raises(ValueError, match=r"fields must have the shape \(4,\), got 3 numbers"):
        cells.takaki(2, 2, fields=[0.1] * 3)
    with pytest.raises(ValueError, match=r"couplings must have the shape \(4, 4\), got 1 rows of \[4\]"):
        cells.takaki(2, 2, couplings=[[0.1] * 4])


def test_layers_of_two_registers() -> None:
    """Encodings and evolutions have weights of their own, inputs are the same in all encodings."""
    for cell, per_qubit, last in ((cells.emcz2, 2, 1), (cells.emcz3, 3, 3)):
        circuit = cell(1, 2, encodings=3, evolutions=2)
        assert circuit.n_angles == 1 + per_qubit * 3 + per_qubit * 3 * 2 + last
        slots = [op.angles[0].slot for op in circuit.operations if op.angles]  # type: ignore[union-attr]
        assert slots.count(0) == 4
        assert [s for s in slots if s] == list(range(1, circuit.n_angles))
    assert len([op for op in cells.recurrent_block(1, 1).operations if op.name == "rzz"]) == 1


@pytest.mark.parametrize("cell", [cells.emcz2, cells.emcz3, cells.recurrent_block, cells.takaki])
def test_registers_are_not_empty(cell: Any) -> None:
    for wrong in ({"n_memory": 0}, {"n_memory": 1.0}, {"n_memory": True}):
        with pytest.raises(ValueError, match="n_memory must be an integer of at least 1"):
            cell(2, **wrong)


@pytest.mark.parametrize("cell", [cells.emcz2(), cells.emcz3(), cells.recurrent_block(), cells.takaki()])
def test_inputs_and_weights(cell: Circuit) -> None:
    """A layer of such a cell learns its weights; the inputs are handed through."""
    n_inputs = len(cell.readout)
    layer = QRNN(n_inputs, cell, encoder=InputsAndWeights(n_inputs, cell.n_angles - n_inputs), output="z")
    x = torch.rand(5, 2, n_inputs, requires_grad=True)
    layer(x)[0].square().sum().backward()
    assert x.grad is not None
    assert layer.encoder.weights.grad.abs().max() > 0  # type: ignore[union-attr]
    assert "InputsAndWeights" in repr(layer)
    before = layer.encoder.weights.detach().clone()  # type: ignore[union-attr]
    layer.reset_parameters()
    assert not torch.equal(layer.encoder.weights, before)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"must have {n_inputs} features"):
        layer.encoder(torch.rand(2, n_inputs + 1))
    with pytest.raises(ValueError, match="must be at least 1, got 0 and 3"):
        InputsAndWeights(0, 3)
