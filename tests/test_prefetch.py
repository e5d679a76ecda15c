"""One call of the backend for a forward pass and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from qrnn_fast import cells
from torch import Tensor, nn


class Queue:
    """A backend that counts its calls and their sequences, and answers with exact probabilities as its frequencies."""

    name = "queue"
    shots = 100

    def __init__(self, one_call_per_update: bool = True) -> None:
        self.one_call_per_update = one_call_per_update
        self.calls: list[int] = []
        self.native = qf.backends.Native()

    def run(self, circuit: qf.Circuit, angles: Tensor, memory: Tensor | None, **_: Any) -> tuple[Tensor, None]:
        assert memory is None
        self.calls.append(len(angles))
        return self.native.run(circuit, angles, None)[0], None


GRADIENTS = [
    (qf.SPSA(samples=2), 5),
    (qf.SPSA(samples=3, memory_limit=1), 7),
    (qf.SPSA(samples=2, per_sequence=True), 5),
    (qf.FDSA(), 1 + 2 * 13),
    (qf.SPSA(samples=2, wrt="angles"), 5),
    (qf.FDSA(wrt="angles"), 1 + 2 * 3 * 13),
    ("parameter-shift", 1 + 3 * (12 * 2 + 4)),
]


def linear() -> nn.Module:
    return nn.Linear(1, 13)


def update(
    backend: Queue,
    gradient: Any,
    make_encoder: Callable[[], nn.Module] = linear,
    circuit: qf.Circuit = cells.crx_chain(2),  # noqa: B008  never changed
) -> list[Tensor]:
    """The gradient by the encoder's parameters, from the same weights and random numbers each time."""
    torch.manual_seed(1)
    encoder = make_encoder()
    if isinstance(gradient, qf.FDSA) and gradient.wrt == "weights":
        encoder.requires_grad_(False).bias.requires_grad_()  # type: ignore[operator,union-attr]
    model = qf.QRNN(1, circuit, encoder=encoder, gradient=gradient, backend=backend).double()
    output, memory = model(torch.linspace(-1, 1, 6, dtype=torch.float64).view(3, 2, 1))
    assert memory is None
    output[1:].square().sum().backward()
    return [p.grad for p in encoder.parameters() if p.grad is not None]


@pytest.mark.parametrize(("gradient", "copies"), GRADIENTS, ids=lambda v: str(v))
def test_one_call(gradient: Any, copies: int) -> None:
    ahead, plain = Queue(), Queue(one_call_per_update=False)
    ours, theirs = update(ahead, gradient), update(plain, gradient)
    assert len(ahead.calls) == 1
    assert len(plain.calls) > 1
    assert ahead.calls == [sum(plain.calls)] == [2 * copies]
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_parameter_shift_where_an_angle_serves_two_gates() -> None:
    """It shifts occurrences, by a circuit in which each has a slot: this one has calls of its own."""
    ahead, plain = Queue(), Queue(one_call_per_update=False)
    circuit = cells.crx_chain(2, repeats=2)
    torch.testing.assert_close(*(update(queue, "parameter-shift", circuit=circuit) for queue in (ahead, plain)))
    assert ahead.calls == plain.calls


@pytest.mark.parametrize("gradient", ["spsa", qf.SPSA(per_sequence=True)], ids=str)
def test_dropout_sees_the_same_masks(gradient: Any) -> None:
    def encoder() -> nn.Module:
        return nn.Sequential(nn.Linear(1, 13), nn.Dropout(0.5))

    ahead, plain = Queue(), Queue(one_call_per_update=False)
    torch.testing.assert_close(update(ahead, gradient, encoder), update(plain, gradient, encoder))
    assert len(ahead.calls) == 1


def test_batch_norm_is_updated_once() -> None:
    norms = []

    def encoder() -> nn.Module:
        norms.append(nn.BatchNorm1d(13))
        return nn.Sequential(nn.Linear(1, 13), nn.Flatten(0, 1), norms[-1], nn.Unflatten(0, (2, 3)))

    for ahead in (True, False):
        update(Queue(ahead), "spsa", encoder)
    torch.testing.assert_close(norms[0].running_mean, norms[1].running_mean)
    assert norms[0].num_batches_tracked == 1


def test_nothing_runs_ahead_without_a_gradient() -> None:
    backend = Queue()
    model = qf.QRNN(1, cells.crx_chain(2), gradient="spsa", backend=backend)
    with torch.no_grad():
        model(torch.zeros(3, 2, 1))
    assert backend.calls == [2]


def test_two_backward_passes_of_one_forward_pass() -> None:
    backend = Queue()
    angles = torch.rand(1, 2, 13, dtype=torch.float64, requires_grad=True)
    probs, _ = qf.evolve(cells.crx_chain(2), angles, gradient="spsa", backend=backend)
    first, second = (torch.autograd.grad(probs[0, 1, 0], angles, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert len(backend.calls) == 1


def test_packed_sequences_of_two_lengths() -> None:
    """Two lengths cannot be one call: each pass has its own ones."""
    backend, plain = Queue(), Queue(one_call_per_update=False)
    for queue in (backend, plain):
        torch.manual_seed(0)
        model = qf.QRNN(1, cells.crx_chain(2), gradient="spsa", backend=queue)
        model(torch.rand(3, 2, 1), lengths=[3, 2])[0].sum().backward()
    assert backend.calls == plain.calls
