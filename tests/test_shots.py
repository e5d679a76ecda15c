"""Sampled evaluations: whose random numbers are whose, in gradients, packed sequences and under torch's transforms."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import qrnn_fast as qf
import torch
from layers import circuit, inputs, layer
from problems import angles, loss
from sampling import Sampler
from torch import Tensor

C = circuit()
OVER_ANGLES = [qf.SPSA(samples=7, wrt="angles"), qf.FDSA(wrt="angles"), qf.ParameterShift()]
OVER_WEIGHTS = [qf.SPSA(samples=7), qf.SPSA(samples=7, per_sequence=True), qf.FDSA()]


def independent(estimator: object) -> object:
    """The estimator with numbers of their own for both ends of a difference."""
    return dataclasses.replace(estimator, common_random_numbers=False)


def flat(calls: list[list[tuple[int, int]]]) -> list[tuple[int, int]]:
    return list(itertools.chain.from_iterable(calls))


EVERY = [*OVER_ANGLES, *OVER_WEIGHTS, *(independent(e) for e in OVER_ANGLES[:2] + OVER_WEIGHTS)]


def sampled_gradient(estimator: object, backend: Sampler, seed: int = 1, n_rows: int = 3, n_steps: int = 2) -> Tensor:
    """The encoder's gradients by a loss that is not linear, in one vector."""
    generator = torch.Generator().manual_seed(seed)
    model = layer(gradient=estimator, backend=backend, generator=generator)
    value = model(inputs(n_steps, n_rows))[0].square().sum()
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))])


