"""Seven mistakes of the study's code (Connerty and Stewart, 2025) that must not come back: one section for each."""

from __future__ import annotations

import dataclasses

import pytest
import qrnn_fast as qf
import torch
from qrnn_fast import cells
from torch import Tensor, nn

METHODS = ["adjoint", "parameter-shift", "spsa", "fdsa", qf.SPSA(wrt="angles"), qf.FDSA(wrt="angles")]
OVER_WEIGHTS = [qf.SPSA(samples=3), qf.SPSA(samples=3, per_sequence=True), qf.FDSA()]
OVER_ANGLES = [qf.SPSA(samples=3, wrt="angles"), qf.FDSA(wrt="angles")]


class Backend:
    """The native backend under another name, with a log of what it is to draw from, failing at a given call."""

    name = "logged"

    def __init__(self, shots: int | None = None, fails_at: int | None = None) -> None:
        self.shots, self.fails_at = shots, fails_at
        self.drawn: list[list[tuple[int, int]]] = []  # the (seed, id) of every sequence of every call

    def run(
        self,
        c: qf.Circuit,
        a: Tensor,
        memory: Tensor | None,
        *,
        shots: int | None,
        seed: int,
        sequence_ids: Tensor | None,
    ):
        ids = range(len(a)) if sequence_ids is None else sequence_ids.tolist()
        self.drawn.append([(seed, i) for i in ids])
        if len(self.drawn) - 1 == self.fails_at:
            raise RuntimeError("the simulator gave up")
        probs, final = qf.backends.Native().run(c, a, memory)
        return probs, final if self.shots is None else None


def layer(gradient: object = "adjoint", **settings: object) -> qf.QRNN:
    torch.manual_seed(0)
    return qf.QRNN(2, cells.crx_chain(n_qubits=4), gradient=gradient, dtype=torch.float64, batch_first=True, **settings)


def inputs(n_rows: int = 3) -> Tensor:
    return torch.randn(n_rows, 4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradient(model: nn.Module, x: Tensor) -> Tensor:
    """All of a model's gradients by the mean of the squared outputs, in one vector."""
    value = (model(x) if isinstance(model, nn.Sequential) else model(x)[0]).square().mean()
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))])


# 1. Directions drawn anew for every update and every sample, whatever seeds stand outside.


@pytest.mark.parametrize("seeded", [False, True])
def test_spsa_moves_in_as_many_dimensions_as_it_has_samples(seeded: bool) -> None:
    generator = torch.Generator().manual_seed(3) if seeded else None
    model = layer(qf.SPSA(samples=2), generator=generator)
    updates = torch.stack([gradient(model, inputs()) for _ in range(6)])
    # The same two directions at every update would give rank 2 at most.
    assert torch.linalg.matrix_rank(updates, rtol=1e-6) == 6
    signs = torch.stack([gradient(model, inputs()).sign() for _ in range(6)])
    assert len(signs.unique(dim=0)) == 6
    # With two different directions the elements have two magnitudes, with one they would have one.
    magnitudes = updates.abs()
    assert (magnitudes.amax(1) > 1.01 * magnitudes.amin(1)).all()


def test_spsa_over_angles_draws_for_every_row_and_update() -> None:
    model = layer(qf.SPSA(samples=1, wrt="angles"))
    x = inputs(1).expand(5, -1, -1)
    angles = model.encoder(x).detach().requires_grad_()
    rows = []
    for _ in range(3):
        probs, _ = qf.evolve(model.circuit, angles, gradient=model.gradient)
        rows.append(torch.autograd.grad(probs.square().sum(), angles)[0].flatten(1).sign())
    assert len(torch.cat(rows).unique(dim=0)) == 15


# 2. Random numbers of the simulator drawn anew for every sequence; common ones inside a plus/minus pair only.


