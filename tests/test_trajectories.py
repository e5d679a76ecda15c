"""Sampled trajectories: against exact probabilities, one draw of which is what; and the promise of the same outcomes.

Seeds are fixed. A chi-square test passes where its p-value is above 1e-5; with about 300 of them in this file, the
chance that a right engine fails any for one choice of seeds is below 1 in 300.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import qrnn_fast as qf
import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from problems import angles, density, factor
from qrnn_fast import _core
from scipy.stats import chi2
from strategies import circuits
from torch import Tensor

P_VALUE = 1e-5
ALL_DTYPES = [torch.float32, torch.float64]


def generator(start: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(start)


def p_value(frequencies: Tensor, probs: Tensor, shots: int) -> float:
    """Of one multinomial sample; outcomes expected less than five times are taken together."""
    expected, observed = probs.double().flatten() * shots, frequencies.double().flatten() * shots
    rare = expected < 5
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    observed = torch.cat([observed[~rare], observed[rare].sum()[None]])
    if expected[-1] < 1e-6:
        assert observed[-1] == 0  # what is impossible does not happen
        expected, observed = expected[:-1], observed[:-1]
    if len(expected) == 1:
        return 1.0
    statistic = ((observed - expected).square() / expected.clamp(min=1e-9)).sum().item()
    return float(chi2.sf(statistic, len(expected) - 1))


def check(circuit: qf.Circuit, a: Tensor, memory: Tensor | None = None, shots: int = 4000) -> None:
    exact, rho = qf.evolve(circuit, a, memory)
    frequencies, average = qf.evolve(circuit, a, memory, shots=shots, generator=generator())
    for b in range(a.shape[0]):
        for t in range(a.shape[1]):
            assert p_value(frequencies[b, t], exact[b, t], shots) > P_VALUE
    torch.testing.assert_close(average, rho, rtol=0, atol=6 / shots**0.5)
    torch.testing.assert_close(average, average.mH, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("key", "counter", "block"),
    [
        (0, [0, 0, 0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (2**64 - 1, [2**32 - 1] * 4, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            0x299F31D0_A4093822,
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_numbers(key: int, counter: list[int], block: list[int]) -> None:
    """Test vectors of the Random123 library."""
    assert _core.philox(key, counter) == block


@seed(20)
@settings(max_examples=120, deadline=None, database=None)
@given(circuits(max_qubits=5, max_memory=3), st.integers(0, 10**6), st.booleans())
def test_random_circuits(circuit: qf.Circuit, start: int, with_memory: bool) -> None:
    a = angles(circuit, 1, 2, seed=start)
    check(circuit, a, density(factor(circuit, 1, seed=start)) if with_memory else None)


@pytest.mark.parametrize(
    "circuit",
    [
        qf.cells.crx_chain(8),
        qf.cells.crx_chain(6, repeats=2),
        qf.cells.reuploading(6, repeats=2),
        qf.cells.rx_rz_chain(6),
        qf.cells.echo_state(6, repeats=2),
    ],
    ids=["crx_chain", "crx_chain twice", "reuploading", "rx_rz_chain", "echo_state"],
)
def test_cells(circuit: qf.Circuit) -> None:
    check(circuit, angles(circuit, 2, 3), density(factor(circuit, 2)), shots=20_000)


def test_joint_outcomes_of_several_steps() -> None:
    """Outcomes of one shot belong together: the memory after an outcome is the one that this outcome leaves."""
    circuit, shots = qf.cells.crx_chain(4), 200_000
    a = angles(circuit, 1, 3)
    joint = torch.zeros(4, 4, 4, dtype=torch.float64)
    # Conditional states by projecting: every outcome of a step kept as a branch of its own.
    told = qf.sample(circuit, a, shots, generator=generator())[0].long()
    exact = joint_probabilities(circuit, a[0])
    joint.index_put_(tuple(told.T), torch.ones(shots, dtype=torch.float64), accumulate=True)
    assert p_value(joint / shots, exact, shots) > P_VALUE
    marginals = [qf.evolve(circuit, a)[0][0, t] for t in range(3)]
    independent = torch.einsum("i,j,k->ijk", *marginals)
    assert p_value(joint / shots, independent, shots) < 1e-12  # the test would see it if they did not
    apart = qf.sample(circuit, a, shots, generator=generator(), backend=qf.backends.Native(sampling="marginal"))
    joint = torch.zeros(4, 4, 4, dtype=torch.float64)
    joint.index_put_(tuple(apart[0].long().T), torch.ones(shots, dtype=torch.float64), accumulate=True)
    assert p_value(joint / shots, independent, shots) > P_VALUE


def joint_probabilities(circuit: qf.Circuit, a: Tensor) -> Tensor:
    """Of the outcomes of all steps, [step 0, step 1, ...]: all steps unrolled, reset qubits being fresh ones."""
    n_steps, r = len(a), len(circuit.readout)
    fresh = [q for q in range(circuit.n_qubits) if q not in circuit.memory]
    n_qubits = len(circuit.memory) + n_steps * len(fresh)
    unrolled = qf.Circuit(n_qubits, n_steps * circuit.n_angles)
    for t in range(n_steps):
        place = {q: i for i, q in enumerate(circuit.memory)}
        place |= {q: len(circuit.memory) + t * len(fresh) + i for i, q in enumerate(fresh)}
        for op in circuit.operations:
            moved = [
                x + 0 if not isinstance(x, qf.Angle) else qf.Angle(x.slot + t * circuit.n_angles, x.scale, x.offset)
                for x in op.angles
            ]
            if op.name not in ("measure", "reset"):
                unrolled.append(op.name, [place[q] for q in op.qubits], moved)
        unrolled.measure([place[q] for q in circuit.readout])
    probs, _ = qf.evolve(unrolled, a.reshape(1, -1))
    return probs.view((2**r,) * n_steps).permute(*reversed(range(n_steps)))  # later steps are higher bits


def test_outcomes_and_frequencies_are_the_same_draws() -> None:
    circuit = qf.cells.crx_chain(6)
    a = angles(circuit, 3, 7)
    outcomes = qf.sample(circuit, a, 300, generator=generator())
    assert (outcomes.dtype, outcomes.shape) == (torch.int32, (3, 300, 7))
    counted = torch.nn.functional.one_hot(outcomes.long(), 8).double().mean(1)
    torch.testing.assert_close(qf.evolve(circuit, a, shots=300, generator=generator())[0], counted)
    torch.testing.assert_close(qf.sample(circuit, a[0], 300, generator=generator()), outcomes[0])


@pytest.mark.parametrize("sampling", ["trajectories", "marginal"])
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_same_seed_same_outcomes(sampling: str, dtype: torch.dtype) -> None:
    """For any number of threads, order and part of a batch, and however many shots and steps come after."""
    circuit = qf.cells.crx_chain(4)
    a, rho = angles(circuit, 5, 9).to(dtype), density(factor(circuit, 5))
    rho = rho.to(torch.complex64 if dtype == torch.float32 else torch.complex128)

    def draw(rows: list[int], shots: int, steps: int, threads: int) -> Tensor:
        backend = qf.backends.Native(threads=threads, sampling=sampling)
        ids = torch.tensor(rows)
        return qf.sample(
            circuit, a[rows, :steps], shots, rho[rows], generator=generator(), sequence_ids=ids, backend=backend
        )

    whole = draw([0, 1, 2, 3, 4], 700, 9, 1)
    assert draw([0, 1, 2, 3, 4], 700, 9, 2).equal(whole)
    assert draw([0, 1, 2, 3, 4], 700, 9, 7).equal(whole)
    assert draw([3, 1], 700, 9, 2).equal(whole[[3, 1]])
    assert draw([2], 77, 4, 1).equal(whole[[2], :77, :4])
    assert not draw([0], 700, 9, 1).equal(whole[[1]])
    results = [
        qf.evolve(circuit, a, rho, shots=700, generator=generator(), backend=qf.backends.Native(n, sampling=sampling))
        for n in (1, 2, 5)
    ]
    for probs, memory in results[1:]:
        assert probs.equal(results[0][0])
        assert memory.equal(results[0][1])


def test_precisions_draw_the_same_numbers() -> None:
    circuit = qf.cells.crx_chain(8)
    a = angles(circuit, 1, 20)
    double, single = (qf.sample(circuit, a.to(t), 2000, generator=generator()) for t in (torch.float64, torch.float32))
    differs = (double != single).any(2).double().mean().item()
    assert differs < 5e-3  # 80 draws a shot, each within 2^-22 or so of its threshold, by chance


def test_instruction_sets_draw_the_same_numbers() -> None:
    program = (
        "import sys, torch, qrnn_fast as qf; c = qf.cells.crx_chain(8); "
        "a = torch.rand(2, 20, 55, generator=torch.Generator().manual_seed(3)) * 6; "
        "s = qf.sample(c, a, 500, generator=torch.Generator().manual_seed(1)); "
        "sys.stdout.buffer.write(s.numpy().tobytes())"
    )
    found = []
    for name in _core.available_instruction_sets():
        run = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "QRNN_FAST_ISA": name}, check=True, capture_output=True
        )
        found.append(np.frombuffer(run.stdout, dtype=np.int32).reshape(2, 500, 20))
    for other in found[1:]:
        assert (other != found[0]).any(2).mean() < 5e-3


def test_initial_memories_are_drawn_from_their_eigenvectors() -> None:
    circuit = qf.Circuit(2)
    circuit.measure([0, 1])
    pure = torch.zeros(1, 4, 4, dtype=torch.complex128)
    pure[0, 2, 2] = 1
    a = torch.zeros(1, 1, 0, dtype=torch.float64)
    assert (qf.sample(circuit, a, 100, pure) == 2).all()
    mixed = torch.diag(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.complex128))[None]
    frequencies, _ = qf.evolve(circuit, a, mixed, shots=50_000, generator=generator())
    assert p_value(frequencies[0, 0], mixed[0].diagonal().real, 50_000) > P_VALUE
    negative = torch.diag(torch.tensor([0.6, 0.6, -0.2, 0], dtype=torch.complex128))[None]
    with pytest.raises(ValueError, match=r"smallest eigenvalue is -0\.2"):
        qf.evolve(circuit, a, negative, shots=10)


@pytest.mark.parametrize("sampling", ["trajectories", "marginal"])
def test_angles_that_are_not_finite(sampling: str) -> None:
    backend = qf.backends.Native(sampling=sampling)
    circuit = qf.cells.crx_chain(4)
    a = angles(circuit, 2, 6)
    whole, _ = qf.evolve(circuit, a, shots=50, generator=generator(), backend=backend)
    a[1, 3, 5] = torch.nan
    probs, memory = qf.evolve(circuit, a, shots=50, generator=generator(), backend=backend)
    assert probs[0].equal(whole[0])
    assert probs[1, :3].equal(whole[1, :3])
    assert probs[1, 3:].isnan().all()
    assert memory[1].isnan().all()
    assert memory[0].isfinite().all()
    with pytest.raises(ValueError, match="not finite"):
        qf.sample(circuit, a, 50, backend=backend)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0)])
def test_nothing_to_do(shape: tuple[int, int]) -> None:
    circuit = qf.cells.crx_chain(4)
    a = torch.zeros(*shape, circuit.n_angles)
    probs, memory = qf.evolve(circuit, a, shots=10)
    assert probs.shape == (*shape, 4)
    assert memory.shape == (shape[0], 4, 4)
    if shape[0]:
        assert (memory[:, 0, 0] == 1).all()
    assert qf.sample(circuit, a, 10).shape == (shape[0], 10, shape[1])


def test_bad_input() -> None:
    circuit = qf.cells.crx_chain(4)
    a = angles(circuit, 2, 3)
    for kind, match, call in [
        (ValueError, "at least 1", lambda: qf.sample(circuit, a, 0)),
        (TypeError, "integer", lambda: qf.sample(circuit, a, None)),
        (ValueError, "frequencies alone", lambda: qf.sample(circuit, a, 5, backend=qf.backends.Aer())),
        (ValueError, "2\\^32", lambda: qf.sample(circuit, a, 5, sequence_ids=torch.tensor([0, 2**32]))),
        (ValueError, "shape", lambda: qf.sample(circuit, a[..., 1:], 5)),
        (ValueError, "unknown sampling", lambda: qf.backends.Native(sampling="joint")),
    ]:
        with pytest.raises(kind, match=match):
            call()


@pytest.mark.parametrize(
    "estimator",
    [
        qf.ParameterShift(),
        qf.FDSA(wrt="angles"),
        qf.FDSA(wrt="angles", common_random_numbers=False),
        qf.SPSA(samples=3, wrt="angles"),
        qf.SPSA(samples=3, wrt="angles", common_random_numbers=False),
    ],
    ids=str,
)
def test_estimators_under_shots_agree_with_their_exact_values(estimator: qf.FDSA) -> None:
    """The mean over many seeds, within five of its standard errors; SPSA's directions are drawn along."""
    circuit = qf.cells.crx_chain(2)
    a, weights = angles(circuit, 1, 2), torch.linspace(-1, 1, 4, dtype=torch.float64).view(2, 2)

    def gradient(shots: int | None, start: int) -> Tensor:
        x = a.clone().requires_grad_()
        probs, _ = qf.evolve(circuit, x, gradient=estimator, shots=shots, generator=generator(start))
        (probs[0] * weights).sum().backward()
        return x.grad.flatten()

    sampled = torch.stack([gradient(400, k) for k in range(300)])
    exact = torch.stack([gradient(None, k) for k in range(300)])
    error = ((sampled.var(0) + exact.var(0)) / 300).sqrt()
    assert ((sampled.mean(0) - exact.mean(0)).abs() < 5 * error + 1e-12).all()
    assert (sampled.var(0).sum() > 0).all()