@pytest.mark.parametrize("estimator", EVERY, ids=str)
def test_the_memory_limit_changes_nothing(estimator: object) -> None:
    found, drawn, calls = [], [], []
    for limit in (2**30, 40_000, 1):
        backend = Sampler(shots=5)
        found.append(sampled_gradient(dataclasses.replace(estimator, memory_limit=limit), backend))
        calls.append(len(backend.drawn))
        drawn.append((backend.drawn[0], sorted(flat(backend.drawn[1:]))))
    assert calls[0] == 2
    assert calls[0] < calls[1] < calls[2]
    assert drawn[0] == drawn[1] == drawn[2]
    for other in found[1:]:
        # Another outcome of one shot would show in the first digits.
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("estimator", EVERY, ids=str)
def test_copies_share_numbers_within_a_pair_alone(estimator: object) -> None:
    backend = Sampler(shots=5)
    sampled_gradient(estimator, backend)
    forward, copies = backend.drawn
    assert len(set(forward)) == 3
    assert not set(forward) & set(copies)
    if getattr(estimator, "common_random_numbers", False):
        plus, minus = copies[: len(copies) // 2], copies[len(copies) // 2 :]
        assert plus == minus
        copies = plus
    assert len(set(copies)) == len(copies)


@pytest.mark.parametrize("estimator", EVERY, ids=str)
def test_every_update_draws_afresh(estimator: object) -> None:
    backend = Sampler(shots=5)
    torch.manual_seed(0)
    model = layer(gradient=estimator, backend=backend)
    updates = []
    for _ in range(3):
        value = model(inputs(2, 3))[0].square().sum()
        updates.append(torch.autograd.grad(value, model.encoder.weight)[0])
    assert not torch.equal(updates[0], updates[1])
    assert not torch.equal(updates[1], updates[2])
    seeds = [{seed for seed, _ in call} for call in backend.drawn]
    assert all(len(s) == 1 for s in seeds)
    assert len(set.union(*seeds)) == len(seeds) == 6


@pytest.mark.parametrize("wrt", ["angles", "weights"])
def test_common_random_numbers_cancel_shot_noise_and_keep_the_mean(wrt: str) -> None:
    """Finite differences have no directions: all that varies is the noise of the shots."""
    c, n = 0.02, 30
    exact = sampled_gradient(qf.FDSA(c=c, wrt=wrt), Sampler())
    variances = []
    for common in (True, False):
        estimator = qf.FDSA(c=c, wrt=wrt, common_random_numbers=common)
        found = torch.stack([sampled_gradient(estimator, Sampler(shots=300), seed) for seed in range(n)])
        # Six standard errors of the mean; the quadratic loss adds a bias of its frequencies' variance, O(1/shots).
        assert ((found.mean(0) - exact).abs() < 6 * (found.var(0) / n).sqrt() + 0.02 * exact.abs().max()).all()
        variances.append(found.var(0).sum())
    # Numbers of their own: the ends' variances p (1 - p) add up. Common ones: |p+ - p-|, of the order of c, is left.
    assert variances[0] < 0.2 * variances[1]


@pytest.mark.parametrize("estimator", OVER_ANGLES[1:], ids=str)
def test_ids_and_not_rows_decide(estimator: object) -> None:
    a, ids = angles(C, 4, 3), torch.tensor([7, 2, 2**31, 0])
    order = torch.tensor([2, 0, 3, 1])
    found = []
    for rows in (torch.arange(4), order):
        x = a[rows].requires_grad_()
        generator, backend = torch.Generator().manual_seed(5), Sampler(shots=9)
        # Ids that leave room for copies.
        small = ids[rows] % 100
        probs, _ = qf.evolve(C, x, gradient=estimator, backend=backend, generator=generator, sequence_ids=small)
        found.append((probs.detach(), torch.autograd.grad(loss(probs), x)[0]))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(second, first[order], rtol=0, atol=1e-12)
    alone, _ = qf.evolve(
        C, a[1], backend=Sampler(shots=9), generator=torch.Generator().manual_seed(5), sequence_ids=ids[1]
    )
    assert torch.equal(alone, found[0][0][1])
    rows, _ = qf.evolve(C, a, backend=Sampler(), shots=9, generator=torch.Generator().manual_seed(5))
    assert not torch.equal(rows, found[0][0])


@pytest.mark.parametrize("estimator", ["adjoint", *EVERY], ids=str)
def test_a_sequence_draws_the_same_however_it_is_packed(estimator: object) -> None:
    x, lengths = inputs(4, 5), torch.tensor([2, 4, 1, 4, 2])
    found, after = [], []
    with torch.set_grad_enabled(estimator != "adjoint"):  # which does not go with shots
        for packed in (True, False):
            generator = torch.Generator().manual_seed(5)
            model = layer(gradient=estimator, backend=Sampler(shots=9), generator=generator)
            output, _ = model(x, lengths=lengths) if packed else model(x)
            found.append(output.detach().masked_fill(torch.arange(4)[:, None, None] >= lengths[:, None], 0))
            after.append(generator.get_state())
    assert torch.equal(*found)
    assert torch.equal(*after)


@pytest.mark.parametrize("estimator", EVERY, ids=str)
def test_groups_of_a_packing_share_no_numbers(estimator: object) -> None:
    backend = Sampler(shots=5)
    model = layer(gradient=independent(estimator) if hasattr(estimator, "c") else estimator, backend=backend)
    model(inputs(4, 4), lengths=[2, 4, 3, 2])[0].square().sum().backward()
    drawn = flat(backend.drawn)
    assert len(backend.drawn) == 6
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("packed", [False, True], ids=["batch", "packed"])
@pytest.mark.parametrize("estimator", [*EVERY, "exact"], ids=str)
def test_parts_of_a_batch_draw_what_they_do_in_the_whole(estimator: object, packed: bool) -> None:
    """Shots and directions: with its numbers in the whole batch, each part gives its share of outputs and gradient."""
    shots = None if estimator == "exact" else 9
    estimator = qf.SPSA(wrt="angles") if estimator == "exact" else estimator
    x, lengths, numbers = inputs(4, 5), torch.tensor([2, 4, 1, 4, 2]), torch.arange(5)
    found = []
    for parts in ([numbers], [numbers[:2], numbers[2:2], numbers[2:]]):
        outputs, total = [], 0.0
        for ids in parts:
            if packed and len(ids) == 0:
                continue  # as in torch, nothing cannot be packed
            generator = torch.Generator().manual_seed(5)
            model = layer(gradient=estimator, backend=Sampler(shots=shots), generator=generator)
            output, _ = model(x[:, ids], lengths=lengths[ids] if packed else None, sequence_ids=ids)
            gradients = torch.autograd.grad(output.square().sum(), list(model.parameters()))
            outputs.append(output.detach())
            total = total + torch.cat([g.flatten() for g in gradients])
        found.append((torch.cat(outputs, 1), total))
    for whole, in_parts in zip(*found, strict=True):
        torch.testing.assert_close(in_parts, whole, rtol=0, atol=1e-12)


def test_ids_of_a_layer_are_checked_and_decide_alone() -> None:
    x, ids = inputs(4, 3), torch.tensor([7, 2, 9])
    model = layer(gradient="spsa", backend=Sampler(shots=9))

    def run(x: Tensor, ids: Tensor | None) -> Tensor:
        model.generator = torch.Generator().manual_seed(5)
        return model(x, sequence_ids=ids)[0]

    assert torch.equal(run(x[:, 1], ids[1]), run(x, ids)[:, 1])
    assert not torch.equal(run(x, ids), run(x, None))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        model(x, sequence_ids=ids[:2])
    with pytest.raises(TypeError, match="int64"):
        model(x, sequence_ids=[0, 1, 2])
    exact = layer()
    assert torch.equal(exact(x, sequence_ids=ids)[0], exact(x)[0])  # nothing is drawn


def test_exact_evaluations_are_handed_no_ids() -> None:
    class Strict(Sampler):
        def run(self, *arguments: object, sequence_ids: Tensor | None, **others: object):
            assert sequence_ids is None
            return super().run(*arguments, sequence_ids=sequence_ids, **others)

    for estimator in EVERY:
        model = layer(gradient=estimator, backend=Strict())
        model(inputs(3, 2), lengths=[3, 1])[0].sum().backward()
        model(inputs(3, 2))[0].sum().backward()


# ---- torch's transforms


def test_vmap_sets_sequences_apart() -> None:
    a, ids = angles(C, 2, 3, 2), torch.tensor([[4, 9, 1], [0, 8, 2]])
    for in_dims, given, expected in (
        ((0, None), ids[0], [4, 9, 1, 14, 19, 11]),
        ((0, 0), ids, [4, 9, 1, 0, 8, 2]),
    ):
        backend = Sampler(shots=9)

        def run(x: Tensor, i: Tensor, backend: Sampler = backend) -> Tensor:
            return qf.evolve(C, x, gradient="parameter-shift", backend=backend, sequence_ids=i)[0]

        x = a.clone().requires_grad_()
        probs = torch.vmap(run, in_dims=in_dims, randomness="different")(x, given)
        assert [i for _, i in backend.drawn[0]] == expected
        (gradient,) = torch.autograd.grad(loss(probs), x)
        assert gradient.shape == x.shape
        copies = flat(backend.drawn[1:])
        assert len(set(copies)) == len(copies)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*is deprecated:DeprecationWarning")
def test_compiled_calls_draw_what_eager_ones_do() -> None:
    backend, ids = Sampler(shots=9), torch.tensor([5, 3])

    def run(x: Tensor) -> Tensor:
        return qf.evolve(C, x, gradient="parameter-shift", backend=backend, sequence_ids=ids)[0]

    results = []
    for function in (run, torch.compile(run, fullgraph=True)):
        x = angles(C, 2, 2).requires_grad_()
        torch.manual_seed(3)
        backend.drawn.clear()
        probs = function(x)
        (gradient,) = torch.autograd.grad(loss(probs), x)
        assert [i for _, i in backend.drawn[0]] == [5, 3]
        results.append((probs.detach(), gradient))
    torch.testing.assert_close(*results)


# ---- what is refused


@pytest.mark.parametrize(
    ("kind", "match", "ids", "shots"),
    [
        (ValueError, "draws nothing", torch.tensor([0, 1]), None),
        (TypeError, "int64", torch.tensor([0, 1], dtype=torch.int32), 5),
        (TypeError, "int64", [0, 1], 5),
        (ValueError, r"shape \(2,\)", torch.tensor([0, 1, 2]), 5),
        (ValueError, "got -1 to 0", torch.tensor([0, -1]), 5),
        (ValueError, r"between 0 and 2\^32 - 1", torch.tensor([0, 2**32]), 5),
    ],
)
def test_bad_ids(kind: type[Exception], match: str, ids: object, shots: int | None) -> None:
    with pytest.raises(kind, match=match):
        qf.evolve(C, angles(C, 2, 2), backend=Sampler(), shots=shots, sequence_ids=ids)


def test_more_copies_than_ids_are_refused() -> None:
    a = angles(C, 1, 2).requires_grad_()
    ids = torch.tensor([2**28 - 1])
    probs, _ = qf.evolve(C, a, gradient="fdsa", backend=Sampler(), shots=5, sequence_ids=ids)
    with pytest.raises(ValueError, match=r"54 perturbed copies of sequences with ids below 268,435,456.*smaller"):
        probs.square().sum().backward()
    estimator = qf.SPSA(samples=16, wrt="angles")
    qf.evolve(C, a, gradient=estimator, backend=Sampler(), shots=5, sequence_ids=ids)[0].sum().backward()


@pytest.mark.parametrize("way", ["angles", "memory", "layer"])
def test_the_adjoint_refuses_shots_where_a_gradient_is_wanted(way: str) -> None:
    a = angles(C, 2, 2).requires_grad_(way == "angles")
    rho = torch.eye(4, dtype=torch.complex128).div(4).expand(2, -1, -1).clone().requires_grad_(way == "memory")
    model, x = layer(shots=20), inputs(2, 2)

    def run() -> Tensor:
        return model(x)[0] if way == "layer" else qf.evolve(C, a, rho, shots=20)[0]

    with pytest.raises(ValueError, match=r"got shots=20.*'parameter-shift', 'spsa' or 'fdsa'.*shots=None"):
        run()
    with torch.no_grad():
        probs = run()
    torch.testing.assert_close(probs * 20, (probs * 20).round())
    torch.testing.assert_close(probs.sum(-1), torch.ones(2, 2, dtype=torch.float64))
    assert not torch.equal(probs[0], probs[1])
