"""Noise models built in Qiskit Aer: Aer runs them by itself, we run what `from_qiskit` makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import qiskit_aer.noise as aer
import qrnn_fast as qf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import density
from qiskit import QuantumCircuit
from qiskit.circuit import Delay
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator
from qrnn_fast import Circuit, NoiseModel, noise
from scipy.stats import chi2
from strategies import noisy_circuits
from torch import Tensor

N = 4
STEPS = 3
# Gates that Aer's density matrices apply as they are, so that a noise model sees them under their own names.
GATES = ["rx", "ry", "rz", "sx", "x", "h", "cx", "cz", "rzz"]
ANGLES = {"rx": 1, "ry": 1, "rz": 1, "rzz": 1}


def random_circuit(seed: int, n_ops: int = 24) -> Circuit:
    """Gates on all qubits, resets in between; the odd qubits are measured and reset in the end."""
    rng = np.random.default_rng(seed)
    c = Circuit(N)
    for _ in range(n_ops):
        name = str(rng.choice([*GATES, "reset"]))
        qubits = [int(q) for q in rng.permutation(N)[: 2 if name in ("cx", "cz", "rzz") else 1]]
        c.append(name, qubits, [float(a) for a in rng.normal(size=ANGLES.get(name, 0))])
    return c.measure([1, 3]).reset([1, 3])


def run_aer(circuit: Circuit, model: aer.NoiseModel) -> tuple[Tensor, Tensor]:
    """Exact probabilities (T, 2^r) and final memory by Aer with its own noise model.

    Qubits that a step leaves reset are reset in front of the first one, too.
    """
    qc = QuantumCircuit(N)
    qc.reset([q for q in range(N) if q not in circuit.memory])
    for t in range(STEPS):
        for op in circuit.operations:
            if op.name == "measure":
                qc.save_probabilities(list(circuit.readout), label=f"step_{t}")
            elif op.name == "reset":
                qc.reset(op.qubits)
            else:
                getattr(qc, op.name)(*op.angles, *op.qubits)
    qc.save_density_matrix(list(circuit.memory), label="memory")
    data = AerSimulator(method="density_matrix", noise_model=model).run(qc).result().data()
    probs = torch.tensor(np.array([data[f"step_{t}"] for t in range(STEPS)]))
    return probs, torch.tensor(np.asarray(data["memory"]))


def told(probs: Tensor, errors: dict[int, aer.ReadoutError]) -> Tensor:
    """Bit 1 of an outcome is qubit 3, bit 0 qubit 1; Qiskit's matrices have a row for each true outcome."""
    eye = np.eye(2)
    both = np.kron(*(errors[q].probabilities if q in errors else eye for q in (3, 1)))
    return probs @ torch.tensor(both)


def general(rng: np.random.Generator, n: int) -> aer.QuantumError:
    root = rng.normal(size=(3 * 2**n, 2**n)) + 1j * rng.normal(size=(3 * 2**n, 2**n))
    return aer.kraus_error(list(np.linalg.qr(root)[0].reshape(3, 2**n, 2**n)))


