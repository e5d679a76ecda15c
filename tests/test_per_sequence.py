"""SPSA over weights with directions of their own for every sequence of the batch."""

from __future__ import annotations

import pytest
import qrnn_fast as qf
import torch
from layers import circuit, inputs, layer, memory, parameter_gradients, value_of
from sampling import Sampler
from torch import Tensor, nn

STEPS, ROWS = 3, 4


def flat(gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])


def gradients_by_sequence(x: Tensor) -> Tensor:
    """Exact ones (B, P): their sum is the gradient of the batch."""
    model = layer()
    return torch.stack([flat(parameter_gradients(model, value_of(*model(x[:, i : i + 1])))) for i in range(x.shape[1])])


def test_the_mean_is_the_exact_gradient_and_the_variance_adds_up_over_the_sequences() -> None:
    # A sequence six times, whose gradients agree, and one that has nothing to do with it.
    x, n = torch.cat([inputs(STEPS, 1).expand(-1, 6, -1), inputs(STEPS, 2)[:, 1:]], 1), 4000
    exact = gradients_by_sequence(x)
    variances = []
    for per_sequence in (False, True):
        model = layer(gradient=qf.SPSA(c=1e-3, samples=n, per_sequence=per_sequence))
        torch.manual_seed(8)
        error = flat(parameter_gradients(model, value_of(*model(x)))) - exact.sum(0)
        # Directions belong to the sum of the sequences, or to each of them.
        gradients = exact if per_sequence else exact.sum(0, keepdim=True)
        # The sum of the other coordinates' squares, plus O(c^2)
        variance = (gradients.square().sum(1, keepdim=True) - gradients.square()).sum(0) / n
        assert (error.abs() / variance.sqrt()).max() < 4.5
        assert error.square().sum().item() == pytest.approx(
            variance.sum().item(), rel=0.4
        )  # of 108 coordinates: three deviations
        variances.append(error.square().sum())
    assert variances[1] < variances[0] / 4


@pytest.mark.parametrize("shots", [None, 20])
def test_of_a_single_sequence_it_is_the_same(shots: int | None) -> None:
    found = []
    for per_sequence in (False, True):
        model = layer(gradient=qf.SPSA(samples=3, per_sequence=per_sequence), backend=Sampler(shots=shots))
        torch.manual_seed(1)
        found.append([flat(parameter_gradients(model, model(x)[0].square().sum())) for x in (X, X[:, 0])])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


X = inputs(STEPS, 1)


class Gain(nn.Module):
    """An encoder with one trainable number, so that a single direction of either sign gives the finite difference."""

    def __init__(self, *, dropout: float = 0.0, norm: bool = False, over_time: bool = False) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.8))
        self.first = nn.Conv1d(3, 5, 2, padding=1) if over_time else nn.Linear(3, 5)
        self.norm = nn.BatchNorm1d(5) if norm else None
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(5, 27)
        self.requires_grad_(False).gain.requires_grad_()
        self.to(torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x.mT).mT[..., :-1, :] if isinstance(self.first, nn.Conv1d) else self.first(x)
        if self.norm is not None:
            y = self.norm(y.reshape(-1, 5)).view(y.shape)
        return self.last(self.dropout((self.gain * y).sin()))


ENCODERS = {
    "each by itself": {},
    "convolution over the steps": {"over_time": True},
    "dropout": {"dropout": 0.4},
    "batch norm": {"norm": True},
    "both": {"dropout": 0.4, "norm": True},
}
CASES = [
    *((kind, way, None, True) for kind in ENCODERS for way in ("batch", "memory")),
    *((kind, way, None, True) for kind in ("each by itself", "both") for way in ("lengths", "chunks")),
    *((kind, way, 20, True) for kind in ("each by itself", "both") for way in ("batch", "lengths")),
    ("both", "batch", None, False),
]


@pytest.mark.parametrize(("kind", "way", "shots", "training"), CASES)
def test_sequences_meet_their_own_weights(kind: str, way: str, shots: int | None, training: bool) -> None:
    x, rho = inputs(STEPS, ROWS), memory(ROWS) if way == "memory" else None
    samples, limit = 3 if shots is None else 1, 1 if way == "chunks" else 2**28
    found = []
    for estimator in (
        qf.FDSA(c=0.3),
        qf.SPSA(c=0.3, samples=samples, per_sequence=True, memory_limit=limit),  # with shots: the numbers of one pair
    ):
        torch.manual_seed(2)
        model = qf.QRNN(
            3,
            circuit(),
            encoder=Gain(**ENCODERS[kind]),
            gradient=estimator,
            backend=Sampler(shots=shots),
            generator=torch.Generator().manual_seed(4),
        ).train(training)
        torch.manual_seed(5)
        output, h_n = model(x, rho, lengths=[2, 3, 1, 3] if way == "lengths" else None)
        state, buffers = torch.get_rng_state(), [b.clone() for b in model.buffers()]
        found.append(parameter_gradients(model, output.square().sum() if h_n is None else value_of(output, h_n))[0])
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(a, b) for a, b in zip(model.buffers(), buffers, strict=True))
    assert found[0].abs() > 1e-3
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_encoders_that_map_sequences_by_themselves_are_run_on_single_ones() -> None:
    class Seen(Gain):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape))
            return super().forward(x)

    for dropout in (0.0, 0.4):
        seen: list[tuple[int, ...]] = []
        model = qf.QRNN(3, circuit(), encoder=Seen(dropout=dropout), gradient=qf.SPSA(per_sequence=True))
        model(inputs(STEPS, ROWS))[0].sum().backward()
        batch, alone = (ROWS, STEPS), (1, STEPS)
        expected = [batch, alone, batch if dropout else alone]
        assert [shape[:2] for shape in seen] == expected