@pytest.mark.parametrize("estimator", OVER_WEIGHTS + OVER_ANGLES, ids=str)
def test_no_two_sequences_share_numbers_but_the_ends_of_a_difference(estimator: object) -> None:
    backend = Backend(shots=100)
    model = layer(estimator, backend=backend)
    updates = []
    for _ in range(4):
        backend.drawn.clear()
        gradient(model, inputs())
        forward, copies = backend.drawn
        plus, minus = copies[: len(copies) // 2], copies[len(copies) // 2 :]
        assert plus == minus
        updates.append({*forward, *plus})
        assert len(updates[-1]) == len(forward) + len(plus)
    assert len(set.union(*updates)) == sum(len(u) for u in updates)


@pytest.mark.parametrize("estimator", OVER_WEIGHTS + OVER_ANGLES, ids=str)
def test_sequences_of_different_lengths_share_no_numbers(estimator: object) -> None:
    backend = Backend(shots=100)
    model = layer(estimator, backend=backend)
    output, _ = model(inputs(3), lengths=[2, 4, 3])
    assert len({pair for call in backend.drawn for pair in call}) == 3
    output.square().mean().backward()
    assert len(backend.drawn) == 6
    pairs = [pair for call in backend.drawn for pair in call]
    assert {pairs.count(pair) for pair in pairs[:3]} == {1}
    assert {pairs.count(pair) for pair in pairs[3:]} == {2}


# 3. Angles go by slot, never by the order of names (x_0, x_1, x_10, x_11, x_2, ...).


def test_more_than_ten_angles_keep_their_order_in_qiskit() -> None:
    circuit = cells.crx_chain(n_qubits=2)
    assert circuit.n_angles == 13
    angles = torch.linspace(-2, 3, 2 * 3 * 13, dtype=torch.float64).view(2, 3, 13)
    exact, _ = qf.evolve(circuit, angles)
    aer, _ = qf.evolve(circuit, angles, backend=qf.backends.Aer())
    torch.testing.assert_close(aer, exact, rtol=0, atol=1e-9)
    by_name = sorted(range(13), key=lambda i: f"x_{i}")
    assert (qf.evolve(circuit, angles[..., by_name])[0] - exact).abs().max() > 0.1


# 4. Gradients are returned to autograd: they accumulate, and earlier layers get theirs.


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_gradients_accumulate(method: object) -> None:
    model = layer(method)
    torch.manual_seed(2)
    first, second = gradient(model, inputs()), gradient(model, inputs(2))
    torch.manual_seed(2)
    for x in (inputs(), inputs(2)):
        model(x)[0].square().mean().backward()
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(found, first + second)
    assert found.abs().max() > 1e-3


@pytest.mark.parametrize("method", ["adjoint", "parameter-shift", *OVER_ANGLES], ids=str)
def test_earlier_layers_get_gradients(method: object) -> None:
    front = nn.Linear(2, 2, dtype=torch.float64)
    x = inputs().requires_grad_()
    layer(method)(front(x))[0].square().mean().backward()
    for tensor in (x, front.weight, front.bias):
        assert tensor.grad.abs().max() > 1e-4


# 5. The incoming gradient carries the loss's mean over the batch already.


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("wrt", ["weights", "angles"])
def test_the_batch_is_averaged_once(batch: int, wrt: str) -> None:
    exact = gradient(layer(), inputs(batch))
    for estimator, tolerance in ((qf.FDSA(c=1e-4, wrt=wrt), 1e-6), ("parameter-shift", 1e-10)):
        torch.testing.assert_close(gradient(layer(estimator), inputs(batch)), exact, rtol=tolerance, atol=1e-8)
    torch.manual_seed(3)
    found = gradient(layer(qf.SPSA(c=1e-3, samples=2000, wrt=wrt)), inputs(batch))
    ratio = (found @ exact) / (exact @ exact)  # 1 / batch if divided once more
    assert ratio == pytest.approx(1, abs=0.15)


# 6. Parameters are not touched: same bits, same storage, same version, also after a failure.


@pytest.mark.parametrize("fails_at", [None, 0, 1, 2])
@pytest.mark.parametrize("method", OVER_WEIGHTS + OVER_ANGLES, ids=str)
def test_parameters_keep_every_bit(method: object, fails_at: int | None) -> None:
    backend = Backend(fails_at=fails_at, shots=10)
    method = dataclasses.replace(method, memory_limit=1)  # a call for every pair
    encoder = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 27)).to(torch.float64)
    model = qf.QRNN(2, cells.crx_chain(n_qubits=4), encoder=encoder, gradient=method, backend=backend, batch_first=True)
    before = {name: (p.detach().clone(), p.data_ptr(), p._version) for name, p in model.named_parameters()}
    if fails_at is None:
        model(inputs())[0].square().mean().backward()
    else:
        with pytest.raises(RuntimeError, match="the simulator gave up"):
            model(inputs())[0].square().mean().backward()
    assert [name for name, _ in model.named_parameters()] == list(before)
    for name, p in model.named_parameters():
        value, address, version = before[name]
        assert torch.equal(p, value)
        assert (p.data_ptr(), p._version) == (address, version)
        assert (p.grad is None) == (fails_at is not None)
        assert isinstance(p, nn.Parameter)


# 7. An unknown method and a failed run raise; nothing returns zeros or empty results.


@pytest.mark.parametrize("call", [layer, lambda g: qf.evolve(cells.crx_chain(2), torch.zeros(1, 13), gradient=g)])
def test_unknown_methods_raise(call: object) -> None:
    for name in ("SPSA", "finite-difference", "", "autograd"):
        with pytest.raises(ValueError, match="'adjoint', 'parameter-shift', 'spsa', 'fdsa'"):
            call(name)


@pytest.mark.parametrize("method", METHODS[1:], ids=str)
@pytest.mark.parametrize("fails_at", [0, 1])
def test_failed_runs_raise(method: object, fails_at: int) -> None:
    model = layer(method, backend=Backend(fails_at=fails_at))
    with pytest.raises(RuntimeError, match="the simulator gave up"):
        gradient(model, inputs())


class Silent(Backend):
    """Answers with nothing, as an interrupted job might."""

    def run(self, c: qf.Circuit, a: Tensor, memory: Tensor | None, **_: object):
        return a.new_zeros(0, a.shape[1], 4), None


@pytest.mark.parametrize("method", METHODS[1:], ids=str)
def test_empty_results_raise(method: object) -> None:
    with pytest.raises(RuntimeError, match="'logged' returned probabilities of shape"):
        layer(method, backend=Silent(shots=10))(inputs())


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_no_gradient_is_zero(method: object) -> None:
    assert gradient(layer(method), inputs()).abs().max() > 1e-4
