"""evolve as a torch operation: shapes, dtypes, autograd, vmap, compile, errors."""

from __future__ import annotations

import pytest
import qrnn_fast as qf
import torch
from problems import Flipped, angles, circuit, density, factor, loss
from torch import Tensor


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(dtype: torch.dtype) -> None:
    c = circuit()
    a = angles(c, 3, 5, dtype=dtype)
    probs, memory = qf.evolve(c, a)
    assert probs.shape == (3, 5, 4)
    assert probs.dtype == dtype
    assert memory.shape == (3, 4, 4)
    assert memory.dtype == (torch.complex64 if dtype == torch.float32 else torch.complex128)
    torch.testing.assert_close(probs.sum(-1), torch.ones(3, 5, dtype=dtype))
    one, last = qf.evolve(c, a[1], memory[1])
    both, lasts = qf.evolve(c, a, memory)
    assert one.shape == (5, 4)
    assert last.shape == (4, 4)
    torch.testing.assert_close(one, both[1])
    torch.testing.assert_close(last, lasts[1])


def test_float32_gradients_are_float32_and_right() -> None:
    c = circuit()
    a, rho = angles(c, 2, 4), density(factor(c, 2))
    grads = {}
    for dtype, complex_dtype in ((torch.float32, torch.complex64), (torch.float64, torch.complex128)):
        x, m = a.to(dtype).requires_grad_(), rho.to(complex_dtype).requires_grad_()
        grads[dtype] = torch.autograd.grad(loss(*qf.evolve(c, x, m)), (x, m))
        assert grads[dtype][0].dtype == dtype
        assert grads[dtype][1].dtype == complex_dtype
    for single, double in zip(*grads.values(), strict=True):
        torch.testing.assert_close(single.to(double.dtype), double, rtol=1e-4, atol=1e-5)


def test_empty_batches_and_sequences() -> None:
    c = circuit()
    probs, memory = qf.evolve(c, angles(c, 0, 5))
    assert probs.shape == (0, 5, 4)
    assert memory.shape == (0, 4, 4)
    rho = density(factor(c, 2))
    probs, memory = qf.evolve(c, angles(c, 2, 0), rho)
    assert probs.shape == (2, 0, 4)
    torch.testing.assert_close(memory, rho)
    _, memory = qf.evolve(c, angles(c, 2, 0))
    expected = torch.zeros(2, 4, 4, dtype=torch.complex128)
    expected[:, 0, 0] = 1
    torch.testing.assert_close(memory, expected)
    for gradient in ("adjoint", "parameter-shift", "spsa", "fdsa"):
        for shape in ((0, 5), (2, 0), (0, 0)):
            a = angles(c, *shape).requires_grad_()
            probs, memory = qf.evolve(c, a, gradient=gradient)
            assert torch.autograd.grad(probs.sum() + memory.abs().sum(), a)[0].shape == a.shape
            qf.evolve(c, a, gradient=gradient)[0].sum().backward()  # an expanded gradient without numbers
            assert a.grad is not None
            assert a.grad.shape == a.shape


@pytest.mark.parametrize("gradient", ["adjoint", "parameter-shift"])
def test_a_sequence_cut_in_two_is_one_piece(gradient: str) -> None:
    c = circuit()
    a, lower = angles(c, 2, 7).requires_grad_(gradient == "adjoint"), factor(c, 2).requires_grad_(gradient == "adjoint")
    whole, last = qf.evolve(c, a, density(lower), gradient=gradient)
    first, between = qf.evolve(c, a[:, :3], density(lower), gradient=gradient)
    second, last_of_two = qf.evolve(c, a[:, 3:], between, gradient=gradient)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(last_of_two, last, rtol=0, atol=1e-12)
    if gradient == "adjoint":
        one_piece = torch.autograd.grad(loss(whole, last), (a, lower))
        two_pieces = torch.autograd.grad(loss(first) + loss(second, last_of_two), (a, lower))
        for x, y in zip(one_piece, two_pieces, strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=1e-12)


