"""The usual channels as Kraus operators: what `NoiseModel.add` and `Circuit.channel` take.

Every function returns (J, 2^k, 2^k) complex128; the channel takes rho to the sum over j of K_j rho K_j^dagger. Bit j of
a row or column is the j-th qubit it acts on. Parameters mean what they mean in Qiskit Aer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from numbers import Real

import numpy as np
from numpy.typing import NDArray

Operators = NDArray[np.complex128]

_PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}
_ROUNDING = 1e-9  # how far from 1 a sum of probabilities may be


def depolarizing(p: float, n_qubits: int = 1) -> Operators:
    """E(rho) = (1 - p) rho + p Tr(rho) 1 / 2^n.

    Args:
        p: 0 (nothing happens) to 4^n / (4^n - 1); 1 leaves nothing of the state, beyond it every Pauli but the identity
            is more likely than that.
        n_qubits: n, 1 or 2.

    Raises:
        ValueError: p or n_qubits out of range.
    """
    if n_qubits not in (1, 2):
        raise ValueError(f"n_qubits must be 1 or 2, got {n_qubits!r}")
    n_paulis = 4**n_qubits
    _check(p, "p", most=n_paulis / (n_paulis - 1))
    labels = ["".join(letters) for letters in product("IXYZ", repeat=n_qubits)]
    return pauli_channel(dict.fromkeys(labels[1:], p / n_paulis))


def pauli_channel(probabilities: Mapping[str, float]) -> Operators:
    """A Pauli string is applied with a probability.

    Args:
        probabilities: by string of I, X, Y and Z, such as ``{"X": 0.01}`` or ``{"ZZ": 0.02, "IX": 0.01}``. As in
            Qiskit, the last letter is the first qubit. The identity gets what is left to 1 where it is not named.

    Raises:
        ValueError: strings that are none or differ in length, or probabilities that are none or do not add up to 1.
    """
    lengths = {len(label) for label in probabilities}
    if lengths not in ({1}, {2}) or not set("".join(probabilities)) <= set(_PAULIS):
        raise ValueError(f"Pauli strings have 1 or 2 letters of I, X, Y and Z, all as many; got {list(probabilities)}")
    for label, p in probabilities.items():
        _check(p, f"the probability of {label}")
    identity = "I" * lengths.pop()
    left = 1 - sum(probabilities.values())
    if left < -_ROUNDING or (identity in probabilities and left > _ROUNDING):
        raise ValueError(f"the probabilities must add up to 1, got {1 - left}")
    complete = {identity: max(left, 0.0), **probabilities}
    return np.array([math.sqrt(p) * _pauli(label) for label, p in complete.items() if p > 0], dtype=np.complex128)


def bit_flip(p: float) -> Operators:
    """X is applied with probability p, 0 to 1; ValueError where it is not."""
    return pauli_channel({"X": p})


def amplitude_damping(gamma: float) -> Operators:
    """|1> decays to |0> with probability gamma, 0 to 1; ValueError where it is not."""
    _check(gamma, "gamma")
    return np.array([[[1, 0], [0, math.sqrt(1 - gamma)]], [[0, math.sqrt(gamma)], [0, 0]]], dtype=np.complex128)


def phase_damping(lam: float) -> Operators:
    """Coherences are multiplied by sqrt(1 - lam), lam from 0 to 1; ValueError where it is not."""
    _check(lam, "lam")
    return np.array([np.diag([1, math.sqrt(1 - lam)]), np.diag([0, math.sqrt(lam)])], dtype=np.complex128)


def thermal_relaxation(t1: float, t2: float, time: float, excited_population: float = 0.0) -> Operators:
    """What happens to an idle qubit in a time: its energy relaxes with T1, its coherence decays with T2.

    Args:
        t1: positive, may be infinite.
        t2: positive, at most 2 t1, may be infinite; in the unit of t1.
        time: at least 0, in the same unit.
        excited_population: probability of |1> in equilibrium.

    Raises:
        ValueError: a value out of range.
    """
    for name, value in (("t1", t1), ("t2", t2)):
        if isinstance(value, bool) or not isinstance(value, Real) or not value > 0:
            raise ValueError(f"{name} must be a positive number, got {value!r}")
    if t2 > 2 * t1:
        raise ValueError(f"t2 must be at most 2 t1 = {2 * t1}, got {t2}")
    _check(time, "time", most=math.inf)
    if math.isinf(time) and math.isinf(t1):
        raise ValueError("time must be finite where t1 is infinite, got inf")
    _check(excited_population, "excited_population")
    decayed, coherence = -math.expm1(-time / t1), math.exp(-time / t2)
    up, down = excited_population * decayed, (1 - excited_population) * decayed
    choi = np.diag([1 - up, up, down, 1 - down])
    choi[0, 3] = choi[3, 0] = coherence
    return from_choi(choi)


def from_choi(choi: NDArray[np.number]) -> Operators:
    """Kraus operators of a channel E given as the sum over i, j of |i><j| (x) E(|i><j|).

    Args:
        choi: (d^2, d^2), i and j being the high digits.

    Raises:
        ValueError: the map is not completely positive.
    """
    values, vectors = np.linalg.eigh(choi)
    if values[0] < -1e-8:
        raise ValueError(f"the map is no channel: its Choi matrix has the eigenvalue {values[0]}, below 0")
    dim = math.isqrt(len(choi))
    kept = values > 1e-16
    # A column of sqrt(value) * vector holds a Kraus operator, one of its columns after the other.
    operators = (np.sqrt(values[kept]) * vectors[:, kept]).T.reshape(-1, dim, dim).transpose(0, 2, 1)
    return np.ascontiguousarray(operators, dtype=np.complex128)


def _pauli(label: str) -> NDArray[np.complex128]:
    matrix = np.eye(1, dtype=np.complex128)
    for letter in label:
        matrix = np.kron(matrix, _PAULIS[letter])
    return matrix


def _check(value: float, name: str, most: float = 1.0) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= most:
        raise ValueError(f"{name} must be a number from 0 to {most:g}, got {value!r}")
