"""Qiskit Aer as the judge: exact results to 1e-9, samples by chi-square; and Aer as a backend."""

from __future__ import annotations

from typing import Any

import pytest
import qrnn_fast as qf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit_aer import noise
from qrnn_fast import Circuit, cells
from scipy.stats import chi2
from strategies import N_SLOTS, circuits
from torch import Tensor

EXACT = qf.backends.Aer()

CELLS: dict[str, Circuit] = {
    "crx_chain": cells.crx_chain(4),
    "crx_chain, 2 repeats": cells.crx_chain(4, 2),
    "rx_rz_chain": cells.rx_rz_chain(4),
    "reuploading": cells.reuploading(4),
    "echo_state": cells.echo_state(4, 2, generator=torch.Generator().manual_seed(0)),
}


def random_memory(batch: int, circuit: Circuit, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    dim = 2 ** len(circuit.memory)
    root = torch.randn(batch, dim, dim, dtype=torch.complex128, generator=generator)
    rho = root @ root.mH
    return rho / rho.diagonal(dim1=1, dim2=2).sum(-1).real[:, None, None]


def compare(circuit: Circuit, angles: Tensor, memory: Tensor | None) -> None:
    probs, final = qf.evolve(circuit, angles, memory)
    expected, expected_final = qf.evolve(circuit, angles, memory, backend=EXACT)
    torch.testing.assert_close(probs, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(final, expected_final, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("with_memory", [False, True])
def test_cells_exactly(name: str, with_memory: bool, generator: torch.Generator) -> None:
    circuit = CELLS[name]
    angles = 4 * torch.randn(2, 3, circuit.n_angles, dtype=torch.float64, generator=generator)
    compare(circuit, angles, random_memory(2, circuit, 0) if with_memory else None)


def test_eight_qubits_exactly(generator: torch.Generator) -> None:
    circuit = cells.crx_chain(8)
    compare(circuit, 4 * torch.randn(1, 3, 55, dtype=torch.float64, generator=generator), None)


@given(circuit=circuits(max_qubits=3, max_ops=12), seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_random_circuits_exactly(circuit: Circuit, seed: int) -> None:
    angles = 4 * torch.randn(1, 2, N_SLOTS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    compare(circuit, angles, random_memory(1, circuit, seed))


def test_a_reset_in_front_of_the_measurement() -> None:
    """Only a reset behind it has to wait until the outcome's probabilities are saved."""
    compare(Circuit(1).x(0).reset(0).measure(0).reset(0), torch.zeros(1, 2, 0, dtype=torch.float64), None)


def test_samples(generator: torch.Generator) -> None:
    """Chi-square over the outcomes of every step and sequence, all seeds fixed.

    Steps of one sequence are independent enough for a bound: the sum is compared with its 1e-6 quantile, so that a
    correct sampler fails once in a million choices of the seed.
    """
    circuit, shots = cells.crx_chain(4), 4000
    angles = 3 * torch.randn(3, 4, circuit.n_angles, dtype=torch.float64, generator=generator)
    expected, _ = qf.evolve(circuit, angles)
    backend = qf.backends.Aer(shots=shots)
    observed, memory = qf.evolve(circuit, angles, backend=backend, generator=generator)
    assert memory is None
    torch.testing.assert_close(observed.sum(-1), torch.ones(3, 4, dtype=torch.float64))
    statistic = (shots * (observed - expected) ** 2 / expected).sum().item()
    assert expected.min() * shots > 5  # what the chi-square distribution needs
    assert statistic < chi2.ppf(1 - 1e-6, df=3 * 4 * 3)
    again, _ = qf.evolve(circuit, angles, backend=backend, generator=generator)
    assert not torch.equal(again, observed)  # a fresh seed in every call
    assert not torch.equal(observed[0], observed[1])


def test_sequences_of_a_batch_do_not_share_shot_noise(generator: torch.Generator) -> None:
    circuit = cells.crx_chain(2)
    angles = torch.randn(1, 3, circuit.n_angles, dtype=torch.float64, generator=generator).expand(4, -1, -1)
    probs, _ = qf.evolve(circuit, angles, backend=qf.backends.Aer(), shots=200, generator=generator)
    assert len({tuple(row.flatten().tolist()) for row in probs}) == 4


def test_seed_and_id_decide_what_a_sequence_draws(generator: torch.Generator) -> None:
    circuit, backend = cells.crx_chain(2), qf.backends.Aer(shots=50)
    angles = torch.randn(5, 3, circuit.n_angles, dtype=torch.float64, generator=generator)
    for seed in (3, 2**63 - 1):
        expected, _ = backend.run(circuit, angles, None, seed=seed)
        order = torch.tensor([3, 1, 2, 4, 0])
        found, _ = backend.run(circuit, angles[order], None, seed=seed, sequence_ids=order)
        assert torch.equal(found, expected[order])
        twice, _ = backend.run(circuit, angles[[0, 0]], None, seed=seed, sequence_ids=torch.tensor([2**32 - 1] * 2))
        assert torch.equal(twice[0], twice[1])


def test_ids_without_gaps_are_one_job(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the rows stand: a gradient's copies do not stand in the order of their ids."""
    submit, jobs = qf.backends.Aer._submit, []

    def counted(simulator: Any, circuits: list[Any], *arguments: Any, **options: Any) -> Any:
        jobs.append(len(circuits))
        return submit(simulator, circuits, *arguments, **options)

    monkeypatch.setattr(qf.backends.Aer, "_submit", staticmethod(counted))
    circuit, backend = cells.crx_chain(2), qf.backends.Aer(shots=50)
    angles = torch.rand(6, 2, circuit.n_angles, dtype=torch.float64, generator=generator)
    for ids, expected in (([4, 6, 3, 5, 2, 7], [6]), ([1, 2, 0, 2, 0, 1], [3, 3]), ([0, 1, 5, 6, 9, 8], [2, 2, 2])):
        jobs.clear()
        told, _ = backend.run(circuit, angles, None, seed=3, sequence_ids=torch.tensor(ids))
        assert jobs == expected
        alone = [
            backend.run(circuit, angles[[b]], None, seed=3, sequence_ids=torch.tensor([i]))[0]
            for b, i in enumerate(ids)
        ]
        assert torch.equal(told, torch.cat(alone))


def test_a_sampled_gradient_does_not_depend_on_the_memory_limit(generator: torch.Generator) -> None:
    circuit, backend = cells.crx_chain(2), qf.backends.Aer(shots=20)
    angles = torch.randn(2, 1, circuit.n_angles, dtype=torch.float64, generator=generator, requires_grad=True)
    state, found = generator.get_state(), []
    for limit in (2**30, 1):
        estimator = qf.FDSA(wrt="angles", memory_limit=limit)
        probs, _ = qf.evolve(circuit, angles, gradient=estimator, backend=backend, generator=generator.set_state(state))
        found.append(torch.autograd.grad(probs[..., 0].square().sum(), angles)[0])
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_spsa_over_shots(generator: torch.Generator) -> None:
    """A gradient over samples points the way of the exact one, on average over a few draws."""
    circuit = cells.crx_chain(2)
    angles = torch.randn(1, 1, circuit.n_angles, dtype=torch.float64, generator=generator, requires_grad=True)
    exact = torch.autograd.grad(qf.evolve(circuit, angles)[0][0, 0, 0], angles)[0]
    backend = qf.backends.Aer(shots=2000)
    estimator = qf.FDSA(c=0.3, wrt="angles")
    probs, _ = qf.evolve(circuit, angles, gradient=estimator, backend=backend, generator=generator)
    sampled = torch.autograd.grad(probs[0, 0, 0], angles)[0]
    assert torch.nn.functional.cosine_similarity(exact.flatten(), sampled.flatten(), dim=0) > 0.9


@pytest.mark.parametrize("shots", [None, 10])
@pytest.mark.parametrize(("batch", "steps"), [(0, 2), (2, 0)])
def test_nothing_to_do(shots: int | None, batch: int, steps: int) -> None:
    circuit = cells.crx_chain(2)
    probs, memory = qf.evolve(
        circuit, torch.zeros(batch, steps, circuit.n_angles), backend=qf.backends.Aer(shots=shots)
    )
    assert probs.shape == (batch, steps, 2)
    assert (memory is None) == (shots is not None)


def test_float32_in_float32_out() -> None:
    circuit = cells.crx_chain(2)
    probs, memory = qf.evolve(circuit, torch.zeros(1, 1, circuit.n_angles), backend=EXACT)
    assert probs.dtype == torch.float32
    assert memory is not None
    assert memory.dtype == torch.complex64


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"shots": 0}, ValueError, "at least 1"),
    ({"shots": 1.5}, TypeError, "must be an integer"),
    ({"device": "TPU"}, ValueError, "no device 'TPU'; it has 'CPU'"),
    ({"method": "guess"}, ValueError, "Invalid simulation method guess"),
    ({"precision": "half"}, ValueError, "must be 'double' or 'single'"),
    ({"fusion": True}, ValueError, "Invalid option fusion"),
    ({"seed_simulator": 1.5}, TypeError, "seed_simulator must be an integer or None, got 1.5"),
    ({"seed_simulator": -1}, ValueError, "seed_simulator must be at least 0, got -1"),
    ({"noise_model": qf.NoiseModel()}, TypeError, "a qf.NoiseModel is the circuit's: noise= of qf.QRNN"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_refused_settings(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        qf.backends.Aer(**arguments)


def test_a_seed_of_aers_own() -> None:
    """It makes calls repeatable without torch's generator; calls differ, ends of a difference share their numbers."""
    circuit = cells.crx_chain(2)
    angles = torch.full((1, 3, circuit.n_angles), 0.4)

    def two_calls(seed: int) -> list[Tensor]:
        aer = qf.backends.Aer(shots=200, seed_simulator=seed)
        return [qf.evolve(circuit, angles, backend=aer)[0] for _ in range(2)]

    first, again, other = two_calls(5), two_calls(5), two_calls(6)
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])
    aer = qf.backends.Aer(shots=200, seed_simulator=5)
    calls = [aer.run(circuit, angles, None, seed=s)[0] for s in (8, 8, 9)]
    assert torch.equal(calls[0], calls[1])
    assert not torch.equal(calls[0], calls[2])


def test_options_reach_aer() -> None:
    """With a bond dimension of 1, matrix product states know no entanglement."""
    circuit = Circuit(2).h(0).cx(0, 1).measure([0, 1]).reset([0, 1])
    options = {"shots": 500, "method": "matrix_product_state", "seed_simulator": 1}
    exact, _ = qf.evolve(circuit, torch.zeros(1, 1, 0), backend=qf.backends.Aer(**options))
    assert exact[0, 0, [1, 2]].tolist() == [0, 0]
    cut = qf.backends.Aer(matrix_product_state_max_bond_dimension=1, **options)
    probs, _ = qf.evolve(circuit, torch.zeros(1, 1, 0), backend=cut)
    assert probs[0, 0].max() == 1


def test_exact_results_need_a_density_matrix() -> None:
    with pytest.raises(ValueError, match="method='statevector' gives no exact probabilities"):
        qf.evolve(cells.crx_chain(2), torch.zeros(1, 1, 13), backend=qf.backends.Aer(method="statevector"))


def noise_of(op: str, *qubits: int) -> noise.NoiseModel:
    model, error = noise.NoiseModel(), noise.depolarizing_error(0.2, 2 if op == "cx" else 1)
    if op == "readout":
        model.add_readout_error([[0.9, 0.1], [0.2, 0.8]], qubits)
    elif qubits:
        model.add_quantum_error(error, op, qubits)
    else:
        model.add_all_qubit_quantum_error(error, op)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (noise_of("readout", 1), "taken without measuring"),
        (noise_of("measure", 1), "taken without measuring"),
        (noise_of("measure"), "taken without measuring"),
        (noise_of("cx"), "gates and resets of their own"),  # the qubits are not reset: outcomes are copied by CX
    ],
)
def test_noise_that_exact_results_would_not_show_is_refused(model: noise.NoiseModel, message: str) -> None:
    circuit = Circuit(2).h(0).cx(0, 1).measure(1)
    if "measuring" in message:
        circuit.reset(1)
    angles, aer = torch.zeros(1, 1, 0, dtype=torch.float64), qf.backends.Aer(noise_model=model)
    with pytest.raises(ValueError, match=message):
        qf.evolve(circuit, angles, backend=aer)
    qf.evolve(circuit, angles, backend=aer, shots=10)
    carried_on = noise_of("readout", 0), noise_of("measure", 0), noise_of("reset", 1)
    for other in carried_on if "measuring" in message else ():
        probs, _ = qf.evolve(circuit, angles, backend=qf.backends.Aer(noise_model=other))
        torch.testing.assert_close(probs, torch.full_like(probs, 0.5))


def test_refused_input() -> None:
    circuit = cells.crx_chain(2)
    angles = torch.zeros(1, 1, circuit.n_angles, dtype=torch.float64)
    with pytest.raises(ValueError, match="takes no memory"):
        qf.evolve(circuit, angles, random_memory(1, circuit, 0), backend=qf.backends.Aer(shots=10))
    with pytest.raises(ValueError, match=r"memory must have the shape \(1, 2, 2\), got \(3, 2, 2\)"):
        qf.evolve(circuit, angles, random_memory(3, circuit, 0), backend=EXACT)
    with pytest.raises(ValueError, match="not Hermitian"):
        qf.evolve(circuit, angles, torch.ones(1, 2, 2, dtype=torch.complex128).triu() / 2, backend=EXACT)
    with pytest.raises(ValueError, match="finite angles only"):
        qf.evolve(circuit, angles + float("nan"), backend=EXACT)
    with pytest.raises(ValueError, match="measures nothing"):
        qf.evolve(Circuit(1).h(0), torch.zeros(1, 1, 0), backend=EXACT)


def test_a_failed_run_raises() -> None:
    """Aer refuses a stabilizer simulation of rotations; nothing empty must come back."""
    circuit = cells.crx_chain(2)
    backend = qf.backends.Aer(shots=10, method="stabilizer")
    with pytest.raises(RuntimeError, match=r"Aer failed: .*stabilizer"):
        qf.evolve(circuit, torch.full((1, 1, circuit.n_angles), 0.3), backend=backend)