def test_sixteen_qubits() -> None:
    """Bit by bit against exact probabilities."""
    circuit, shots = qf.cells.crx_chain(16), 500
    a = angles(circuit, 1, 2)
    outcomes = qf.sample(circuit, a, shots, generator=generator())[0]
    exact, _ = qf.evolve(circuit, a)
    for bit in range(8):
        ones = exact[0].unflatten(-1, (-1, 2, 2**bit))[:, :, 1].sum((1, 2))
        told = (outcomes >> bit & 1).double().mean(0)
        assert ((told - ones).abs() < 5 * (ones * (1 - ones) / shots).sqrt() + 1e-9).all()


def test_twenty_qubits() -> None:
    """The chain's first bits do not know how long it is; no exact engine has room for its outcomes."""
    circuit, shots = qf.cells.crx_chain(20), 400
    plan = circuit.plan()
    assert plan.engine is None
    assert "GB" in str(plan)
    assert max(plan.sampling.active) == 10
    assert plan.sampling.bytes < 2**20 * 16  # what one state vector of 20 qubits takes
    a = angles(circuit, 1, 1)
    outcomes = qf.sample(circuit, a, shots, generator=generator())[0]
    small = qf.cells.crx_chain(6)
    part = torch.cat([a[..., :18], a[..., 60:65], a[..., 79:97]], -1)
    exact, _ = qf.evolve(small, part)
    first = exact[0, 0].view(2, 4).sum(0)  # the last readout qubit of the small one ends its chain
    told = torch.bincount(outcomes[:, 0] & 3, minlength=4).double() / shots
    assert p_value(told, first, shots) > P_VALUE