def test_gradcheck_of_angles_and_memory() -> None:
    c = circuit()

    def outputs(a: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
        probs, memory = qf.evolve(c, a, density(lower))
        return probs, torch.view_as_real(memory)

    assert torch.autograd.gradcheck(outputs, (angles(c, 2, 3).requires_grad_(), factor(c, 2).requires_grad_()))


def test_only_what_needs_a_gradient_gets_one() -> None:
    c = circuit()
    a, rho = angles(c, 2, 3), density(factor(c, 2))
    expected = torch.autograd.grad(
        loss(*qf.evolve(c, x := a.clone().requires_grad_(), m := rho.clone().requires_grad_())), (x, m)
    )
    x = a.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(loss(*qf.evolve(c, x, rho)), x)[0], expected[0])
    torch.testing.assert_close(torch.autograd.grad(loss(*qf.evolve(c, a, m)), m)[0], expected[1])
    probs, memory = qf.evolve(c, a, rho)
    assert not probs.requires_grad
    assert not memory.requires_grad


def test_a_loss_of_the_memory_alone() -> None:
    c = circuit()
    a = angles(c, 2, 3).requires_grad_()
    (exact,) = torch.autograd.grad(qf.evolve(c, a)[1].abs().square().sum(), a)
    (shifted,) = torch.autograd.grad(qf.evolve(c, a, gradient="parameter-shift")[1].abs().square().sum(), a)
    assert exact.abs().max() > 0.01
    torch.testing.assert_close(exact, shifted, rtol=0, atol=1e-8)


def test_conjugated_and_transposed_memories() -> None:
    c = circuit()
    a, rho = angles(c, 2, 3), density(factor(c, 2))
    plain = rho.mH.resolve_conj().contiguous()
    torch.testing.assert_close(qf.evolve(c, a, rho.mH), qf.evolve(c, a, plain))
    torch.testing.assert_close(qf.evolve(c, a.transpose(0, 1).contiguous().transpose(0, 1), rho), qf.evolve(c, a, rho))


def test_non_finite_angles_spoil_their_own_sequence_from_that_step_on() -> None:
    c = circuit()
    clean = angles(c, 4, 6)
    for value in (float("nan"), float("inf")):
        a = clean.clone()
        a[1, 3, 0] = value
        probs, memory = qf.evolve(c, a.requires_grad_())
        expected, expected_memory = qf.evolve(c, clean)
        assert torch.equal(probs[[0, 2, 3]], expected[[0, 2, 3]])
        assert torch.equal(memory[[0, 2, 3]], expected_memory[[0, 2, 3]])
        assert torch.equal(probs[1, :3], expected[1, :3])
        assert not probs[1, 3:].isfinite().any()
        assert not memory[1].isfinite().all()
        probs[[0, 2, 3]].square().sum().backward()
        assert a.grad[[0, 2, 3]].isfinite().all()


def test_threads_and_batch_order_change_no_bit() -> None:
    c = circuit()
    a, rho = angles(c, 37, 5), density(factor(c, 37))

    def run(x: Tensor, m: Tensor, threads: int) -> list[Tensor]:
        x, m = x.clone().requires_grad_(), m.clone().requires_grad_()
        outputs = qf.evolve(c, x, m, backend=qf.backends.Native(threads=threads))
        return [*outputs, *torch.autograd.grad(loss(*[o * torch.ones_like(o) for o in outputs]), (x, m))]

    one = run(a, rho, 1)
    for t in (2, 3):
        assert all(torch.equal(x, y) for x, y in zip(one, run(a, rho, t), strict=True))
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(x[order], y) for x, y in zip(one, run(a[order], rho[order], 1), strict=True))


