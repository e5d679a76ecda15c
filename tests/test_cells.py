"""The ready-made cells, op by op against their published description."""

from __future__ import annotations

import math

import pytest
import torch
from qrnn_fast import Angle, Circuit, cells

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
