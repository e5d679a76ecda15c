"""evolve under torch: opcheck, compile, vmap, second derivatives, torch.func."""

from __future__ import annotations

import itertools

import pytest
import qrnn_fast as qf
import torch
from problems import Flipped, angles, circuit, density, factor
from torch import Tensor
from torch._subclasses import FakeTensorMode

TORCH_WARNS_OF_ITSELF = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*is deprecated:DeprecationWarning")


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("needs_grad", [False, True])
def test_opcheck(with_memory: bool, needs_grad: bool) -> None:
    from qrnn_fast.estimators import resolve

    c = circuit(2)
    a = angles(c, 2, 3).requires_grad_(needs_grad)
    memory = torch.view_as_real(density(factor(c, 2))).requires_grad_(needs_grad) if with_memory else None
    problem = f"None\n{resolve('adjoint', 'angles').text}\nnative\n{c.to_string()}"
    torch.library.opcheck(torch.ops.qrnn_fast.evolve.default, (a, memory, None, None, problem))
    grads = (torch.randn(2, 3, 2, dtype=torch.float64), torch.randn(2, 2, 2, 2, dtype=torch.float64))
    backward = (a.detach(), None if memory is None else memory.detach(), None, None, *grads, problem)
    torch.library.opcheck(torch.ops.qrnn_fast.evolve_backward.default, backward)