ERRORS: dict[str, tuple[aer.QuantumError, aer.QuantumError]] = {
    "depolarizing": (aer.depolarizing_error(0.03, 1), aer.depolarizing_error(0.1, 2)),
    "thermal relaxation": (
        aer.thermal_relaxation_error(50, 70, 4, 0.1),
        aer.thermal_relaxation_error(50, 30, 9).tensor(aer.thermal_relaxation_error(40, 60, 9, 0.2)),
    ),
    "amplitude damping": (
        aer.amplitude_damping_error(0.1, 0.05),
        aer.amplitude_damping_error(0.2).tensor(aer.amplitude_damping_error(0.1)),
    ),
    "phase damping": (aer.phase_damping_error(0.1), aer.phase_damping_error(0.2).tensor(aer.phase_damping_error(0.1))),
    "Pauli": (aer.pauli_error([("X", 0.1), ("I", 0.9)]), aer.pauli_error([("XI", 0.1), ("ZY", 0.2), ("II", 0.7)])),
    "coherent": (
        aer.coherent_unitary_error(np.array([[1, 1j], [1j, 1]]) / 2**0.5),
        aer.coherent_unitary_error(np.eye(4)[[0, 3, 2, 1]]),
    ),
    "general": (general(np.random.default_rng(0), 1), general(np.random.default_rng(1), 2)),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("local", [False, True])
def test_aer_with_its_own_model(name: str, local: bool) -> None:
    """All-qubit errors, local ones that replace them, noise on reset, and a gate's qubits in their order."""
    single, double = ERRORS[name]
    model = aer.NoiseModel(basis_gates=GATES)
    model.add_all_qubit_quantum_error(single, ["rx", "sx", "h", "reset"])
    model.add_all_qubit_quantum_error(double, ["cx", "rzz"])
    readout = {q: aer.ReadoutError([[0.97, 0.03], [0.1, 0.9]]) for q in (1, 3)}
    model.add_all_qubit_readout_error(readout[1])
    if local:
        for q in range(N - 1):
            model.add_quantum_error(aer.depolarizing_error(0.2, 1), ["rx", "ry"], [q])
            model.add_quantum_error(double.compose(double), "cx", [q, q + 1])
        model.add_quantum_error(aer.pauli_error([("X", 0.2), ("I", 0.8)]), "reset", [1])
        readout[3] = aer.ReadoutError([[0.8, 0.2], [0.3, 0.7]])
        model.add_readout_error(readout[3], [3])
    circuit = random_circuit(len(name))
    probs, final = qf.evolve(circuit, torch.zeros(STEPS, 0, dtype=torch.float64), noise=NoiseModel.from_qiskit(model))
    expected, expected_final = run_aer(circuit, model)
    torch.testing.assert_close(probs, told(expected, readout), rtol=0, atol=1e-9)
    torch.testing.assert_close(final, expected_final, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_backend() -> None:
    """Errors of 100 times a device's size, so that they show; circuits in the backend's gates and couplings."""
    backend = GenericBackendV2(N, basis_gates=["rz", "sx", "x", "cz"], seed=1)
    for gates in (backend.target["sx"], backend.target["cz"]):
        for properties in gates.values():
            properties.error *= 100
    theirs = aer.NoiseModel.from_backend(backend)
    model = NoiseModel.from_backend(backend)
    assert model == NoiseModel.from_qiskit(theirs)
    rng = np.random.default_rng(3)
    circuit = Circuit(N)
    for _ in range(10):
        for q in range(N):
            circuit.rz(float(rng.normal()), q).sx(q)
        circuit.cz(*(int(q) for q in rng.permutation(N)[:2])).x(0)
    circuit.measure([1, 3]).reset([1, 3])
    probs, final = qf.evolve(circuit, torch.zeros(STEPS, 0, dtype=torch.float64), noise=model)
    expected, expected_final = run_aer(circuit, theirs)
    torch.testing.assert_close(
        probs, told(expected, {q: e for (q,), e in theirs._local_readout_errors.items()}), rtol=0, atol=1e-9
    )
    torch.testing.assert_close(final, expected_final, rtol=0, atol=1e-9)
    clean, _ = qf.evolve(circuit, torch.zeros(STEPS, 0, dtype=torch.float64))
    assert (clean - probs).abs().max() > 0.01
    with pytest.raises(ValueError, match="transpile"):
        model.apply(qf.cells.crx_chain(4))


def test_noise_on_measurements() -> None:
    """Aer applies it before the measurement, to the state; by chi-square, since it takes measurements to see."""
    model = aer.NoiseModel(basis_gates=GATES)
    model.add_all_qubit_quantum_error(aer.amplitude_damping_error(0.3), "measure")
    model.add_quantum_error(aer.pauli_error([("X", 0.2), ("I", 0.8)]), "measure", [2])
    model.add_quantum_error(aer.pauli_error([("X", 0.1), ("I", 0.9)]), "reset", [1])
    model.add_readout_error([[0.9, 0.1], [0.2, 0.8]], [2])
    circuit = Circuit(3).h(0).cx(0, 1).cx(0, 2).rx(0.4, 2).measure([1, 2]).reset([1])  # qubit 2 is carried on
    shots, steps = 20_000, 2
    probs, _ = qf.evolve(circuit, torch.zeros(steps, 0, dtype=torch.float64), noise=NoiseModel.from_qiskit(model))
    qc = circuit.to_qiskit(steps)
    start = QuantumCircuit(*qc.qregs, *qc.cregs)
    start.reset(1)
    simulator = AerSimulator(noise_model=model, seed_simulator=5)
    counts = simulator.run(start.compose(qc), shots=shots).result().get_counts()
    observed = torch.zeros(steps, 4, dtype=torch.float64)
    for key, count in counts.items():
        for t, bits in enumerate(reversed(key.split(" "))):
            observed[t, int(bits, 2)] += count
    assert probs.min() * shots > 5
    statistic = ((observed - shots * probs) ** 2 / (shots * probs)).sum()
    assert statistic < chi2.ppf(1 - 1e-6, df=3 * steps)


@given(circuit=noisy_circuits(max_ops=8), seed=st.integers(0, 2**31))
@settings(max_examples=15)
def test_the_aer_backend_runs_noisy_circuits(circuit: Circuit, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(1, 2, circuit.n_angles, dtype=torch.float64, generator=generator)
    dim = 2 ** len(circuit.memory)
    memory = density(torch.randn(1, dim, dim, dtype=torch.complex128, generator=generator))
    ours, theirs = (qf.evolve(circuit, angles, memory, backend=b) for b in ("native", qf.backends.Aer()))
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=1e-9)


def test_the_aer_backend_samples_noisy_circuits(generator: torch.Generator) -> None:
    """A joint readout error and damping, by chi-square; the same seed draws the same, errors in reading included."""
    circuit = qf.cells.crx_chain(4)
    model = NoiseModel().add(noise.amplitude_damping(0.2), "rx")
    model.add_readout_error(np.random.default_rng(0).dirichlet(np.ones(4), size=4).T, (3, 1))
    angles = torch.randn(2, 3, circuit.n_angles, dtype=torch.float64, generator=generator)
    probs, _ = qf.evolve(circuit, angles, noise=model)
    shots, draws = 5000, []
    for _ in range(2):
        seeded = torch.Generator().manual_seed(7)
        draws.append(
            qf.evolve(circuit, angles, noise=model, shots=shots, backend=qf.backends.Aer(), generator=seeded)[0]
        )
    assert torch.equal(*draws)
    assert probs.min() * shots > 5
    statistic = (shots * (draws[0] - probs) ** 2 / probs).sum()
    assert statistic < chi2.ppf(1 - 1e-6, df=2 * 3 * 3)


def _with(build: Any) -> aer.NoiseModel:
    model = aer.NoiseModel()
    build(model)
    return model


UNFIT: list[tuple[Any, type[Exception], str]] = [
    (
        _with(lambda m: m.add_all_qubit_quantum_error(aer.depolarizing_error(0.1, 3), "ccx")),
        ValueError,
        "error on 'ccx' of Qiskit's noise model acts on 3 qubits",
    ),
    (
        _with(lambda m: m.add_quantum_error(aer.depolarizing_error(0.1, 2), "iswap", [0, 1])),
        ValueError,
        r"error on 'iswap' on qubits \(0, 1\) of Qiskit's noise model cannot be taken over: unknown op 'iswap'",
    ),
    (
        _with(lambda m: m.add_readout_error(np.eye(4)[::-1], [0, 1])),
        ValueError,
        r"readout error on qubits \(0, 1\) together",
    ),
    (
        _with(lambda m: m._custom_noise_passes.append(aer.RelaxationNoisePass([1.0], [1.0]))),
        ValueError,
        "transpiler pass RelaxationNoisePass",
    ),
    ({}, TypeError, "takes a qiskit_aer.noise.NoiseModel, got dict"),
]


@pytest.mark.parametrize(("model", "kind", "message"), UNFIT)
def test_what_cannot_be_taken_over(model: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        NoiseModel.from_qiskit(model)


def test_idling_is_left_out() -> None:
    """No circuit here idles."""
    model = aer.NoiseModel()
    model.add_all_qubit_quantum_error(aer.depolarizing_error(0.1, 1), "id")
    model._custom_noise_passes.append(aer.RelaxationNoisePass([1.0], [1.0], op_types=Delay))
    assert NoiseModel.from_qiskit(model).is_empty
