"""Estimators against the adjoint, against their own theory, and their independence of chunks."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import qrnn_fast as qf
import torch
from qrnn_fast import _core
from torch import Tensor

ROTATIONS = [op for op in _core.op_table() if op.n_angles]


class Recorder:
    """The native backend; keeps the angles of every call."""

    name = "recorder"

    def __init__(self) -> None:
        self.angles: list[Tensor] = []

    def run(self, c: qf.Circuit, a: Tensor, memory: Tensor | None, **_: object):
        self.angles.append(a.clone())
        return qf.backends.Native().run(c, a, memory)


def table_circuit() -> qf.Circuit:
    """Every gate with angles of the op table, twice, on three qubits; slots shared, scaled and moved."""
    c = qf.Circuit(3)
    slots = [c.angle() for _ in range(4)]
    n = 0
    for sweep in range(2):
        c.h(0).h(1).h(2)
        for i, op in enumerate(ROTATIONS):
            angles = [(1 - 0.3 * ((n + k) % 3)) * slots[(n + k) % 4] + 0.1 * k for k in range(op.n_angles)]
            c.append(op.name, [(i + sweep + k) % 3 for k in range(op.n_qubits)], angles)
            n += op.n_angles
    return c.rx(0.4, 0).measure([2, 0]).reset([2])


def one_use_circuit(*gates: str) -> qf.Circuit:
    """Each gate once, with a slot of its own for every angle."""
    ops = {op.name: op for op in ROTATIONS}
    c = qf.Circuit(3).h(0).h(1).h(2)
    for i, name in enumerate(gates):
        op = ops[name]
        c.append(name, [(i + k) % 3 for k in range(op.n_qubits)], [c.angle() for _ in range(op.n_angles)])
        c.ry(0.7, i % 3)
    return c.cx(0, 2).measure([2]).reset([2])


def point(c: qf.Circuit, n_rows: int, n_steps: int) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(n_rows, n_steps, c.n_angles, generator=generator, dtype=torch.float64)


def gradient(c: qf.Circuit, a: Tensor, estimator: object, *, use_memory: bool = True, **settings: object) -> Tensor:
    """Gradient of a loss that is quadratic in the probabilities and, if used, linear in the final memory."""
    x = a.clone().requires_grad_()
    probs, memory = qf.evolve(c, x, gradient=estimator, **settings)
    weights = torch.linspace(-1, 2, probs[0].numel(), dtype=a.dtype).view(probs[0].shape)
    value = (probs.square() * weights).sum()
    if use_memory:
        value = value + memory[:, 0].real.sum() + memory[:, 0, -1].imag.sum()
    return torch.autograd.grad(value, x)[0]


def test_parameter_shift_is_the_adjoint_for_every_rotation_of_the_op_table() -> None:
    c = table_circuit()
    a = point(c, 2, 3)
    exact = gradient(c, a, "adjoint")
    assert exact.abs().max() > 0.1
    torch.testing.assert_close(gradient(c, a, "parameter-shift"), exact, rtol=0, atol=1e-8)


def test_parameter_shift_with_an_initial_memory_and_float32() -> None:
    c = table_circuit()
    a = point(c, 2, 2)
    rho = torch.diag_embed(torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 2)).to(torch.complex64)
    exact = gradient(c, a, qf.Adjoint(), memory=rho.to(torch.complex128))
    single = gradient(c, a.float(), qf.ParameterShift(), memory=rho)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-4)


def test_circuits_with_unused_slots_or_none_at_all() -> None:
    c = qf.Circuit(2, 3)
    c.h(0).cx(0, 1).measure([1]).reset([1])
    for estimator in ("adjoint", "parameter-shift", "spsa", "fdsa"):
        assert torch.equal(gradient(c, point(c, 1, 2), estimator), torch.zeros(1, 2, 3, dtype=torch.float64))
    c = qf.Circuit(1).h(0).measure([0]).reset([0])
    for estimator in ("adjoint", "parameter-shift", "fdsa"):
        assert gradient(c, torch.zeros(1, 2, 0, dtype=torch.float64), estimator).shape == (1, 2, 0)


@pytest.mark.parametrize("c", [0.1, 0.5])
def test_finite_differences_of_two_term_angles_are_exact_up_to_a_known_factor(c: float) -> None:
    circuit = one_use_circuit("rx", "ry", "rz", "u", "p", "rxx", "ryy", "rzz", "cp")
    a = point(circuit, 2, 3)
    exact = gradient(circuit, a, "adjoint")
    expected = exact * math.sin(c) / c
    assert (exact - expected).abs().max() > 1e-4
    found = gradient(circuit, a, qf.FDSA(c=c, wrt="angles"))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_finite_differences_of_four_term_angles_mix_two_known_factors() -> None:
    circuit = one_use_circuit("crx", "cry", "crz", "crx")
    a = point(circuit, 2, 2)
    exact = gradient(circuit, a, "adjoint")
    # Outputs have the frequencies 1/2 and 1 in each angle; a step of pi leaves the first only, times 2 / pi.
    half = gradient(circuit, a, qf.FDSA(c=math.pi, wrt="angles")) * math.pi / 2
    assert half.abs().max() > 1e-3
    assert (exact - half).abs().max() > 1e-3
    for c in (0.1, 1.0):
        expected = half * math.sin(c / 2) / (c / 2) + (exact - half) * math.sin(c) / c
        found = gradient(circuit, a, qf.FDSA(c=c, wrt="angles"))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_finite_differences_of_shared_angles_stay_within_their_bias() -> None:
    c = table_circuit()
    a = point(c, 1, 2)
    exact = gradient(c, a, "adjoint")
    errors = [(gradient(c, a, qf.FDSA(c=step, wrt="angles")) - exact).abs().max() for step in (0.08, 0.04, 0.02)]
    assert errors[0] < 0.1
    for larger, smaller in itertools.pairwise(errors):
        assert smaller / larger == pytest.approx(0.25, rel=0.05)  # the bias goes with c^2


@pytest.mark.parametrize("samples", [1, 4])
def test_spsa_is_unbiased_with_the_spread_that_theory_gives(samples: int) -> None:
    circuit = one_use_circuit("rx", "ry", "crx", "u")
    a = point(circuit, 1, 2)
    exact = gradient(circuit, a, "adjoint")
    n = 20_000
    torch.manual_seed(11)
    # Rows draw directions of their own: many estimates in one call.
    estimates = gradient(circuit, a.expand(n, -1, -1), qf.SPSA(c=1e-3, samples=samples, wrt="angles"))
    # Var = (sum of the other coordinates' squares) / samples, plus O(c^2)
    variance = (exact.square().sum() - exact.square()) / samples
    error = (estimates.mean(0) - exact[0]).abs() / (variance[0] / n).sqrt()
    assert error.max() < 4.5
    torch.testing.assert_close(estimates.var(0), variance[0], rtol=0.1, atol=0)


@pytest.mark.parametrize(
    "estimator", [qf.SPSA(samples=7, wrt="angles"), qf.FDSA(wrt="angles"), qf.ParameterShift()], ids=lambda e: e.method
)
def test_chunks_change_neither_directions_nor_results(estimator: object) -> None:
    circuit = table_circuit()
    a = point(circuit, 3, 2)
    found, calls, points = [], [], []
    for limit in (2**30, 12_000, 1):
        recorder = Recorder()
        torch.manual_seed(1)
        found.append(gradient(circuit, a, dataclasses.replace(estimator, memory_limit=limit), backend=recorder))
        chunks = recorder.angles[1:]  # the first is the forward pass
        calls.append(len(chunks))
        # Within a call plus copies stand before minus copies; sorted, all calls have the same.
        points.append(sorted(tuple(row.tolist()) for row in torch.cat(chunks).flatten(1)))
    assert calls[0] == 1
    assert calls[0] < calls[1] < calls[2]
    assert points[0] == points[1] == points[2]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-12)


def test_copies_stay_within_the_memory_limit() -> None:
    circuit = table_circuit()
    a = point(circuit, 4, 10)
    for estimator in (qf.FDSA(wrt="angles"), qf.ParameterShift()):
        recorder, limit = Recorder(), 400_000
        gradient(circuit, a, dataclasses.replace(estimator, memory_limit=limit), backend=recorder)
        assert len(recorder.angles) > 2
        assert max(x.nbytes for x in recorder.angles) <= limit


def settings() -> Iterator[tuple[type, dict[str, object], type[Exception], str]]:
    for kind in (qf.SPSA, qf.FDSA):
        yield kind, {"c": 0}, ValueError, "positive"
        yield kind, {"c": float("nan")}, ValueError, "positive"
        yield kind, {"c": "0.1"}, TypeError, "number"
        yield kind, {"wrt": "parameters"}, ValueError, "'weights' or 'angles'"
        yield kind, {"memory_limit": 0}, ValueError, "at least 1"
        yield kind, {"common_random_numbers": 1}, TypeError, "True or False"
        yield kind, {"over_ranks": "yes"}, TypeError, "True or False"
    yield qf.SPSA, {"samples": 0}, ValueError, "at least 1"
    yield qf.SPSA, {"samples": 2.0}, TypeError, "integer"
    yield qf.SPSA, {"per_sequence": 1}, TypeError, "True or False"
    yield qf.SPSA, {"per_sequence": True, "wrt": "angles"}, ValueError, "wrt='weights'"
    yield qf.FDSA, {"per_sequence": True}, TypeError, "per_sequence"
    yield qf.ParameterShift, {"memory_limit": 1.5}, TypeError, "integer"


@pytest.mark.parametrize(("kind", "arguments", "error", "match"), list(settings()))
def test_bad_settings(kind: type, arguments: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        kind(**arguments)


@pytest.mark.parametrize(
    "estimator",
    [
        qf.Adjoint(),
        qf.ParameterShift(),
        qf.SPSA(c=0.3, samples=5, wrt="angles", common_random_numbers=False),
        qf.SPSA(per_sequence=True),
        qf.FDSA(c=np.float32(0.07)),
    ],
)
def test_the_canonical_string_gives_the_estimator_back(estimator: object) -> None:
    from qrnn_fast.estimators import parse

    assert parse(estimator.text) == estimator
    assert dataclasses.replace(estimator) == estimator


@pytest.mark.parametrize(
    "estimator",
    [
        qf.SPSA(wrt="angles", over_ranks=True),
        qf.FDSA(wrt="angles", over_ranks=True),
        qf.ParameterShift(over_ranks=True),
    ],
    ids=lambda e: e.method,
)
def test_copies_over_ranks_need_a_process_group(estimator: object) -> None:
    circuit = table_circuit()
    with pytest.raises(RuntimeError, match="there is none; start the program with torchrun"):
        gradient(circuit, point(circuit, 1, 2), estimator)


@pytest.mark.parametrize("estimator", ["parameter-shift", qf.FDSA(c=1e-4, wrt="angles")])
def test_a_gradient_by_the_memory_that_comes_conjugated(estimator: object) -> None:
    """Torch hands over conjugates as views."""
    c = one_use_circuit("rx", "rxx", "crz")
    a, weights = point(c, 2, 2), torch.randn(1, 2 ** len(c.memory), dtype=torch.complex128)

    def found(estimator: object) -> Tensor:
        x = a.clone().requires_grad_()
        _, memory = qf.evolve(c, x, gradient=estimator)
        return torch.autograd.grad((memory.conj() * weights).real.sum(), x)[0]

    torch.testing.assert_close(found(estimator), found("adjoint"), rtol=0, atol=1e-6)