def test_second_derivatives_raise() -> None:
    c = circuit(2)
    a = angles(c, 1, 2).requires_grad_()
    (first,) = torch.autograd.grad(qf.evolve(c, a)[0].square().sum(), a, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivatives are not available"):
        first.sum().backward()


@TORCH_WARNS_OF_ITSELF
def test_functorch_derivatives_raise() -> None:
    c = circuit(2)
    a = angles(c, 1, 2)
    for transform in (torch.func.grad, torch.func.jacrev):
        with pytest.raises(RuntimeError, match=r"torch\.autograd\.grad"):
            transform(lambda x: qf.evolve(c, x)[0][..., 0].sum())(a)
    with pytest.raises(RuntimeError, match=r"torch\.autograd\.grad"):
        torch.func.grad(lambda x: torch.vmap(lambda y: qf.evolve(c, y)[0])(x)[..., 0].sum())(a)
    with pytest.raises(RuntimeError, match=r"torch\.autograd\.grad"):
        torch.func.jvp(lambda x: qf.evolve(c, x)[0], (a,), (a,))
    with torch.autograd.forward_ad.dual_level(), pytest.raises(RuntimeError, match=r"torch\.autograd\.grad"):
        qf.evolve(c, torch.autograd.forward_ad.make_dual(a, a))


class Evolve(torch.nn.Module):
    def __init__(self, c: qf.Circuit) -> None:
        super().__init__()
        self.circuit = c

    def forward(self, x: Tensor) -> Tensor:
        return qf.evolve(self.circuit, x)[0]


def test_a_first_call_without_numbers_leaves_nothing_behind() -> None:
    """Tensors made under a mode are of that mode: a plan that holds one would be of no use afterwards."""
    c = circuit(2)
    noise = qf.NoiseModel().add_readout_error((0.1, 0.2))
    with FakeTensorMode():
        assert qf.evolve(c, torch.rand(1, 2, c.n_angles), noise=noise)[0].shape == (1, 2, 2)
    assert type(qf.evolve(c, angles(c, 1, 2), noise=noise)[0]) is torch.Tensor


def test_jit_trace_and_export_see_the_op() -> None:
    c = circuit(2)
    a, other = angles(c, 2, 1, 3)
    with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
        traced = torch.jit.trace(lambda x: qf.evolve(c, x)[0], (a,))
    exported = torch.export.export(Evolve(c), (a,)).module()
    for function in (traced, exported):
        torch.testing.assert_close(function(other), qf.evolve(c, other)[0], rtol=0, atol=0)


@pytest.mark.parametrize("dims", [(0, 0), (1, None), (None, 2), (2, 1)])
def test_vmap(dims: tuple[int | None, int | None]) -> None:
    c = circuit(2)
    a, rho = angles(c, 3, 2, 4), density(factor(c, 3, 2))
    x = a[0] if dims[0] is None else a.movedim(0, dims[0])
    m = rho[0] if dims[1] is None else rho.movedim(0, dims[1])
    mapped = torch.vmap(lambda y, r: qf.evolve(c, y, r), in_dims=dims)(x, m)
    loop = [qf.evolve(c, a[0 if dims[0] is None else i], rho[0 if dims[1] is None else i]) for i in range(3)]
    for got, expected in zip(mapped, zip(*loop, strict=True), strict=True):
        torch.testing.assert_close(got, torch.stack(expected), rtol=0, atol=1e-13)


def test_vmap_of_unbatched_and_of_the_backward_pass() -> None:
    c = circuit(2)
    a = angles(c, 3, 4).requires_grad_()
    torch.testing.assert_close(torch.vmap(lambda y: qf.evolve(c, y)[0])(a), qf.evolve(c, a)[0])
    jacobian = torch.autograd.functional.jacobian
    for gradient in ("adjoint", "parameter-shift"):
        rows = [jacobian(lambda x: qf.evolve(c, x, gradient=gradient)[0], a, vectorize=v) for v in (False, True)]  # noqa: B023
        torch.testing.assert_close(rows[0], rows[1], rtol=0, atol=1e-13)


@TORCH_WARNS_OF_ITSELF
def test_compile_fullgraph() -> None:
    c = circuit(2)

    def f(x: Tensor) -> Tensor:
        probs, _ = qf.evolve(c, x)
        return (probs * torch.linspace(0, 1, probs.shape[-1])).sum()

    compiled = torch.compile(f, fullgraph=True)
    for seed in range(2):
        a, b = (angles(c, 2, 3, seed=seed, dtype=torch.float32).requires_grad_() for _ in range(2))
        compiled(a).backward()
        f(b).backward()
        torch.testing.assert_close(a.grad, b.grad)
    # Sampled directions come from the default generator, anew in every call.
    noisy = torch.compile(
        lambda x: qf.evolve(c, x, gradient="spsa")[0][..., 0].sum(), fullgraph=True, backend="aot_eager"
    )
    x = angles(c, 1, 3).requires_grad_()
    draws = [torch.autograd.grad(noisy(x), x)[0] for _ in range(3)]
    assert not any(torch.equal(g, h) for g, h in itertools.combinations(draws, 2))


def test_compiled_code_follows_a_change_of_circuit_backend_and_estimator() -> None:
    torch.compiler.reset()
    c = circuit(2)
    settings = {"backend": Flipped(flip=False), "gradient": qf.SPSA(wrt="angles", c=0.1)}

    def f(x: Tensor, m: Tensor) -> tuple[Tensor, Tensor | None]:
        return qf.evolve(c, x, m, **settings)

    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    x, m = angles(c, 1, 2), density(factor(c, 1))

    def agree() -> Tensor:
        torch.testing.assert_close(compiled(x, m), f(x, m))
        return f(x, m)[0]

    before = agree()
    c = circuit(2).rx(0.7, 0).ry(0.3, 0)
    moved = agree()
    assert not torch.equal(f(x, m)[1], before)
    settings["backend"] = Flipped(flip=True)
    assert not torch.equal(agree(), moved)
    c.rx(1.0, 0).measure([0])
    assert agree().shape[-1] == 4
    y = x.clone().requires_grad_()
    for step in (0.1, 1.5):
        settings["gradient"] = qf.SPSA(wrt="angles", c=step)
        grads = []
        for run in (compiled, f):
            torch.manual_seed(3)
            grads.append(torch.autograd.grad(run(y, m)[0][..., 1].sum(), y)[0])
        torch.testing.assert_close(*grads)
    torch.compiler.reset()
