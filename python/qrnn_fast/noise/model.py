"""Noise models: which channel acts where in a circuit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit, Kraus, Operation

# What an entry is attached to: an op's name, and the qubits it must act on, in its order; None for any.
_Place = tuple[str, tuple[int, ...] | None]


class NoiseModel:
    """Channels attached to the ops of a circuit, and readout errors.

    ``qf.evolve(circuit, angles, noise=model)`` and ``qf.QRNN(..., noise=model)`` run the noisy circuit on any backend;
    `apply` returns it::

        noise = qf.NoiseModel()
        noise.add(qf.noise.depolarizing(0.01, n_qubits=2), "crx")
        noise.add(qf.noise.amplitude_damping(0.002), ["rx", "rz"])
        noise.add_readout_error((0.01, 0.03))  # P(1 | 0), P(0 | 1)

    Ops without an entry have no noise. As in Qiskit Aer, entries for an op on certain qubits replace those for the op
    on any qubits. Models are compared by content.
    """

    def __init__(self) -> None:
        self._channels: dict[_Place, tuple[Kraus, ...]] = {}
        self._readout: dict[tuple[int, ...] | None, tuple[tuple[float, ...], ...]] = {}
        self._fingerprint: str | None = None  # until the model changes

    def add(self, channel: Any, ops: str | Iterable[str], qubits: int | Iterable[int] | None = None) -> NoiseModel:
        """Attach a channel to ops; returns the model itself.

        Several channels in one place act in the order in which they were added. Noise acts after a gate, after a reset,
        and before a measurement. A channel on one qubit acts on each qubit of a gate on two.

        A qubit that a step leaves reset starts the next one with the reset's noise, and the first step, too: it is
        prepared by such a reset.

        Args:
            channel: Kraus operators (J, 2, 2) or (J, 4, 4) complex; see `Circuit.channel`.
            ops: names of gates of the op table, "reset" or "measure".
            qubits: those that the op acts on, in its order: one for reset and measure. None for any.

        Raises:
            ValueError: no channel, an unknown op, or numbers of qubits that do not fit together.
        """
        kraus = _checked_channel(channel)
        names = [ops] if isinstance(ops, str) else list(ops)
        where = _tuple(qubits)
        n_channel = len(kraus[0]) // 2
        sizes = _sizes()
        for name in names:
            if name not in sizes:
                raise ValueError(f"unknown op {name!r}; noise is for {', '.join(sizes)}")
            if n_channel > sizes[name]:
                raise ValueError(f"{name} acts on {_count(sizes[name])}, got a channel on {_count(n_channel)}")
            if where is not None and len(where) != sizes[name]:
                raise ValueError(f"{name} acts on {_count(sizes[name])}, got qubits={where}")
        for name in names:
            self._channels[name, where] = (*self._channels.get((name, where), ()), kraus)
        self._fingerprint = None
        return self

    def add_readout_error(self, confusion: Any, qubits: int | Iterable[int] | None = None) -> NoiseModel:
        """Let outcomes be told wrongly; returns the model itself.

        Args:
            confusion: see `Circuit.readout_error`: for one qubit the pair (P(1 | 0), P(0 | 1)), or (2^k, 2^k) with a
                column for each true outcome. Qiskit's ReadoutError has a row for each: hand over its transpose.
            qubits: one, or several that are read together, bit j of an outcome being the j-th of them. None for every
                measured qubit, each by itself, that no other readout error of the model names.

        Raises:
            ValueError: no such probabilities, or a second readout error in the same place.
        """
        where = _tuple(qubits)
        for other in self._readout:
            if where == other or (where is not None and other is not None and set(where) & set(other)):
                raise ValueError(f"the model has a readout error {_on(other)} already")
        n = 1 if where is None else len(where)
        sample = Circuit(n).measure(range(n)).readout_error(confusion, range(n))
        self._readout[where] = sample.readout_errors[0].confusion
        self._fingerprint = None
        return self

    @classmethod
    def from_qiskit(cls, model: Any) -> NoiseModel:
        """The model that a qiskit_aer.noise.NoiseModel describes.

        Raises:
            ValueError: an entry that no model here can hold; it names the entry.
        """
        from qrnn_fast.noise.qiskit_import import from_qiskit

        return from_qiskit(model)

    @classmethod
    def from_backend(cls, backend: Any) -> NoiseModel:
        """The model that Qiskit Aer derives from a backend's properties, fake backends included.

        Gate errors, relaxation over a gate's or reset's duration, and readout errors; circuits must be written in the
        backend's gates.

        Raises:
            ValueError: an entry that no model here can hold; it names the entry.
        """
        from qiskit_aer.noise import NoiseModel as AerNoiseModel

        return cls.from_qiskit(AerNoiseModel.from_backend(backend))

    def apply(self, circuit: Circuit) -> Circuit:
        """The circuit with this noise; an empty model leaves it as it is.

        Raises:
            ValueError: none of the gates of the circuit has noise while the model is for gates, or nothing of the model
                fits; qubits are read together of which only some are measured; or a qubit of the circuit has a readout
                error already.
        """
        noisy = Circuit(circuit.n_qubits, circuit.n_angles)
        operations = circuit.operations
        last = {q: i for i, op in enumerate(operations) for q in op.qubits}
        carried = set(circuit.memory)
        # What follows a step's last reset stands at the start of the next one: the qubit is in |0> in between.
        for i, op in enumerate(operations):
            if op.name == "reset":
                self._add_noise(noisy, op, [q for q in op.qubits if q not in carried and last[q] == i])
        for i, op in enumerate(operations):
            if op.name == "measure":
                self._add_noise(noisy, op, op.qubits)
            noisy.add(op)
            if op.name == "reset":
                self._add_noise(noisy, op, [q for q in op.qubits if q in carried or last[q] != i])
            elif op.name not in ("measure", "channel"):
                for kraus in self._channels_of(op.name, op.qubits):
                    _add_channel(noisy, kraus, op.qubits)
        for error in circuit.readout_errors:
            noisy.readout_error(error.confusion, error.qubits)
        self._add_readout_errors(noisy)
        self._check_that_it_fits(circuit)
        return noisy

    def _channels_of(self, name: str, qubits: tuple[int, ...]) -> tuple[Kraus, ...]:
        return self._channels.get((name, qubits), self._channels.get((name, None), ()))

    def _add_noise(self, noisy: Circuit, op: Operation, qubits: Iterable[int]) -> None:
        """Noise of an op that acts on one qubit after the other."""
        for qubit in qubits:
            for kraus in self._channels_of(op.name, (qubit,)):
                noisy.channel(kraus, qubit)

    def _add_readout_errors(self, noisy: Circuit) -> None:
        named: set[int] = set()
        for where, confusion in self._readout.items():
            if where is None:
                continue
            named.update(where)
            measured = set(where) & set(noisy.readout)
            if measured == set(where):
                noisy.readout_error(confusion, where)
            elif measured:
                raise ValueError(
                    f"the noise model reads qubits {where} together, and the circuit measures only {sorted(measured)}"
                )
        if None in self._readout:
            for qubit in noisy.readout:
                if qubit not in named:
                    noisy.readout_error(self._readout[None], qubit)

    def _check_that_it_fits(self, circuit: Circuit) -> None:
        places = {
            (op.name, qubits)
            for op in circuit.operations
            for qubits in ([(q,) for q in op.qubits] if op.name in ("measure", "reset") else [op.qubits])
        }
        noisy = {name for name, qubits in places if self._channels_of(name, qubits)}
        gates = {name for name, _ in places} - {"measure", "reset", "channel"}
        for_gates = any(name not in ("measure", "reset") for name, _ in self._channels)
        reads = any(where is None or set(where) <= set(circuit.readout) for where in self._readout)
        if (for_gates and gates and not noisy & gates) or not (noisy or reads or self.is_empty):
            raise ValueError(
                f"the noise model has noise for {self._places()}, and the circuit is made of "
                f"{', '.join(sorted({name for name, _ in places}))} on qubits 0..{circuit.n_qubits - 1}: none of its "
                "gates becomes noisy. Write the circuit in the model's gates (from Qiskit: transpile it first), or "
                "add noise for its own"
            )

    @property
    def is_empty(self) -> bool:
        """Whether there is no noise at all."""
        return not (self._channels or self._readout)

    @property
    def fingerprint(self) -> str:
        """A digest of the content; equal models have equal ones, in every process."""
        if self._fingerprint is None:
            # By place: only within a place does the order in which entries were added matter.
            content = [sorted(d.items(), key=lambda item: repr(item[0])) for d in (self._channels, self._readout)]
            self._fingerprint = hashlib.sha256(repr(content).encode()).hexdigest()
        return self._fingerprint

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoiseModel) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"NoiseModel({self._places()})"

    def _places(self) -> str:
        """Names of the ops with noise, with the qubits where there are few."""
        by_name: dict[str, list[tuple[int, ...] | None]] = {}
        for name, qubits in [*self._channels, *(("readout", qubits) for qubits in self._readout)]:
            by_name.setdefault(name, []).append(qubits)
        return ", ".join(
            name
            if None in places
            else f"{name} {' '.join(_on(p) for p in places)}"
            if len(places) < 4
            else f"{name} on {len(places)} choices of qubits"
            for name, places in by_name.items()
        )


def with_noise(circuit: Circuit, noise: NoiseModel | None) -> Circuit:
    """The noisy circuit, made once for each model and kept until the circuit changes; the circuit itself for None.

    Raises:
        ValueError: as of `NoiseModel.apply`.
        TypeError: `noise` is neither a NoiseModel nor None.
    """
    if noise is None:
        return circuit
    if not isinstance(noise, NoiseModel):
        raise TypeError(
            f"noise must be a qf.NoiseModel or None, got {type(noise).__name__}; qf.NoiseModel.from_qiskit takes "
            "Qiskit Aer's"
        )
    _settle(circuit, noise)
    noisy: Circuit = circuit.remembered["noise", noise.fingerprint]
    return noisy


def _settle(circuit: Circuit, noise: NoiseModel) -> None:
    """What is done once, for real, while torch.compile traces; the code is valid for this content of both."""
    key = "noise", noise.fingerprint
    if key not in circuit.remembered:
        circuit.remembered[key] = noise.apply(circuit)


# What torch.compiler.assume_constant_result does; calling that would import the compiler here.
_settle._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _sizes() -> dict[str, int]:
    """Number of qubits of every op that noise can be attached to."""
    return {op.name: op.n_qubits if op.is_gate else 1 for op in _core.op_table()}


def _checked_channel(channel: Any) -> Kraus:
    matrices = np.asarray(channel, dtype=np.complex128)
    n_qubits = 2 if matrices.shape[-1:] == (4,) else 1
    (op,) = Circuit(n_qubits).channel(matrices, range(n_qubits)).operations
    assert op.kraus is not None
    return op.kraus


def _add_channel(noisy: Circuit, kraus: Kraus, qubits: tuple[int, ...]) -> None:
    if len(kraus[0]) == 2 ** len(qubits):
        noisy.channel(kraus, qubits)
    else:
        for qubit in qubits:
            noisy.channel(kraus, qubit)


def _tuple(qubits: int | Iterable[int] | None) -> tuple[int, ...] | None:
    if qubits is None:
        return None
    given = [qubits] if isinstance(qubits, Integral) else list(qubits)  # type: ignore[arg-type]
    for q in given:
        if isinstance(q, bool) or not isinstance(q, Integral) or q < 0:
            raise ValueError(f"qubits are numbers from 0 on, got {q!r}")
    if len(set(given)) < len(given) or not given:
        raise ValueError(f"qubits must be given, each once; got {given}")
    return tuple(int(q) for q in given)


def _on(qubits: tuple[int, ...] | None) -> str:
    return "on every qubit" if qubits is None else f"on {qubits[0]}" if len(qubits) == 1 else f"on {qubits}"


def _count(n: int) -> str:
    return "1 qubit" if n == 1 else f"{n} qubits"
