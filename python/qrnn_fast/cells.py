"""Ready-made circuits of one time step, with the angle order of the published weights.

In `crx_chain`, `rx_rz_chain`, `reuploading` and `echo_state` qubits alternate: even ones are memory, odd ones are
measured and reset at the end of the step, and bit i of an outcome index is qubit 2 i + 1. All their angles may depend
on the input.

In `emcz2`, `emcz3`, `recurrent_block` and `takaki` the first qubits take the input, are measured and reset, and bit i
is qubit i; the others are memory. The first angles take the input, the others are weights: `qf.InputsAndWeights` is the
encoder.

Two kinds of published circuits are not here, for a `Circuit` is one step, which is applied unchanged in all steps and
hands on the state of its memory qubits alone. The staggered form of the quantum recurrent block (arXiv:2302.03244)
exchanges the parts of the qubits from step to step: a period of several steps. Feedback (arXiv:2503.22380) makes gates
of a step depend on what the step before has measured: classical bits that outlive their step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

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
        hidden: (n/2, 2) angles in radians; None draws them from N(0, pi / (2 r)). The sparse networks of the paper
            have zeros among them.
        entangle: (n/2,) angles in radians, in the same way; None draws them from N(0, pi / (10 r)).
        generator: where they are drawn from; None for torch's default generator.
    """
    n = _check(n_qubits, repeats)
    pairs = n // 2
    if hidden is None:
        hidden = (_normal(pairs, 2, generator=generator) * (math.pi / (2 * repeats))).tolist()
    if entangle is None:
        entangle = (_normal(pairs, generator=generator) * (math.pi / (10 * repeats))).tolist()
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


def emcz2(n_exchange: int = 2, n_memory: int = 2, encodings: int = 1, evolutions: int = 1) -> Circuit:
    """The EMCZ2 cell of Viqueira et al. (arXiv:2310.20671): an exchange and a memory register, a ladder of CZ.

    Encodings: RY(x) RX RZ on every exchange qubit, then RY(x) once more. Evolutions: RX RZ on every qubit, CZ on
    neighbours. Then RX on every exchange qubit. Angles: an input x for each exchange qubit, then 2 e L + 2 n R + e
    weights in the order in which they stand in the circuit, qubit by qubit.

    Args:
        n_exchange: number e of qubits that take the input and are read and reset, 0 .. e - 1, at least 1.
        n_memory: number of memory qubits, e .. n - 1, at least 1.
        encodings: number L of encoding layers, at least 1.
        evolutions: number R of evolution layers, at least 1.
    """
    return _exchange_memory(n_exchange, n_memory, encodings, evolutions, ("rx", "rz"), ("rx",), ladder=True)


def emcz3(n_exchange: int = 2, n_memory: int = 2, encodings: int = 1, evolutions: int = 1) -> Circuit:
    """The EMCZ3 cell of Viqueira et al. (arXiv:2310.20671): as `emcz2`, with three rotations and all pairs.

    RX RZ RX in place of RX RZ in encodings and evolutions and of RX in the end; CZ between every exchange and every
    memory qubit. 3 e L + 3 n R + 3 e weights.

    Args:
        n_exchange: number e of qubits that take the input and are read and reset, 0 .. e - 1, at least 1.
        n_memory: number of memory qubits, e .. n - 1, at least 1.
        encodings: number L of encoding layers, at least 1.
        evolutions: number R of evolution layers, at least 1.
    """
    turn = ("rx", "rz", "rx")
    return _exchange_memory(n_exchange, n_memory, encodings, evolutions, turn, turn, ladder=False)


def _exchange_memory(
    n_exchange: int,
    n_memory: int,
    encodings: int,
    evolutions: int,
    turn: tuple[str, ...],
    last: tuple[str, ...],
    *,
    ladder: bool,
) -> Circuit:
    """Both EMCZ cells: their rotations, and CZ on neighbours (`ladder`) or between the registers, all with all."""
    _at_least_one(n_exchange=n_exchange, n_memory=n_memory, encodings=encodings, evolutions=evolutions)
    n, exchange = n_exchange + n_memory, range(n_exchange)
    circuit = Circuit(n, n_exchange)
    pairs = [(k, k + 1) for k in range(n - 1)] if ladder else [(e, m) for e in exchange for m in range(n_exchange, n)]

    def rotate(names: tuple[str, ...], qubit: int) -> None:
        for name in names:
            circuit.append(name, [qubit], [circuit.angle()])

    for _ in range(encodings):
        for qubit in exchange:
            circuit.ry(Angle(qubit), qubit)
            rotate(turn, qubit)
    for qubit in exchange:
        circuit.ry(Angle(qubit), qubit)
    for _ in range(evolutions):
        for qubit in range(n):
            rotate(turn, qubit)
        for a, b in pairs:
            circuit.cz(a, b)
    for qubit in exchange:
        rotate(last, qubit)
    return circuit.measure(exchange).reset(exchange)


