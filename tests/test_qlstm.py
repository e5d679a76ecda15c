"""The quantum LSTM: its step drawn in Qiskit, its gradients, and the conventions of torch.nn.LSTM."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import qrnn_fast as qf
import torch
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

Array = NDArray[np.float64]


def layer(input_size: int = 2, hidden_size: int = 2, **settings: Any) -> qf.QLSTM:
    torch.manual_seed(0)
    return qf.QLSTM(input_size, hidden_size, **{"dtype": torch.float64, **settings})


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def in_qiskit(v: Array, weights: Array, n_read: int) -> Array:
    """Expectations of Z of the first qubits, for v (n,) and weights (depth, n, 3)."""
    n = len(v)
    qc = QuantumCircuit(n)
    for k in range(n):
        qc.h(k)
        qc.ry(np.arctan(v[k]), k)
        qc.rz(np.arctan(v[k] ** 2), k)
    for of_layer in weights:
        for offset in (1, 2):
            for k in range(n):
                if (k + offset) % n != k:
                    qc.cx(k, (k + offset) % n)
        for k, (alpha, beta, gamma) in enumerate(of_layer):
            qc.rz(alpha, k)
            qc.ry(beta, k)
            qc.rz(gamma, k)
    state = Statevector(qc)
    z = [SparsePauliOp.from_sparse_list([("Z", [k], 1.0)], n) for k in range(n_read)]
    return np.array([state.expectation_value(op).real for op in z])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("input_size", "hidden_size", "depth"), [(1, 1, 1), (2, 2, 2), (1, 3, 1)])
def test_steps_drawn_in_qiskit(input_size: int, hidden_size: int, depth: int) -> None:
    """Equations (4) and (5) of the paper, over three steps of two sequences."""
    model = layer(input_size, hidden_size, depth=depth)
    x, h0, c0 = inputs(3, 2, input_size), inputs(1, 2, hidden_size) / 2, inputs(1, 2, hidden_size)
    output, (h_n, c_n) = model(x, (h0, c0))
    gates, outs = model.gate_weights.detach().numpy(), model.output_weights.detach().numpy()
    for b in range(2):
        h, c = h0[0, b].numpy(), c0[0, b].numpy()
        for t in range(3):
            v = np.concatenate([h, x[t, b].numpy()])
            forget, update, new, out = (in_qiskit(v, weights, hidden_size) for weights in gates)
            c = sigmoid(forget) * c + sigmoid(update) * np.tanh(new)
            gated = sigmoid(out) * np.tanh(c)
            h, y = (in_qiskit(gated, weights, hidden_size) for weights in outs)
            np.testing.assert_allclose(output[t, b].detach(), y, atol=1e-12)
        np.testing.assert_allclose(h_n[0, b].detach(), h, atol=1e-12)
        np.testing.assert_allclose(c_n[0, b].detach(), c, atol=1e-12)


def test_gradients() -> None:
    """By weights, input and both states, against finite differences."""
    model = layer(1, 2)

    def run(gates: Tensor, outs: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        weights = {"gate_weights": gates, "output_weights": outs}
        output, (h_n, c_n) = torch.func.functional_call(model, weights, (x, (h, c)))
        return output, h_n, c_n

    arguments = [model.gate_weights, model.output_weights, inputs(2, 2, 1), inputs(1, 2, 2), inputs(1, 2, 2)]
    assert torch.autograd.gradcheck(run, [a.detach().requires_grad_() for a in arguments])


@pytest.mark.parametrize("gradient", ["parameter-shift", qf.FDSA(c=1e-4, wrt="angles")])
def test_other_methods_give_the_adjoints_gradients(gradient: Any) -> None:
    model, x = layer(), inputs(3, 2, 2)
    found = []
    for model.gradient in ("adjoint", gradient):
        output, (h_n, c_n) = model(x)
        value = output.square().sum() + (h_n * c_n).sum()
        found.append(torch.autograd.grad(value, list(model.parameters())))
    for exact, other in zip(*found, strict=True):
        torch.testing.assert_close(other, exact, atol=1e-7, rtol=0)


# The conventions of torch.nn.LSTM


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(5, 2), (5, 3, 2)])
def test_shapes_are_those_of_torch(shape: tuple[int, ...], batch_first: bool) -> None:
    x = inputs(*shape)
    ours, theirs = layer(2, 3, batch_first=batch_first), nn.LSTM(2, 3, batch_first=batch_first).double()
    for hx in (None, theirs(x)[1]):
        output, (h, c) = ours(x, hx)
        expected, (h_n, c_n) = theirs(x, hx)
        assert (output.shape, h.shape, c.shape) == (expected.shape, h_n.shape, c_n.shape)


def test_batches_and_pieces() -> None:
    """Sequences side by side are sequences one by one, in either layout, and a sequence cut in two goes on."""
    model, x = layer(), inputs(5, 3, 2)
    output, (h, c) = model(x)
    model.batch_first = True
    torch.testing.assert_close(model(x.transpose(0, 1))[0].transpose(0, 1), output, atol=1e-14, rtol=0)
    model.batch_first = False
    for b in range(3):
        alone, (h_alone, c_alone) = model(x[:, b])
        torch.testing.assert_close(alone, output[:, b], atol=1e-14, rtol=0)
        torch.testing.assert_close((h_alone, c_alone), (h[:, b], c[:, b]), atol=1e-14, rtol=0)
    first, state = model(x[:2])
    second, final = model(x[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), output, atol=1e-14, rtol=0)
    torch.testing.assert_close(final, (h, c), atol=1e-14, rtol=0)


def test_packed_sequences() -> None:
    """Each sequence runs over its own steps, from its own state, whatever the order they are packed in."""
    model, lengths = layer(), (2, 5, 3, 5)
    sequences = [inputs(length, 2) * (i + 1) for i, length in enumerate(lengths)]
    hx = inputs(1, 4, 2) / 2, inputs(1, 4, 2)
    packed, (h, c) = model(pack_sequence(sequences, enforce_sorted=False), hx)
    padded, told = pad_packed_sequence(packed)
    assert told.tolist() == list(lengths)
    for i, sequence in enumerate(sequences):
        output, (h_n, c_n) = model(sequence, (hx[0][:, i], hx[1][:, i]))
        torch.testing.assert_close(padded[: lengths[i], i], output, atol=1e-14, rtol=0)
        torch.testing.assert_close((h[:, i], c[:, i]), (h_n, c_n), atol=1e-14, rtol=0)


def test_an_empty_batch() -> None:
    output, (h, c) = layer()(inputs(4, 0, 2))
    assert (output.shape, h.shape, c.shape) == ((4, 0, 2), (1, 0, 2), (1, 0, 2))


def test_single_precision_and_copies() -> None:
    model, x = layer(), inputs(4, 3, 2)
    single = copy.deepcopy(model).float()
    output, (h, _) = single(x.float())
    assert output.dtype == h.dtype == torch.float32
    torch.testing.assert_close(output.double(), model(x)[0], atol=1e-5, rtol=0)
    before = model.gate_weights.detach().clone()
    model.reset_parameters()
    assert not torch.equal(model.gate_weights, before)


# Shots, noise and backends


def test_shots_are_drawn_from_the_generator() -> None:
    x = inputs(1, 500, 2)[:, :1].expand(-1, 500, -1)
    exact = layer()(x)[0][0, 0]

    def draw(seed: int) -> Tensor:
        sampled = layer(shots=50, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            result: Tensor = sampled(x)[0][0]
        return result

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    # What is drawn of the gates goes through curved functions: a small bias beside the standard error of the mean.
    assert (draw(0).mean(0) - exact).abs().max() < 4 / np.sqrt(50 * 500) + 0.01
    with pytest.raises(ValueError, match="adjoint"):
        layer(shots=50)(x)
    model = layer(shots=50, gradient=qf.SPSA(c=0.1, wrt="angles"))
    model(inputs(2, 2, 2))[0].sum().backward()
    assert model.gate_weights.grad is not None
    assert model.gate_weights.grad.abs().max() > 0


def test_noise_and_aer() -> None:
    """Depolarised circuits say less; Aer's exact expectations are the same."""
    x = inputs(2, 2, 2)
    noise = qf.NoiseModel().add(qf.noise.depolarizing(1.0), "rz")
    assert layer(noise=noise)(x)[0].abs().max() < 1e-12
    with torch.no_grad():
        on_aer = layer(backend=qf.backends.Aer())(x)[0]
    torch.testing.assert_close(on_aer, layer()(x)[0].detach(), atol=1e-9, rtol=0)
    assert "Aer" in repr(layer(backend=qf.backends.Aer(), noise=noise, batch_first=True))


