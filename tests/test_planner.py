"""The factor engine where it differs from the Pauli engine, and the choice between the two."""

from __future__ import annotations

from collections.abc import Callable

import engines
import numpy as np
import pytest
import qrnn_fast as qf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qrnn_fast import Circuit, _core, cells
from strategies import N_SLOTS, circuits


def echo_state(n_qubits: int, repeats: int = 3) -> Circuit:
    return cells.echo_state(n_qubits, repeats, generator=torch.Generator().manual_seed(0))


def results(
    circuit: Circuit, engine: str, angles: np.ndarray, memory: np.ndarray | None, weights: list[np.ndarray]
) -> list[np.ndarray]:
    plan = _core.Plan(circuit._core, engine)
    return [*engines.forward(plan, angles, memory, 1), *engines.backward(plan, angles, memory, *weights, 1)]


def hermitian_of_trace_one(rng: np.random.Generator, batch: int, dim: int) -> np.ndarray:
    """Matrices that need not be positive, as (real, imaginary) pairs."""
    a = rng.normal(size=(batch, dim, dim)) + 1j * rng.normal(size=(batch, dim, dim))
    a = (a + a.conj().transpose(0, 2, 1)) / 2
    a += ((1 - np.trace(a, axis1=1, axis2=2).real) / dim)[:, None, None] * np.eye(dim)
    return np.ascontiguousarray(np.stack([a.real, a.imag], -1))


@given(circuit=circuits(max_ops=30), steps=st.integers(0, 6), seed=st.integers(0, 2**31))
@settings(max_examples=150)
def test_engines_agree(circuit: Circuit, steps: int, seed: int) -> None:
    """With a memory that is not positive, where the factor engine needs another way, since evolve is linear."""
    rng = np.random.default_rng(seed)
    dim = 2 ** len(circuit.memory)
    angles = rng.uniform(-4, 4, (2, steps, N_SLOTS))
    memory = hermitian_of_trace_one(rng, 2, dim)
    weights = [rng.normal(size=(2, steps, 2 ** len(circuit.readout))), rng.normal(size=memory.shape)]
    found = [results(circuit, engine, angles, memory, weights) for engine in ("pauli", "factor", "auto")]
    for pauli, factor, auto in zip(*found, strict=True):
        np.testing.assert_allclose(factor, pauli, rtol=0, atol=1e-11)
        np.testing.assert_allclose(auto, pauli, rtol=0, atol=1e-11)


# Angles of a run: wild ones mix the memory at once; small ones, or those of gates that are Clifford, keep it nearly
# pure, or of low rank, for long.
RUNS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "wild": lambda rng, shape: rng.uniform(-3, 3, shape),
    "small": lambda rng, shape: rng.uniform(-1e-3, 1e-3, shape),
    "tiny": lambda rng, shape: rng.uniform(-1e-8, 1e-8, shape),
    "zero": lambda rng, shape: np.zeros(shape),
    "quarter turns": lambda rng, shape: rng.integers(-2, 3, shape) * (np.pi / 2),
    "half turns": lambda rng, shape: rng.integers(-1, 2, shape) * np.pi,
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("cell", ["crx_chain", "reuploading", "echo_state"])
def test_pure_and_rank_deficient_memories_over_3000_steps(cell: str, run: str) -> None:
    circuit = {"crx_chain": cells.crx_chain(6, 2), "reuploading": cells.reuploading(6), "echo_state": echo_state(6)}[
        cell
    ]
    angles = RUNS[run](np.random.default_rng(1), (1, 3000, circuit.n_angles))
    expected = engines.forward(_core.Plan(circuit._core, "pauli"), angles, None, 1)
    found = engines.forward(_core.Plan(circuit._core, "factor"), angles, None, 1)
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11)


