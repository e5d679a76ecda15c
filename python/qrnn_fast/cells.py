"""Ready-made circuits of one time step, with the angle order of the published weights.

In every cell qubits alternate: even ones are memory, odd ones are measured and reset at the end of the step, and bit i
of an outcome index is qubit 2 i + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from qrnn_fast.circuit import Angle, Circuit


def crx_chain(n_qubits: int = 8, repeats: int = 1) -> Circuit:
    """The circuit of Connerty and Stewart (2025): rotations, a chain of controlled RX, rotations.

    Angles a, 7 n - 1 of them: qubit k turns by RZ(a[3k]) RX(a[3k+1]) RZ(a[3k+2]); CRX(a[3n+k]) from qubit k to k + 1;
    qubit k turns by RZ(a[4n-1+3k]) RX(a[4n+3k]) RZ(a[4n+1+3k]).

    Args:
        n_qubits: even, at least 2.
        repeats: how often all of it is applied, each time with the same angles, before the readout.
    """
    n = _check(n_qubits, repeats)
    circuit = Circuit(n, 7 * n - 1)
    for _ in range(repeats):
        for k in range(n):
            _rotate(circuit, 3 * k, k)
        for k in range(n - 1):
            circuit.crx(Angle(3 * n + k), k, k + 1)
        for k in range(n):
            _rotate(circuit, 4 * n - 1 + 3 * k, k)
    return _read_out(circuit)


def rx_rz_chain(n_qubits: int = 8, repeats: int = 1) -> Circuit:
    """`crx_chain` with RX then RZ in place of RZ, RX, RZ: 5 n - 1 angles.

    Angles a: RX(a[2k]) RZ(a[2k+1]) on qubit k; CRX(a[2n+k]) from k to k + 1; RX(a[3n-1+2k]) RZ(a[3n+2k]) on qubit k.

    Args:
        n_qubits: even, at least 2.
        repeats: how often all of it is applied, each time with the same angles, before the readout.
    """
    n = _check(n_qubits, repeats)
    circuit = Circuit(n, 5 * n - 1)
    for _ in range(repeats):
        for k in range(n):
            circuit.rx(Angle(2 * k), k).rz(Angle(2 * k + 1), k)
        for k in range(n - 1):
            circuit.crx(Angle(2 * n + k), k, k + 1)
        for k in range(n):
            circuit.rx(Angle(3 * n - 1 + 2 * k), k).rz(Angle(3 * n + 2 * k), k)
    return _read_out(circuit)


def reuploading(n_qubits: int = 8, repeats: int = 1) -> Circuit:
    """Re-uploading pairs: 20 angles for each pair (k, k+1), k even, then a chain of controlled RZ: 11 n - 1 angles.

    A pair's angles in a row: Rot(k), Rot(k+1), CX, Rot(k), Rot(k+1), CRY, Rot(k), Rot(k+1), CRX, each two-qubit gate
    from k to k + 1, Rot = RZ RX RZ with three angles. Then CRZ(a[10n+k]) from k to k + 1.

    Args:
        n_qubits: even, at least 2.
        repeats: how often all of it is applied, each time with the same angles, before the readout.
    """
    n = _check(n_qubits, repeats)
    circuit = Circuit(n, 11 * n - 1)
    for _ in range(repeats):
        for k in range(0, n, 2):
            first = 10 * k
            _rotate(circuit, first, k)
            _rotate(circuit, first + 3, k + 1)
            circuit.cx(k, k + 1)
            _rotate(circuit, first + 6, k)
            _rotate(circuit, first + 9, k + 1)
            circuit.cry(Angle(first + 12), k, k + 1)
            _rotate(circuit, first + 13, k)
            _rotate(circuit, first + 16, k + 1)
            circuit.crx(Angle(first + 19), k, k + 1)
        for k in range(n - 1):
            circuit.crz(Angle(10 * n + k), k, k + 1)
    return _read_out(circuit)


def echo_state(
    n_qubits: int = 8,
    repeats: int = 3,
    *,
    hidden: Sequence[Sequence[float]] | None = None,
    entangle: Sequence[float] | None = None,
    generator: torch.Generator | None = None,
) -> Circuit:
    """The quantum echo-state network of 'Quantum Observers' (arXiv:2505.06799): fixed random couplings, 3 n angles.

    Qubit k turns by Rot = RZ(a[3k]) RX(a[3k+1]) RZ(a[3k+2]). In each repeat every pair (k, k+1), k even, gets Rot
    on both, CX, Rot on both, CRY(hidden[k/2][0]), Rot on both, CRX(hidden[k/2][1]), all from k to k + 1; then a ring
    CRZ(entangle[k/2]) goes from k to (k + 2) mod n over the even qubits (with two qubits there is no ring).

    Args:
        n_qubits: even, at least 2.
        repeats: r, how often all of it is applied with the same angles.
        hidden: (n/2, 2) angles in radians; None draws them from N(0, pi / (2 r)).
        entangle: (n/2,) angles in radians; None draws them from N(0, pi / (10 r)).
        generator: where they are drawn from; None for torch's default generator.
    """
    n = _check(n_qubits, repeats)
    pairs = n // 2
    if hidden is None:
        drawn = torch.randn(pairs, 2, generator=generator, dtype=torch.float64) * (math.pi / (2 * repeats))
        hidden = drawn.tolist()
    if entangle is None:
        drawn = torch.randn(pairs, generator=generator, dtype=torch.float64) * (math.pi / (10 * repeats))
        entangle = drawn.tolist()
    if len(hidden) != pairs or any(len(row) != 2 for row in hidden):
        raise ValueError(f"hidden must have the shape ({pairs}, 2), got {len(hidden)} rows of {[*map(len, hidden)]}")
    if len(entangle) != pairs:
        raise ValueError(f"entangle must have the shape ({pairs},), got {len(entangle)} angles")
    circuit = Circuit(n, 3 * n)
    for _ in range(repeats):
        for k in range(0, n, 2):
            for name, angles in (("cx", ()), ("cry", (hidden[k // 2][0],)), ("crx", (hidden[k // 2][1],))):
                _rotate(circuit, 3 * k, k)
                _rotate(circuit, 3 * k + 3, k + 1)
                circuit.append(name, (k, k + 1), map(float, angles))
        for k in range(0, n, 2):
            if n > 2:
                circuit.crz(float(entangle[k // 2]), k, (k + 2) % n)
    return _read_out(circuit)


def _rotate(circuit: Circuit, slot: int, qubit: int) -> None:
    """RZ, RX, RZ with three slots in a row."""
    circuit.rz(Angle(slot), qubit).rx(Angle(slot + 1), qubit).rz(Angle(slot + 2), qubit)


def _read_out(circuit: Circuit) -> Circuit:
    odd = range(1, circuit.n_qubits, 2)
    return circuit.measure(odd).reset(odd)


def _check(n_qubits: int, repeats: int) -> int:
    if isinstance(n_qubits, bool) or not isinstance(n_qubits, int) or n_qubits < 2 or n_qubits % 2:
        raise ValueError(f"n_qubits must be an even integer of at least 2, got {n_qubits!r}")
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise ValueError(f"repeats must be an integer of at least 1, got {repeats!r}")
    return n_qubits