# What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_size": 0}, "input_size must be at least 1, got 0"),
        ({"hidden_size": -1}, "hidden_size must be at least 1"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"depth": 1.0}, "depth must be an integer"),
        ({"gradient": "guess"}, "unknown gradient 'guess'"),
        ({"gradient": qf.SPSA(wrt="weights")}, "set wrt='angles'"),
        ({"shots": 0}, "shots must be at least 1"),
        ({"backend": "cray"}, "unknown backend"),
        ({"dtype": torch.float16}, r"dtype must be torch\.float32 or torch\.float64"),
    ],
)
def test_settings_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        qf.QLSTM(**{"input_size": 2, "hidden_size": 2, **settings})


@pytest.mark.parametrize(
    ("x", "hx", "message"),
    [
        (inputs(3, 2, 3), None, "the input must have 2 features"),
        (inputs(2), None, r"2 \(unbatched\) or 3 dimensions"),
        (inputs(3, 2, 2).float(), None, "the input is torch.float32, the weights are torch.float64"),
        ([[0.1, 0.2]], None, "must be a tensor or a PackedSequence, got list"),
        (inputs(0, 2, 2), None, "at least one step"),
        (inputs(3, 2, 2), inputs(1, 2, 2), r"hx must be a tuple \(h, c\)"),
        (inputs(3, 2, 2), (inputs(1, 2, 2), inputs(1, 3, 2)), r"c of hx must have the shape \(1, 2, 2\)"),
        (inputs(3, 2), (inputs(2), inputs(1, 2)), r"h of hx must have the shape \(1, 2\)"),
        (inputs(3, 2), (inputs(1, 2).float(), inputs(1, 2)), "h of hx must be torch.float64"),
    ],
)
def test_inputs_refused(x: Any, hx: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        layer()(x, hx)