def test_the_default_generator_is_left_alone_by_exact_methods() -> None:
    c = circuit(2)
    a = angles(c, 1, 2).requires_grad_()
    state = torch.get_rng_state()
    for gradient in ("adjoint", "parameter-shift", "fdsa"):
        qf.evolve(c, a, gradient=gradient)[0][..., 0].sum().backward()
    qf.evolve(c, a.detach(), gradient="spsa")
    assert torch.equal(state, torch.get_rng_state())
    qf.evolve(c, a, gradient="spsa", generator=torch.Generator().manual_seed(1))
    assert torch.equal(state, torch.get_rng_state())
    qf.evolve(c, a, gradient="spsa")
    assert not torch.equal(state, torch.get_rng_state())


def test_the_given_generator_decides() -> None:
    c = circuit(2)
    a = angles(c, 1, 2).requires_grad_()

    def draw(generator: torch.Generator) -> Tensor:
        return torch.autograd.grad(qf.evolve(c, a, gradient="spsa", generator=generator)[0][..., 0].sum(), a)[0]

    generator = torch.Generator().manual_seed(5)
    first, second = draw(generator), draw(generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, draw(torch.Generator().manual_seed(5)))


C = circuit(2)
A = angles(C, 2, 3)
RHO = density(factor(C, 2))


@pytest.mark.parametrize(
    ("kind", "match", "arguments"),
    [
        (TypeError, "qf.Circuit", {"circuit": "crx_chain"}),
        (TypeError, "float32 or float64", {"angles": A.half()}),
        (TypeError, "float32 or float64", {"angles": A.bfloat16()}),
        (TypeError, "float32 or float64", {"angles": A.long()}),
        (TypeError, "float32 or float64", {"angles": A.to(torch.complex128)}),
        (TypeError, "float32 or float64", {"angles": A.tolist()}),
        (ValueError, "on the CPU", {"angles": A.to("meta")}),
        (ValueError, r"\(B, T, A\) or \(T, A\)", {"angles": A[0, 0]}),
        (ValueError, r"\(B, T, A\) or \(T, A\)", {"angles": A[None]}),
        (ValueError, r"\(B, T, 4\), got \(2, 3, 3\)", {"angles": A[..., :3]}),
        (TypeError, "complex128", {"memory": RHO.to(torch.complex64)}),
        (TypeError, "complex128", {"memory": RHO.real}),
        (ValueError, "where the angles are", {"memory": RHO.to("meta")}),
        (ValueError, r"\(B, 2\^m, 2\^m\)", {"memory": RHO[0]}),
        (ValueError, r"\(2\^m, 2\^m\)", {"memory": RHO, "angles": A[0]}),
        (ValueError, "memory must have the shape", {"memory": RHO[:1]}),
        (
            ValueError,
            "memory must have the shape",
            {"memory": density(factor(qf.Circuit(2), 2))},
        ),
        (ValueError, "trace", {"memory": 2 * RHO}),
        (ValueError, "Hermitian", {"memory": RHO + torch.tensor([[0, 0.1], [0, 0]])}),
        (ValueError, "finite", {"memory": RHO * torch.tensor(float("nan"))}),
        (ValueError, "'adjoint', 'parameter-shift', 'spsa', 'fdsa'", {"gradient": "spas"}),
        (TypeError, "'adjoint', 'parameter-shift', 'spsa', 'fdsa'", {"gradient": None}),
        (TypeError, "'adjoint', 'parameter-shift', 'spsa', 'fdsa'", {"gradient": ["spsa"]}),
        (TypeError, "'auto', 'native' or a backend object, got dict", {"backend": {}}),
        (ValueError, r"QRNN.*wrt='angles'", {"gradient": qf.SPSA(wrt="weights")}),
        (ValueError, r"QRNN.*wrt='angles'", {"gradient": qf.FDSA()}),
        (ValueError, "at least 1", {"shots": 0}),
        (ValueError, "below 2\\^31", {"shots": 2**31}),
        (TypeError, "integer", {"shots": 10.0}),
        (TypeError, "noise", {"noise": object()}),
        (ValueError, "'auto', 'native'", {"backend": "cuda"}),
        (TypeError, "backend object", {"backend": 3}),
        (TypeError, "torch.Generator", {"generator": 3, "gradient": "spsa", "angles": A.clone().requires_grad_()}),
    ],
)
def test_bad_input(kind: type[Exception], match: str, arguments: dict[str, object]) -> None:
    arguments = {"circuit": C, "angles": A, **arguments}
    with pytest.raises(kind, match=match):
        qf.evolve(arguments.pop("circuit"), arguments.pop("angles"), **arguments)


