"""Sampled noise against exact noise, and joint outcomes over steps against Qiskit Aer, with and without noise.

Seeds are fixed. A test passes where its p-value is above 1e-5; there are about 200 of them.
"""

from __future__ import annotations

import numpy as np
import pytest
import qiskit_aer.noise as aer
import qrnn_fast as qf
import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from problems import angles, density, factor
from qiskit_aer import AerSimulator
from qrnn_fast import noise
from qrnn_fast.qiskit_io import SequenceParameters, build
from scipy.stats import chi2_contingency
from strategies import noisy_circuits
from test_trajectories import P_VALUE, check, generator
from torch import Tensor

N, STEPS, SHOTS = 4, 3, 8000
# Gates that Aer applies as they are, so that a noise model sees them under their own names.
GATES = {"rx": 1, "ry": 1, "rz": 1, "cx": 2, "cz": 2, "rzz": 2}


@seed(21)
@settings(max_examples=80, deadline=None, database=None)
@given(noisy_circuits(), st.integers(0, 10**6), st.booleans())
def test_random_noisy_circuits(circuit: qf.Circuit, start: int, with_memory: bool) -> None:
    a = angles(circuit, 1, 2, seed=start)
    check(circuit, a, density(factor(circuit, 1, seed=start)) if with_memory else None)


@pytest.mark.parametrize(
    ("channel", "gate"),
    [
        (noise.depolarizing(0.1), "rx"),
        (noise.depolarizing(0.1, 2), "crx"),
        (noise.amplitude_damping(0.2), "rz"),
        (noise.phase_damping(0.3), "crx"),
        (noise.thermal_relaxation(50e-6, 70e-6, 10e-6, 0.1), "rx"),
        (noise.pauli_channel({"XI": 0.1, "YZ": 0.05, "II": 0.85}), "crx"),
        (noise.bit_flip(0.1), "reset"),
        (noise.bit_flip(0.1), "measure"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_each_channel(channel: object, gate: str) -> None:
    model = qf.NoiseModel().add(channel, gate).add_readout_error((0.02, 0.05))
    circuit = model.apply(qf.cells.crx_chain(4))
    check(circuit, angles(circuit, 2, 3), density(factor(circuit, 2)), shots=20_000)


def test_noise_by_argument() -> None:
    model, circuit = qf.NoiseModel().add(noise.depolarizing(0.3), "rx"), qf.cells.crx_chain(4)
    a = angles(circuit, 1, 3)
    clean, noisy = (qf.sample(circuit, a, 500, noise=m, generator=generator()) for m in (None, model))
    assert not clean.equal(noisy)
    assert noisy.equal(qf.sample(model.apply(circuit), a, 500, generator=generator()))


def random_circuit(start: int, n_ops: int = 14) -> qf.Circuit:
    rng = np.random.default_rng(start)
    circuit = qf.Circuit(N)
    for _ in range(n_ops):
        name = str(rng.choice([*GATES, "reset"]))
        qubits = [int(q) for q in rng.permutation(N)[: GATES.get(name, 1)]]
        circuit.append(name, qubits, [circuit.angle()] if name in ("rx", "ry", "rz", "rzz") else [])
    return circuit.measure([1, 3]).reset([1, 3])


def aer_noise() -> aer.NoiseModel:
    model = aer.NoiseModel(basis_gates=[*GATES, "reset"])
    model.add_all_qubit_quantum_error(aer.amplitude_damping_error(0.1), ["rx", "ry"])
    model.add_all_qubit_quantum_error(aer.depolarizing_error(0.1, 2), ["cx", "rzz"])
    model.add_quantum_error(aer.thermal_relaxation_error(50, 70, 10, 0.1), "rx", [1])
    model.add_all_qubit_readout_error(aer.ReadoutError([[0.95, 0.05], [0.1, 0.9]]))
    return model


def aer_counts(circuit: qf.Circuit, a: Tensor, model: aer.NoiseModel | None) -> Tensor:
    """How often each joint outcome of all steps was seen; the outcome of step t is digit t, to the base 4."""
    parameters = SequenceParameters(circuit, STEPS)
    qc = build(circuit, parameters)
    values = {p: x for p, x in parameters.values(a).items() if p in qc.parameters}
    simulator = AerSimulator(method="statevector", noise_model=model)
    result = simulator.run(qc.assign_parameters(values), shots=SHOTS, seed_simulator=5).result()
    counts = torch.zeros(4**STEPS, dtype=torch.float64)
    for key, count in result.get_counts().items():  # the last step's register comes first
        counts[int(key.replace(" ", ""), 2)] += count
    return counts


@pytest.mark.parametrize("is_noisy", [False, True])
@pytest.mark.parametrize("start", range(8))
def test_joint_outcomes_as_aer_draws_them(start: int, is_noisy: bool) -> None:
    """A two-sample chi-square test over the 64 joint outcomes of three steps; Aer runs its own noise model."""
    circuit = random_circuit(start)
    a = angles(circuit, STEPS, seed=start)
    model = aer_noise() if is_noisy else None
    ours = qf.sample(
        circuit, a, SHOTS, noise=None if model is None else qf.NoiseModel.from_qiskit(model), generator=generator()
    )
    number = (ours.long() * 4 ** torch.arange(STEPS)).sum(1)
    table = torch.stack([torch.bincount(number, minlength=4**STEPS).double(), aer_counts(circuit, a, model)])
    common = table.sum(0) >= 10
    table = torch.cat([table[:, common], table[:, ~common].sum(1, keepdim=True)], 1)
    table = table[:, table.sum(0) > 0]
    if table.shape[1] > 1:
        assert chi2_contingency(table.numpy(), correction=False).pvalue > P_VALUE