def test_float32_keeps_the_trace() -> None:
    circuit = echo_state(6)
    angles = np.random.default_rng(0).uniform(-3, 3, (1, 3000, circuit.n_angles)).astype(np.float32)
    probs, memory = engines.forward(_core.Plan(circuit._core, "factor"), angles, None, 1)
    np.testing.assert_allclose(probs.sum(-1), 1, rtol=0, atol=2e-6)
    expected, _ = engines.forward(_core.Plan(circuit._core, "pauli"), angles.astype(np.float64), None, 1)
    np.testing.assert_allclose(probs, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(np.trace(memory[0, ..., 0]), 1, rtol=0, atol=2e-6)


@pytest.mark.parametrize("engine", ["pauli", "factor"])
def test_two_pieces_make_a_whole(engine: str) -> None:
    """Probabilities, gradients and memory of a sequence cut in two, gates that wait for the next step included."""
    circuit = cells.crx_chain(4, 2)
    backend = qf.backends.Native(engine=engine)
    rng = np.random.default_rng(0)
    angles = torch.tensor(rng.uniform(-3, 3, (3, 9, circuit.n_angles)), requires_grad=True)
    weights = torch.tensor(rng.normal(size=(3, 9, 4)))
    whole, final = qf.evolve(circuit, angles, backend=backend)
    first, between = qf.evolve(circuit, angles[:, :4], backend=backend)
    second, last = qf.evolve(circuit, angles[:, 4:], between, backend=backend)
    pieces = torch.cat([first, second], 1)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-13)
    torch.testing.assert_close(last, final, rtol=0, atol=1e-13)
    (expected,) = torch.autograd.grad((whole * weights).sum() + final.real.square().sum(), angles)
    (got,) = torch.autograd.grad((pieces * weights).sum() + last.real.square().sum(), angles)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 2])
def test_threads_that_share_a_sequence_give_the_same_bits(batch: int) -> None:
    circuit = echo_state(8)
    rng = np.random.default_rng(0)
    angles, weights = rng.uniform(-3, 3, (batch, 9, circuit.n_angles)), rng.normal(size=(batch, 9, 16))
    memory = hermitian_of_trace_one(rng, batch, 16)
    plan = _core.Plan(circuit._core, "factor")
    for start in (None, memory):
        runs = [
            [*engines.forward(plan, angles, start, n), *engines.backward(plan, angles, start, weights, None, n)]
            for n in (1, 2, 7)
        ]
        for other in runs[1:]:
            for got, want in zip(other, runs[0], strict=True):
                np.testing.assert_array_equal(got, want)


def test_each_circuit_gets_its_engine() -> None:
    assert cells.crx_chain(8).plan().engine == "pauli"
    assert echo_state(8).plan().engine == "factor"
    assert echo_state(12).plan().engine == "factor"  # its Pauli vector would hold 4^12 numbers


def test_a_plan_can_be_read() -> None:
    plan = cells.crx_chain(8).plan()
    text = str(plan)
    assert "chosen: pauli" in text
    assert [cost.engine for cost in plan.costs] == ["pauli", "factor"]
    pauli, factor = plan.costs
    assert max(pauli.active) < max(factor.active) == 8  # a readout qubit is over before the next one begins
    for cost in plan.costs:
        assert f"{cost.operations:,.0f}" in text
    assert max(len(line) for line in str(echo_state(8).plan()).splitlines()) <= 120


def test_engine_names_are_checked() -> None:
    with pytest.raises(ValueError, match="unknown engine 'exact'; accepted: 'auto', 'pauli', 'factor'"):
        qf.backends.Native(engine="exact")


def test_overrides_reach_the_engine() -> None:
    circuit = echo_state(4)
    angles = torch.rand(2, 3, circuit.n_angles, dtype=torch.float64)
    outputs = [qf.evolve(circuit, angles, backend=qf.backends.Native(engine=e))[0] for e in ("pauli", "factor")]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-13)
    assert not torch.equal(*outputs)  # different arithmetic: rounding tells them apart


@pytest.mark.parametrize("n_qubits", [10, 24])
def test_long_merged_chains(n_qubits: int) -> None:
    """A ring of which one qubit is carried on becomes one op on it, multiplied out without wide products on the way."""
    circuit = Circuit(n_qubits)
    for qubit in range(n_qubits):
        circuit.ry(circuit.angle(), qubit)
        circuit.cx(qubit, (qubit + 1) % n_qubits)
    circuit.measure(0).reset(list(range(1, n_qubits)))
    plan = circuit.plan()
    assert plan.engine == "pauli"
    assert plan.costs[0].operations < 30 * n_qubits
    angles = torch.linspace(-1, 2, 2 * n_qubits, dtype=torch.float64).view(2, -1)
    probs, _ = qf.evolve(circuit, angles)
    sampled, _ = qf.evolve(circuit, angles, shots=100_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(probs, sampled, atol=5 * 0.5 / 100_000**0.5, rtol=0)
