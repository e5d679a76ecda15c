"""Channels and readout errors in circuits: the engine against the literal Kraus sums of the reference."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import qrnn_fast as qf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import density
from qrnn_fast import Circuit
from reference import evolve_reference
from strategies import DAMPING, noisy_circuits
from torch import Tensor

PAULI = qf.backends.Native(engine="pauli")


def problem(circuit: Circuit, seed: int, batch: int = 2, steps: int = 3) -> tuple[Tensor, Tensor]:
    """Angles and a random memory."""
    generator = torch.Generator().manual_seed(seed)
    angles = 3 * torch.randn(batch, steps, circuit.n_angles, dtype=torch.float64, generator=generator)
    dim = 2 ** len(circuit.memory)
    return angles, density(torch.randn(batch, dim, dim, dtype=torch.complex128, generator=generator))


@given(circuit=noisy_circuits(), seed=st.integers(0, 2**31), with_memory=st.booleans())
@settings(max_examples=80)
def test_random_noisy_circuits(circuit: Circuit, seed: int, with_memory: bool) -> None:
    angles, memory = problem(circuit, seed)
    initial = memory if with_memory else None
    probs, final = qf.evolve(circuit, angles, initial, backend=PAULI)
    expected, expected_final = evolve_reference(circuit, angles, initial)
    torch.testing.assert_close(probs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(final, expected_final, rtol=0, atol=1e-12)


@given(circuit=noisy_circuits(max_ops=8), seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_adjoint_of_random_noisy_circuits(circuit: Circuit, seed: int) -> None:
    """Against autograd through the reference, by angles and by the initial memory."""
    angles, memory = problem(circuit, seed, batch=1, steps=2)
    generator = torch.Generator().manual_seed(seed)
    gradients = []
    for function in (qf.evolve, evolve_reference):
        a, m = angles.clone().requires_grad_(), memory.clone().requires_grad_()
        probs, final = function(circuit, a, m)
        generator.manual_seed(seed)
        weights = torch.randn(probs.shape, dtype=probs.dtype, generator=generator)
        pairs = torch.view_as_real(final)
        value = (weights * probs).sum() + (pairs * torch.linspace(-1, 2, pairs.numel()).view(pairs.shape)).sum()
        gradients.append(torch.autograd.grad(value, (a, m), materialize_grads=True))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def small() -> Circuit:
    """Amplitude damping between entangling gates, noise on a readout qubit's way, and a joint readout error."""
    c = Circuit(4, 4)
    for q in range(4):
        c.rx(qf.Angle(q), q).channel(DAMPING, q)
    c.crx(qf.Angle(0), 0, 1).channel(qf.noise.depolarizing(0.1, 2), [0, 1]).cz(1, 2).crx(0.7, 2, 3)
    c.channel(DAMPING, 3).ry(qf.Angle(1), 2).measure([1, 3]).reset([1, 3])
    return c.readout_error(np.random.default_rng(0).dirichlet(np.ones(4), size=4).T, [3, 1])


