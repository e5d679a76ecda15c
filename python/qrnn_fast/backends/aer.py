"""Qiskit Aer: the same circuits on a general simulator, exactly or by shots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from qiskit_aer import AerError, AerSimulator
from qiskit_aer.noise import NoiseModel
from torch import Tensor

from qrnn_fast.circuit import Circuit, Operation
from qrnn_fast.memory import check_memory
from qrnn_fast.qiskit_io import SequenceParameters, build
from qrnn_fast.readout import confuse, confuse_counts, confusions

# Aer's own distance between the seeds of a job's circuits.
_SEED_STEP = 2113


class _Transpiled(NamedTuple):
    sequence: SequenceParameters
    circuit: Any  # the QuantumCircuit that runs
    parameters: frozenset[Any]  # those that its gates use


class Aer:
    """Qiskit Aer as a backend.

    Without shots it is exact: a density matrix of all qubits, each step's probabilities saved before the readout qubits
    are reset. With shots it samples: a circuit with one classical register per step, the frequencies of each step's
    outcomes being the result. The circuit's channels run as Kraus instructions, its readout errors act on Aer's
    probabilities or counts. Transpiled circuits are kept, one for each circuit, length and way.

    All estimators but the adjoint work over it. What it calls circuits is called so here, and its options have its
    names.

    Args:
        shots: samples per sequence, unless `evolve` or the layer asks for another number; None for exact results.
        method: Aer's simulation method for shots; exact results take "density_matrix", which "automatic" stands for.
        device: "CPU", or "GPU" where Aer was built for it.
        precision: "double" or "single".
        seed_simulator: where the random numbers start, in place of what is drawn from torch's generator. Calls draw
            different numbers, but another backend made with the same one draws the same in the same calls.
        noise_model: a qiskit_aer NoiseModel or None: noise that Aer adds by itself, besides the circuit's own. Exact
            results are refused where they would not show it: errors of measuring and reading, and any noise in circuits
            that go on after a measurement or do not reset what they measured.
        max_parallel_threads: 0 for all cores.
        options: more of Aer's options by name, such as `matrix_product_state_max_bond_dimension` or `fusion_enable`.

    Raises:
        ValueError: a value that Aer does not take.
        TypeError: shots or a seed that are no integers, or a noise model of another type.
    """

    name: ClassVar[str] = "aer"

    def __init__(
        self,
        shots: int | None = None,
        *,
        method: str = "automatic",
        device: str = "CPU",
        precision: str = "double",
        seed_simulator: int | None = None,
        noise_model: Any = None,
        max_parallel_threads: int = 0,
        **options: Any,
    ) -> None:
        if shots is not None and (isinstance(shots, bool) or not isinstance(shots, int)):
            raise TypeError(f"shots must be an integer or None, got {shots!r}")
        if shots is not None and shots < 1:
            raise ValueError(f"shots must be at least 1, got {shots}; None asks for exact probabilities")
        if seed_simulator is not None:
            if isinstance(seed_simulator, bool) or not isinstance(seed_simulator, int):
                raise TypeError(f"seed_simulator must be an integer or None, got {seed_simulator!r}")
            if seed_simulator < 0:
                raise ValueError(f"seed_simulator must be at least 0, got {seed_simulator}")
        if noise_model is not None and not isinstance(noise_model, NoiseModel):
            raise TypeError(
                f"noise_model must be a qiskit_aer.noise.NoiseModel or None, got {type(noise_model).__module__}."
                f"{type(noise_model).__name__}; a qf.NoiseModel is the circuit's: noise= of qf.QRNN or qf.evolve"
            )
        if precision not in ("double", "single"):
            raise ValueError(f"precision must be 'double' or 'single', got {precision!r}")
        if (available := AerSimulator().available_devices()) and device not in available:
            raise ValueError(
                f"this installation of Aer has no device {device!r}; it has {', '.join(map(repr, available))} (the "
                "package qiskit-aer-gpu brings 'GPU')"
            )
        self.shots = shots
        self._options = {
            "device": device,
            "precision": precision,
            "noise_model": noise_model,
            "max_parallel_threads": max_parallel_threads,
            **options,
        }
        self._method = method
        try:
            self._simulator = AerSimulator(method=method, **self._options)
        except AerError as error:
            raise ValueError(f"Aer does not take these options: {error.message}") from error
        self._seeds = None if seed_simulator is None else _Seeds(seed_simulator)
        self._transpiled: dict[tuple[str, int, bool], _Transpiled] = {}

    def __repr__(self) -> str:
        return f"Aer(shots={self.shots}, method={self._method!r}, device={self._options['device']!r})"

    def run(
        self,
        circuit: Circuit,
        angles: Tensor,
        memory: Tensor | None,
        *,
        shots: int | None = None,
        seed: int = 0,
        sequence_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Outcome probabilities or frequencies, and, where they are exact, the final memory.

        Args:
            circuit: one time step.
            angles: (B, T, A) float32 or float64, radians, finite.
            memory: (B, 2^m, 2^m) complex64 or complex128, or None for |0...0>; None only, where there are shots.
            shots: samples per sequence; None for the number given to the constructor.
            seed: of Aer's random numbers, where there is no `seed_simulator`.
            sequence_ids: (B,) int64, 0 <= id < 2^32; None for 0, 1, ..., B - 1. A sequence's numbers start from a seed
                of its own, made of `seed` and its id. Ids without gaps run as one job, others as several.

        Returns:
            (B, T, 2^r) in the dtype of the angles, and (B, 2^m, 2^m), or None with shots.

        Raises:
            ValueError: a memory together with shots or that is no density matrix, angles that are not finite, a wrong
                shape, or noise that exact results would not show.
            RuntimeError: Aer reports a failure, or did not use the seeds that it should.
        """
        shots = self.shots if shots is None else shots
        if angles.shape[-1] != circuit.n_angles:
            raise ValueError(f"angles must have the shape (B, T, {circuit.n_angles}), got {tuple(angles.shape)}")
        if not angles.isfinite().all():
            raise ValueError("Aer takes finite angles only; backend='native' carries on with the other sequences")
        if shots is not None and memory is not None:
            raise ValueError(
                "Aer with shots starts from |0...0> and takes no memory; use shots=None or backend='native'"
            )
        return (
            self._exact(circuit, angles, memory)
            if shots is None
            else (self._sample(circuit, angles, shots, seed, sequence_ids), None)
        )

    def refusal(self, circuit: Circuit, *, exact: bool) -> str:
        """Why this circuit cannot run, exactly or by shots: noise or room; empty where it can."""
        simulator = self._density_simulator if exact else self._simulator
        n_ancillas = len(circuit.readout) if exact and not _only_reset_after_measuring(circuit) else 0
        if exact and (noise := self._noise_of_measurements(circuit, copies=n_ancillas > 0)):
            return noise
        needed, room = circuit.n_qubits + n_ancillas, simulator.num_qubits
        if needed <= room:
            return ""
        further = f" and {n_ancillas} more to keep its outcomes" if n_ancillas else ""
        return (
            f"Aer's method {simulator.options.method!r} has room for {room} qubits on this machine, and the circuit "
            f"has {circuit.n_qubits}{further}; use fewer qubits, or shots with method='matrix_product_state'"
        )

    def _noise_of_measurements(self, circuit: Circuit, *, copies: bool) -> str:
        """Why exact results would not have Aer's own noise of the measurements; empty where they have it."""
        noise = self._options["noise_model"]
        if noise is None or noise.is_ideal():
            return ""
        way_out = "; use shots, or the noise of the circuit (noise=qf.NoiseModel.from_qiskit(model))"
        if copies:
            return (
                "Aer's exact results of a circuit that goes on after a measurement, or does not reset what it "
                f"measured, take gates and resets of their own, which its noise model would act on{way_out}"
            )
        local = noise._local_quantum_errors.get("measure", {}), noise._local_readout_errors
        everywhere = "measure" in noise._default_quantum_errors or noise._default_readout_error is not None
        if everywhere or any((qubit,) in errors for qubit in circuit.readout for errors in local):
            return (
                "Aer's exact results are taken without measuring, so that the errors of measuring and reading in its "
                f"noise model would not act{way_out}"
            )
        return ""

    # ---- exact

    def _exact(self, circuit: Circuit, angles: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        n_rows, n_steps = angles.shape[:2]
        dim = 2 ** len(circuit.memory)
        dtype = torch.complex64 if angles.dtype == torch.float32 else torch.complex128
        if memory is not None:
            if memory.shape != (n_rows, dim, dim):
                raise ValueError(f"memory must have the shape {(n_rows, dim, dim)}, got {tuple(memory.shape)}")
            check_memory(memory)
        if n_steps == 0 or n_rows == 0:
            zero = angles.new_zeros(n_rows, dim, dim, dtype=dtype)
            zero[:, 0, 0] = 1
            return angles.new_zeros(
                n_rows, n_steps, 2 ** len(circuit.readout)
            ), zero if memory is None else memory.clone()
        prepared = self._prepare(circuit, n_steps, exact=True)
        bound = [self._start(circuit, prepared.circuit, None if memory is None else memory[b]) for b in range(n_rows)]
        result = self._submit(self._density_simulator, bound, [self._values(prepared, row) for row in angles])
        probs = [[result.data(b)[f"step_{t}"] for t in range(n_steps)] for b in range(n_rows)]
        if circuit.memory:
            finals = torch.stack([torch.from_numpy(result.data(b)["memory"].data.copy()) for b in range(n_rows)])
        else:
            finals = angles.new_ones(n_rows, 1, 1)
        told = confuse(torch.from_numpy(np.array(probs)), confusions(circuit))
        return told.to(angles.dtype), finals.to(dtype)

    @staticmethod
    def _start(circuit: Circuit, prepared: Any, memory: Tensor | None) -> Any:
        """The circuit begun from a memory; Aer wants the density matrix of all its qubits."""
        if memory is None:
            return prepared
        from qiskit import QuantumCircuit

        size = 2**prepared.num_qubits
        index = np.array([sum((i >> k & 1) << q for k, q in enumerate(circuit.memory)) for i in range(len(memory))])
        rho = np.zeros((size, size), dtype=np.complex128)
        rho[index[:, None], index] = ((memory + memory.mH) / 2).numpy()
        start = QuantumCircuit(*prepared.qregs)
        start.set_density_matrix(rho)
        return start.compose(prepared)

    def _build_exact(self, circuit: Circuit, sequence: SequenceParameters) -> Any:
        """Nothing is measured: probabilities are saved where all bits of a step are known.

        Where nothing but a reset follows the measurements, that is at the end of the step, before these resets. Else
        each bit is copied to an ancilla by CX, which dephases the qubit as a measurement does, and the ancillas are
        read and reset at the end of the step.
        """
        direct = _only_reset_after_measuring(circuit)
        n, r = circuit.n_qubits, len(circuit.readout)
        qubits = list(circuit.readout) if direct else list(range(n, n + r))

        measured: set[int] = set()  # in the step that is being built

        def save(t: int, qc: Any) -> None:
            qc.save_probabilities(qubits, label=f"step_{t}")
            qc.reset(qubits)
            measured.clear()

        def measure(_: int, op: Operation, qc: Any) -> None:
            measured.update(op.qubits)
            if not direct:
                for qubit, bit in zip(op.qubits, op.bits, strict=True):
                    qc.cx(qubit, n + bit)

        def reset(_: int, op: Operation, qc: Any) -> None:
            # Measured qubits are reset when their probabilities have been saved.
            left = [q for q in op.qubits if not direct or q not in measured]
            if left:
                qc.reset(left)

        qc = build(
            circuit,
            sequence,
            n_ancillas=0 if direct else r,
            classical=False,
            hooks={"measure": measure, "reset": reset},
            end_of_step=save,
        )
        if circuit.memory:
            qc.save_density_matrix(list(circuit.memory), label="memory")
        return qc

    # ---- shots

    def _sample(self, circuit: Circuit, angles: Tensor, shots: int, seed: int, sequence_ids: Tensor | None) -> Tensor:
        n_rows, n_steps = angles.shape[:2]
        counts = np.zeros((n_rows, n_steps, 2 ** len(circuit.readout)), dtype=np.int64)
        if n_steps == 0 or n_rows == 0:
            return torch.from_numpy(counts).to(angles.dtype)
        prepared = self._prepare(circuit, n_steps, exact=False)
        ids = range(n_rows) if sequence_ids is None else sequence_ids.tolist()
        seed = seed if self._seeds is None else self._seeds.in_place_of(seed)
        seeds = [seed % 2**62 + _SEED_STEP * i for i in ids]  # below Aer's limit of 2^63
        values = [self._values(prepared, row) for row in angles]
        for job in _jobs(ids):
            options = {"shots": shots, "seed_simulator": seeds[job[0]]}
            result = self._submit(self._simulator, [prepared.circuit] * len(job), [values[b] for b in job], **options)
            if [r.seed_simulator for r in result.results] != [seeds[b] for b in job]:
                raise RuntimeError("this version of Aer spreads a job's seed over its circuits in a way of its own")
            for i, b in enumerate(job):
                # A key holds the registers from the last step to the first, each from its highest bit to its lowest.
                for key, count in result.get_counts(i).items():
                    for t, bits in enumerate(reversed(key.split(" "))):
                        counts[b, t, int(bits, 2)] += count
        errors = confusions(circuit)
        told = [confuse_counts(rows, errors, np.random.default_rng(s)) for rows, s in zip(counts, seeds, strict=True)]
        return torch.from_numpy(np.stack(told) / shots).to(angles.dtype)

    # ---- both

    @cached_property
    def _density_simulator(self) -> Any:
        if self._method not in ("automatic", "density_matrix"):
            raise ValueError(
                f"method={self._method!r} gives no exact probabilities of circuits with measurements inside; set "
                "shots, or take method='density_matrix'"
            )
        return AerSimulator(method="density_matrix", **self._options)

    def _prepare(self, circuit: Circuit, n_steps: int, *, exact: bool) -> _Transpiled:
        key = (circuit.to_string(), n_steps, exact)
        if key not in self._transpiled:
            from qiskit import transpile

            if not circuit.readout:
                raise ValueError("the circuit measures nothing; call measure([...]) on at least one qubit")
            if refusal := self.refusal(circuit, exact=exact):
                raise ValueError(refusal)
            sequence = SequenceParameters(circuit, n_steps)
            qc = self._build_exact(circuit, sequence) if exact else build(circuit, sequence)
            simulator = self._density_simulator if exact else self._simulator
            transpiled = transpile(qc, simulator, optimization_level=0)
            self._transpiled[key] = _Transpiled(sequence, transpiled, frozenset(transpiled.parameters))
        return self._transpiled[key]

    @staticmethod
    def _values(prepared: _Transpiled, angles: Tensor) -> dict[Any, float]:
        return {p: x for p, x in prepared.sequence.values(angles).items() if p in prepared.parameters}

    @staticmethod
    def _submit(simulator: Any, circuits: list[Any], values: list[dict[Any, float]], **options: Any) -> Any:
        """All sequences as one job.

        Parameters are assigned beforehand: Aer 0.18's own `parameter_binds` gives wrong results for circuits with
        controlled rotations.
        """
        bound = [qc.assign_parameters(row) for qc, row in zip(circuits, values, strict=True)]
        result = simulator.run(bound, **options).result()
        if not result.success:
            details = "; ".join(str(r.status) for r in result.results if not r.success)
            raise RuntimeError(f"Aer failed: {result.status}. {details}")
        return result


class _Seeds:
    """A stream of seeds in place of another: where two seeds of that one are equal and follow each other, so do these.

    The calls of one gradient share a seed, by which the two ends of a difference draw the same numbers.
    """

    def __init__(self, start: int) -> None:
        self._generator = np.random.default_rng(start)
        self._theirs: int | None = None
        self._ours = 0

    def in_place_of(self, seed: int) -> int:
        if seed != self._theirs:
            self._theirs, self._ours = seed, int(self._generator.integers(2**62))
        return self._ours


def _jobs(ids: Sequence[int]) -> list[list[int]]:
    """Rows that can be one job each, in this order: Aer gives its circuits seeds that follow each other, as ids do."""
    earlier: Counter[int] = Counter()
    places = []  # (how often the id has come before, id, row): an id that comes again has to wait for another job
    for row, i in enumerate(ids):
        places.append((earlier[i], i, row))
        earlier[i] += 1
    places.sort()
    ends = [k for k in range(1, len(places)) if places[k][1] != places[k - 1][1] + 1]
    return [[row for _, _, row in places[a:b]] for a, b in pairwise([0, *ends, len(places)])]


def _only_reset_after_measuring(circuit: Circuit) -> bool:
    """Whether all measured qubits are reset in the end, with no other op after their measurement."""
    measured: set[int] = set()
    for op in circuit.operations:
        if op.name != "measure" and op.name != "reset" and measured & set(op.qubits):
            return False
        if op.name == "measure":
            measured.update(op.qubits)
    return not measured & set(circuit.memory)