def test_gradients_that_an_estimator_cannot_give_are_refused() -> None:
    rho = RHO.clone().requires_grad_()
    for gradient in ("parameter-shift", "spsa", "fdsa"):
        with pytest.raises(ValueError, match=r"adjoint.*memory\.detach\(\)"):
            qf.evolve(C, A, rho, gradient=gradient)
        with torch.no_grad():
            qf.evolve(C, A, rho, gradient=gradient)
    backend = Flipped(flip=False)
    with pytest.raises(ValueError, match="parameter-shift"):
        qf.evolve(C, A.clone().requires_grad_(), backend=backend)
    qf.evolve(C, A, backend=backend)


def test_gradients_through_aer() -> None:
    c, aer, sampled = circuit(2), qf.backends.Aer(), qf.backends.Aer(shots=200)
    a = angles(c, 2, 2).requires_grad_()
    for backend in (aer, sampled):
        with pytest.raises(ValueError, match="parameter-shift"):
            qf.evolve(c, a, backend=backend)
        with torch.no_grad():
            qf.evolve(c, a, backend=backend)
    (exact,) = torch.autograd.grad(loss(*qf.evolve(c, a)), a)
    (shifted,) = torch.autograd.grad(loss(*qf.evolve(c, a, backend=aer, gradient="parameter-shift")), a)
    torch.testing.assert_close(shifted, exact, rtol=0, atol=1e-8)
    probs, memory = qf.evolve(c, a, backend=sampled, gradient="parameter-shift")
    assert memory is None
    (noisy,) = torch.autograd.grad(loss(probs), a)
    (expected,) = torch.autograd.grad(loss(qf.evolve(c, a)[0]), a)
    assert 0 < (noisy - expected).abs().max() < 0.8


def test_check_memory() -> None:
    rho = density(factor(C, 2))
    qf.check_memory(rho)
    qf.check_memory(rho[0].to(torch.complex64))
    with pytest.raises(ValueError, match=r"smallest eigenvalue is -0\.5"):
        qf.check_memory(torch.diag(torch.tensor([1.5, -0.5], dtype=torch.complex128)))
    with pytest.raises(ValueError, match="trace"):
        qf.check_memory(2 * rho)
    with pytest.raises(ValueError, match="Hermitian"):
        qf.check_memory(rho + torch.tensor([[0, 0.1], [0, 0]]))
    with pytest.raises(ValueError, match="finite"):
        qf.check_memory(rho / 0)
    with pytest.raises(ValueError, match="shape"):
        qf.check_memory(rho[..., :1])
    with pytest.raises(TypeError, match="complex"):
        qf.check_memory(rho.real)


@pytest.mark.parametrize("estimator", ["parameter-shift", "spsa", "fdsa"])
def test_the_default_device_has_no_say(estimator: str) -> None:
    """What is not where the angles are is on the CPU, whatever torch.set_default_device says."""
    c = circuit(2)
    x = torch.rand(2, 3, c.n_angles, requires_grad=True)
    with torch.device("meta"):
        qf.evolve(c, x, gradient=estimator, shots=5)[0].sum().backward()
        layer = qf.QRNN(1, c, gradient=estimator, shots=5, device="cpu")
        padded = torch.zeros(3, 2, 1, device="cpu")
        assert layer(padded, lengths=[3, 2])[0].device.type == "cpu"