def test_adjoint_against_differences() -> None:
    circuit = small()
    angles, _ = problem(circuit, 0)
    gradients = []
    for gradient in ("adjoint", "parameter-shift", qf.FDSA(c=1e-4, wrt="angles")):
        a = angles.clone().requires_grad_()
        probs, _ = qf.evolve(circuit, a, gradient=gradient)
        gradients.append(torch.autograd.grad((probs**2).sum(), a)[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=0, atol=1e-7)


def test_a_sequence_in_two_pieces_and_in_float32() -> None:
    circuit = small()
    angles, memory = problem(circuit, 1, steps=7)
    whole, final = qf.evolve(circuit, angles, memory)
    first, carried = qf.evolve(circuit, angles[:, :3], memory)
    second, last = qf.evolve(circuit, angles[:, 3:], carried)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(last, final, rtol=0, atol=1e-14)
    torch.testing.assert_close(whole.sum(-1), torch.ones_like(whole[..., 0]), rtol=0, atol=1e-14)
    single, _ = qf.evolve(circuit, angles.float(), memory.to(torch.complex64))
    torch.testing.assert_close(single, whole.float(), rtol=0, atol=1e-5)


def test_the_trace_does_not_drift() -> None:
    """Thousands of steps of damping and mixing leave probabilities and memory normalised to rounding."""
    circuit = small()
    angles, _ = problem(circuit, 2, batch=1, steps=3000)
    probs, final = qf.evolve(circuit, angles)
    torch.testing.assert_close(probs[0, -1].sum(), torch.tensor(1.0, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(final[0].trace().real, torch.tensor(1.0, dtype=torch.float64), rtol=0, atol=1e-14)


@given(circuit=noisy_circuits())
def test_written_down_and_read_again(circuit: Circuit) -> None:
    """Strings are cache keys: reading one and writing it again must not move a digit."""
    for again in (
        Circuit.from_string(circuit.to_string()),
        pickle.loads(pickle.dumps(circuit)),
        copy.deepcopy(circuit),
    ):
        assert again.to_string() == circuit.to_string()
        assert again.operations == circuit.operations
        assert again.readout_errors == circuit.readout_errors


def test_the_string_holds_each_channel_once() -> None:
    """And the order in which equal channels were made does not show."""
    c = Circuit(2)
    kraus = qf.noise.depolarizing(0.3, 2)
    once = len(c.channel(kraus, [0, 1]).to_string())
    for _ in range(9):
        c.channel(kraus.copy(), [1, 0])
    assert len(c.to_string()) < once + 9 * 30


def test_inputs_of_every_kind() -> None:
    texts = set()
    for make in (list, tuple, np.asarray, torch.from_numpy):
        matrices: Any = make(DAMPING)
        texts.add(Circuit(1).channel(matrices, 0).measure(0).readout_error((0.1, 0.2), 0).to_string())
    texts.add(Circuit(1).channel(DAMPING, [0]).measure(0).readout_error([[0.9, 0.2], [0.1, 0.8]], [0]).to_string())
    assert len(texts) == 1


def test_engines() -> None:
    circuit = small()
    assert [cost.engine for cost in circuit.plan().costs] == ["pauli"]
    with pytest.raises(ValueError, match="use engine 'auto' or 'pauli'"):
        qf.evolve(circuit, torch.zeros(1, 4), backend=qf.backends.Native(engine="factor"))
    # Where two engines are possible but for the noise, the same holds.
    ring = qf.cells.echo_state(8, 3, generator=torch.Generator().manual_seed(0))
    assert ring.plan().engine == "factor"
    assert ring.channel(DAMPING, 0).plan().engine == "pauli"


EYE = np.eye(2)[None]
REFUSED: list[tuple[Any, str]] = [
    (lambda c: c.channel(EYE[0], 0), r"shape \(J, 2, 2\) or \(J, 4, 4\)"),
    (lambda c: c.channel(np.eye(3)[None], 0), "2 x 2 or all 4 x 4"),
    (lambda c: c.channel(EYE, [0, 1]), "acts on 1 qubit, got 2"),
    (lambda c: c.channel(np.eye(4)[None], 0), "acts on 2 qubits, got 1"),
    (lambda c: c.channel(np.eye(4)[None], [1, 1]), "named twice"),
    (lambda c: c.channel(EYE, 3), "does not exist"),
    (lambda c: c.channel(EYE * 0.99, 0), "must satisfy"),
    (lambda c: c.channel(EYE * float("nan"), 0), "must satisfy"),
    (lambda c: c.channel(np.repeat(EYE, 17, 0) / 17**0.5, 0), "1 to 16 Kraus operators, got 17"),
    (lambda c: c.readout_error((0.1, 0.1), 0), "qubit 0 is not measured"),
    (lambda c: c.readout_error((0.1, 1.1), 1), "holds probabilities"),
    (lambda c: c.readout_error([[0.9, 0.1], [0.2, 0.8]], 1), "columns of a confusion matrix"),
    (lambda c: c.readout_error((0.1, 0.1), [1, 2]), "4|16 elements"),
    (lambda c: c.readout_error((0.1, 0.1), 1).readout_error((0.1, 0.1), 1), "already"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Any, message: str) -> None:
    circuit = Circuit(3).measure([1, 2])
    with pytest.raises(ValueError, match=message):
        call(circuit)


def test_compiled() -> None:
    """The noisy circuit is part of a compiled graph, gradient included, and made anew where the model changes."""
    circuit = qf.cells.crx_chain(2)
    noise = qf.NoiseModel().add(qf.noise.amplitude_damping(0.1), "rx").add_readout_error((0.1, 0.2))

    def loss(a: Tensor) -> Tensor:
        probs, _ = qf.evolve(circuit, a, noise=noise)
        return (probs**2).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    angles = torch.randn(2, 3, circuit.n_angles, generator=torch.Generator().manual_seed(0)).requires_grad_()
    values = []
    for _ in range(2):
        values.append(compiled(angles))
        eager = loss(angles)
        assert torch.equal(values[-1], eager)
        assert torch.equal(torch.autograd.grad(values[-1], angles)[0], torch.autograd.grad(eager, angles)[0])
        noise.add(qf.noise.bit_flip(0.1), "crx")
    assert values[0] != values[1]