def recurrent_block(n_data: int = 3, n_memory: int = 3) -> Circuit:
    """The quantum recurrent block of Li et al. (arXiv:2302.03244), with the same data qubits in every step.

    RY(x) on every data qubit, for which the paper takes the arc cosine of a feature in [-1, 1]; RX RZ RX on every
    qubit; a ring of RZZ from qubit k to k + 1 (with two qubits a single one). Angles: an input x for each data qubit,
    then three weights for each qubit, then one for each RZZ.

    Args:
        n_data: number of qubits that take the input and are read and reset, 0 .. n_data - 1, at least 1.
        n_memory: number of memory qubits, at least 1.
    """
    _at_least_one(n_data=n_data, n_memory=n_memory)
    n, data = n_data + n_memory, range(n_data)
    circuit = Circuit(n, n_data)
    for qubit in data:
        circuit.ry(Angle(qubit), qubit)
    for qubit in range(n):
        circuit.rx(circuit.angle(), qubit).rz(circuit.angle(), qubit).rx(circuit.angle(), qubit)
    for qubit in range(n if n > 2 else 1):
        circuit.rzz(circuit.angle(), qubit, (qubit + 1) % n)
    return circuit.measure(data).reset(data)


def takaki(
    n_data: int = 3,
    n_memory: int = 3,
    depth: int = 3,
    *,
    time: float = 0.2,
    slices: int = 2,
    fields: Sequence[float] | None = None,
    couplings: Sequence[Sequence[float]] | None = None,
    generator: torch.Generator | None = None,
) -> Circuit:
    """The recurrent network of Takaki et al. (arXiv:2012.11242), with a Hamiltonian's evolution in gates.

    RY(x) on every data qubit, for which the paper takes the arc cosine of a feature in [-1, 1], the same one on all of
    them. Then `depth` layers of exp(-i H time) and RX RZ RX on every qubit, where H is that of an Ising model in a
    transverse field, sum_j h_j X_j + sum_{j<k} J_jk Z_j Z_k, with fixed random h and J. Angles: an input x for each
    data qubit, then three weights for each layer and qubit. The paper's outputs are expectations of Z of data qubits:
    ``qf.QRNN(output="z")``.

    Of the paper are the registers, the encoding, the rotations, the fixed evolution and the readout. What its abstract
    and those who cite it do not tell is this project's: that a layer begins with the evolution, and the distribution of
    h and J (both as in quantum circuit learning, K. Mitarai et al., Phys. Rev. A 98, 032309, 2018), and all defaults.
    The evolution is a product formula of second order, exact for many slices.

    Args:
        n_data: number of qubits that take the input and are read and reset, 0 .. n_data - 1, at least 1.
        n_memory: number of memory qubits, at least 1.
        depth: number of layers, at least 1.
        time: duration of the evolution in a layer, for an H without unit.
        slices: number of equal slices of the evolution, at least 1: half of the fields, the couplings, half of the
            fields. Two are within 0.002 of the exact probabilities for four qubits, two layers and `time` 0.2.
        fields: (n,) the h_j; None draws them from U(-1, 1).
        couplings: (n, n), of which J_jk is row j, column k, j < k; None draws them from U(-1, 1).
        generator: where they are drawn from; None for torch's default generator.
    """
    _at_least_one(n_data=n_data, n_memory=n_memory, depth=depth, slices=slices)
    n, data = n_data + n_memory, range(n_data)
    if fields is None:
        fields = _uniform(n, generator=generator).tolist()
    if couplings is None:
        couplings = _uniform(n, n, generator=generator).tolist()
    if len(fields) != n:
        raise ValueError(f"fields must have the shape ({n},), got {len(fields)} numbers")
    if len(couplings) != n or any(len(row) != n for row in couplings):
        raise ValueError(
            f"couplings must have the shape ({n}, {n}), got {len(couplings)} rows of {[*map(len, couplings)]}"
        )
    circuit = Circuit(n, n_data)
    for qubit in data:
        circuit.ry(Angle(qubit), qubit)
    for _ in range(depth):
        for part in range(slices + 1):
            ends = part in (0, slices)  # where the halves of two slices meet, they are one
            for j in range(n):
                circuit.rx((1 if ends else 2) * float(fields[j]) * time / slices, j)
            if part < slices:
                for j, k in combinations(range(n), 2):
                    circuit.rzz(2 * float(couplings[j][k]) * time / slices, j, k)
        for qubit in range(n):
            circuit.rx(circuit.angle(), qubit).rz(circuit.angle(), qubit).rx(circuit.angle(), qubit)
    return circuit.measure(data).reset(data)


def _normal(*shape: int, generator: torch.Generator | None) -> torch.Tensor:
    """Drawn from N(0, 1)."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu")


def _uniform(*shape: int, generator: torch.Generator | None) -> torch.Tensor:
    """Drawn from U(-1, 1)."""
    return 2 * torch.rand(*shape, generator=generator, dtype=torch.float64, device="cpu") - 1


def _rotate(circuit: Circuit, slot: int, qubit: int) -> None:
    """RZ, RX, RZ with three slots in a row."""
    circuit.rz(Angle(slot), qubit).rx(Angle(slot + 1), qubit).rz(Angle(slot + 2), qubit)


def _read_out(circuit: Circuit) -> Circuit:
    odd = range(1, circuit.n_qubits, 2)
    return circuit.measure(odd).reset(odd)


def _check(n_qubits: int, repeats: int) -> int:
    if isinstance(n_qubits, bool) or not isinstance(n_qubits, int) or n_qubits < 2 or n_qubits % 2:
        raise ValueError(f"n_qubits must be an even integer of at least 2, got {n_qubits!r}")
    _at_least_one(repeats=repeats)
    return n_qubits


def _at_least_one(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
