"""QRNN: the conventions of torch.nn.GRU, lengths, gradients over weights, saving and loading."""

from __future__ import annotations

import copy
import io
import math
import pickle

import pytest
import qrnn_fast as qf
import torch
from layers import GRADIENTS, circuit, inputs, layer, memory, parameter_gradients, value_of
from qrnn_fast import cells
from torch import Tensor, nn


@pytest.mark.parametrize("batch_first", [False, True])
def test_shapes_are_those_of_gru(batch_first: bool) -> None:
    model, gru = layer(batch_first=batch_first), nn.GRU(3, 4, batch_first=batch_first, dtype=torch.float64)
    for shape in ((5, 2), (5,), (1, 1), (0, 2), (2, 0), (0,), (0, 0)):
        x = inputs(*shape)
        try:
            expected, hidden = gru(x)
        except RuntimeError:
            with pytest.raises(RuntimeError, match="at least one step"):
                model(x)
            continue
        output, h_n = model(x)
        assert output.shape == expected.shape
        assert h_n.shape == (*hidden.shape[:-1], 4, 4)
        again, _ = model(x, h_n)
        assert again.shape == output.shape


def test_batch_first_unbatched_and_time_first_agree() -> None:
    model, rho, x = layer(), memory(2), inputs(5, 2)
    output, h_n = model(x, rho)
    for i in range(2):
        single, last = model(x[:, i], rho[:, i])
        torch.testing.assert_close(single, output[:, i])
        torch.testing.assert_close(last, h_n[:, i])
    model.batch_first = True
    swapped, same = model(x.transpose(0, 1), rho)
    torch.testing.assert_close(swapped.transpose(0, 1), output)
    torch.testing.assert_close(same, h_n)


def test_the_layer_is_encoder_and_evolve() -> None:
    model, x, rho = layer(batch_first=True), inputs(2, 5), memory(2)
    output, h_n = model(x, rho)
    probs, final = qf.evolve(model.circuit, model.encoder(x), rho[0])
    torch.testing.assert_close(output, probs)
    torch.testing.assert_close(h_n[0], final)


class NoAngles(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., :0]


def test_output_z_is_the_expectation_of_each_readout_qubit() -> None:
    c = qf.Circuit(3)
    c.x(2).ry(2 * math.pi / 3, 0).measure([2, 0]).reset([2, 0])  # <Z> = -1 and cos(2 pi / 3)
    encoder = NoAngles()
    model = qf.QRNN(3, c, encoder=encoder, output="z")
    output, _ = model(inputs(4, 2))
    assert output.shape == (4, 2, model.output_size) == (4, 2, 2)
    torch.testing.assert_close(output, torch.tensor([-1.0, -0.5], dtype=torch.float64).expand(4, 2, 2))
    probabilities = qf.QRNN(3, c, encoder=encoder)
    assert probabilities.output_size == probabilities(inputs(4, 2))[0].shape[-1] == 4


@pytest.mark.parametrize("gradient", GRADIENTS, ids=str)
@pytest.mark.parametrize("output", ["probabilities", "z"])
def test_all_gradients_agree(gradient: object, output: str) -> None:
    x, rho = inputs(4, 3), memory(3)
    exact = layer(output=output)
    other = layer(output=output, gradient=gradient)
    expected = parameter_gradients(exact, value_of(*exact(x, rho)))
    assert all(g.abs().max() > 1e-3 for g in expected)
    for found, wanted in zip(parameter_gradients(other, value_of(*other(x, rho))), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gradient", GRADIENTS[:3], ids=str)
def test_gradients_reach_layers_in_front_and_hx(gradient: object) -> None:
    torch.manual_seed(3)
    front = nn.GRU(3, 3, dtype=torch.float64)
    model, reference = layer(gradient=gradient), layer()
    x = inputs(4, 2)
    found = parameter_gradients(front, value_of(*model(front(x)[0])))
    expected = parameter_gradients(front, value_of(*reference(front(x)[0])))
    assert all(g.abs().max() > 1e-4 for g in expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    rho = memory(2).requires_grad_()
    if gradient == "adjoint":
        assert torch.autograd.grad(value_of(*model(x, rho)), rho)[0].abs().max() > 1e-3
    else:
        with pytest.raises(ValueError, match="adjoint"):
            model(x, rho)


@pytest.mark.parametrize("gradient", [*GRADIENTS, "spsa", qf.SPSA(per_sequence=True)], ids=str)
def test_an_empty_batch_has_gradients_of_zero(gradient: object) -> None:
    model = layer(gradient=gradient)
    for output, h_n in (model(inputs(4, 0)), model(inputs(4, 0), memory(1)[:, :0])):
        found = parameter_gradients(model, output.sum() + h_n.abs().sum())
        assert [g.abs().max() for g in found] == [0, 0]


def test_spsa_over_weights_is_unbiased_with_the_spread_that_theory_gives() -> None:
    x = inputs(3, 2)
    exact = layer()
    expected = torch.cat([g.flatten() for g in parameter_gradients(exact, value_of(*exact(x)))])
    n = 4000
    model = layer(gradient=qf.SPSA(c=1e-3, samples=n))
    torch.manual_seed(8)
    found = torch.cat([g.flatten() for g in parameter_gradients(model, value_of(*model(x)))])
    standard_error = ((expected.square().sum() - expected.square()) / n).sqrt()
    assert standard_error.max() < 0.2 * expected.abs().max()
    assert ((found - expected).abs() / standard_error).max() < 4.5


def test_names_mean_weights_in_the_layer_and_inputs_that_need_gradients_are_refused() -> None:
    x = inputs(4, 2).requires_grad_()
    for gradient in ("spsa", "fdsa", qf.SPSA(), qf.FDSA()):
        model = layer(gradient=gradient)
        with pytest.raises(ValueError, match=r"the input requires a gradient.*wrt='angles'"):
            model(x)
        with pytest.raises(ValueError, match=r"initial memory requires a gradient.*hx\.detach\(\)"):
            model(x.detach(), memory(2).requires_grad_())
        with torch.no_grad():
            model(x)
        model(x.detach())[0].square().sum().backward()
        assert model.encoder.weight.grad.abs().max() > 0
    model = layer(gradient=qf.SPSA(wrt="angles"))
    model(x)[0].square().sum().backward()
    assert x.grad.abs().max() > 0


def test_frozen_parameters_are_not_perturbed() -> None:
    x = inputs(4, 2)
    for frozen in ("weight", "bias"):
        models = [layer(), layer(gradient=qf.FDSA(c=1e-4))]
        for model in models:
            getattr(model.encoder, frozen).requires_grad_(False)
        exact, found = (parameter_gradients(m, value_of(*m(x))) for m in models)
        assert len(found) == 1
        torch.testing.assert_close(found, exact, rtol=0, atol=1e-6)
        assert getattr(models[1].encoder, frozen).grad is None
    model = layer(gradient="fdsa").requires_grad_(False)
    assert not model(x)[0].requires_grad


class Deep(nn.Module):
    """An encoder with everything that copies could get wrong: dropout, running means, tied and frozen parameters."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(3)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(3, 27)
        self.last.bias.requires_grad_(False)
        self.to(torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x).tanh())
        y = self.norm(y.reshape(-1, 3)).view(y.shape)
        return self.last(self.dropout(y))


@pytest.mark.parametrize("training", [True, False])
def test_deep_encoders(training: bool) -> None:
    torch.manual_seed(4)
    exact = qf.QRNN(3, circuit(), encoder=Deep(0.4)).train(training)
    other = copy.deepcopy(exact)
    other.gradient = qf.FDSA(c=1e-4)
    x = inputs(4, 2)
    gradients, buffers = [], []
    for model in (exact, other):
        torch.manual_seed(5)
        state_before = {name: b.clone() for name, b in model.named_buffers()}
        value = value_of(*model(x))
        after_forward = {name: b.clone() for name, b in model.named_buffers()}
        random_state = torch.get_rng_state()
        gradients.append(parameter_gradients(model, value))
        # The copies leave running means and the random state as the forward pass left them.
        assert torch.equal(torch.get_rng_state(), random_state)
        assert all(torch.equal(b, after_forward[name]) for name, b in model.named_buffers())
        assert (
            torch.equal(state_before["encoder.norm.running_mean"], after_forward["encoder.norm.running_mean"])
            != training
        )
        buffers.append(after_forward)
    torch.testing.assert_close(buffers[0], buffers[1])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-6)


def test_initialisation_follows_the_study() -> None:
    torch.manual_seed(6)
    for repeats in (1, 3):
        model = qf.QRNN(50, cells.crx_chain(n_qubits=4, repeats=repeats))
        s = math.pi / (50 * repeats)
        weight, bias = model.encoder.weight.detach(), model.encoder.bias.detach()
        assert weight.min() == pytest.approx(-s, rel=0.02)
        assert weight.max() == pytest.approx(s, rel=0.02)
        assert -math.pi / (2 * repeats) <= bias.min() < -math.pi / (3 * repeats)
        assert -0.2 / repeats < bias.max() <= s / (2 * repeats)
        before = weight.clone()
        model.reset_parameters()
        assert not torch.equal(before, model.encoder.weight)
    model = qf.QRNN(3, circuit(), encoder=nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 27)))
    before = [p.clone() for p in model.parameters()]
    model.reset_parameters()
    assert not any(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))


class Twice(nn.Module):
    """One module under two names, and one parameter in two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, dtype=torch.float64)
        self.again, self.last = self.first, nn.Linear(3, 27, dtype=torch.float64)
        self.tied = nn.Linear(3, 3, dtype=torch.float64)
        self.tied.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.tied(self.again(self.first(x).tanh()).tanh()))


def test_an_encoder_that_uses_a_module_twice() -> None:
    encoder, x = Twice(), torch.rand(4, 2, 3, dtype=torch.float64)
    before = list(encoder.parameters())

    def gradients(estimator: object) -> tuple[Tensor, ...]:
        output, _ = qf.QRNN(3, circuit(), encoder=encoder, gradient=estimator)(x)
        return torch.autograd.grad(output.square().sum(), before)

    torch.testing.assert_close(gradients(qf.FDSA(c=1e-5)), gradients("adjoint"), atol=1e-7, rtol=0)
    assert all(p is q for p, q in zip(before, encoder.parameters(), strict=True))


def test_a_lazy_encoder_is_asked_for_its_shapes_first() -> None:
    layer = qf.QRNN(3, circuit(), encoder=nn.LazyLinear(27), gradient="spsa")
    with pytest.raises(ValueError, match=r"parameters without a shape yet; call it once, as encoder\(x\)"):
        layer(torch.rand(4, 3))


def test_a_layer_made_on_the_meta_device() -> None:
    """Its memory is whatever lay there until its parameters are reset."""
    for kind, arguments in ((qf.QRNN, (1, circuit())), (qf.QLSTM, (1, 1))):
        with torch.device("meta"):
            layer = kind(*arguments, **({"output": "z"} if kind is qf.QRNN else {}))
        layer.to_empty(device="cpu").signs.fill_(math.nan)
        layer.reset_parameters()
        assert layer(torch.rand(2, 1))[0].isfinite().all()


def test_estimators_over_weights_are_refused_under_vmap() -> None:
    layer = qf.QRNN(1, circuit(), gradient="spsa")
    x, stacked = torch.rand(2, 1), {name: p.detach().expand(2, *p.shape) for name, p in layer.named_parameters()}
    with pytest.raises(RuntimeError, match=r"SPSA\(.*does not work under torch.func or torch.vmap; use wrt='angles'"):
        torch.vmap(lambda p: torch.func.functional_call(layer, p, (x,))[0])(stacked)


def test_the_default_circuit() -> None:
    model = qf.QRNN(1)
    assert model.circuit == cells.crx_chain(n_qubits=8, repeats=1)
    assert model(torch.zeros(2, 1))[0].shape == (2, 16)
    assert model.encoder.weight.dtype == torch.float32


def test_state_dict_pickle_and_deepcopy() -> None:
    model = layer(gradient=qf.SPSA(c=0.2), output="z", generator=torch.Generator().manual_seed(3))
    assert list(model.state_dict()) == ["encoder.weight", "encoder.bias"]
    fresh = qf.QRNN(3, circuit(), output="z", dtype=torch.float64)
    fresh.load_state_dict(model.state_dict())
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    x = inputs(4, 2)
    expected = model(x)[0]
    for other in (fresh, copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(file, weights_only=False)):
        torch.testing.assert_close(other(x)[0], expected)
        assert other.circuit == model.circuit
    assert copy.deepcopy(model).gradient == model.gradient


def test_a_sampling_backend_tells_no_memory() -> None:
    torch.manual_seed(9)
    c = cells.crx_chain(n_qubits=2)
    model = qf.QRNN(3, c, gradient=qf.SPSA(wrt="weights"), shots=50, backend=qf.backends.Aer(), dtype=torch.float64)
    outputs = []
    for _ in range(2):
        output, h_n = model(inputs(3, 2))
        assert h_n is None
        torch.testing.assert_close(output.sum(-1), torch.ones(3, 2, dtype=torch.float64))
        torch.testing.assert_close(output * 50, (output * 50).round())
        output.square().mean().backward()
        outputs.append(output.detach())
    assert not torch.equal(*outputs)
    assert model.encoder.weight.grad.abs().max() > 0
    packed, h_n = model(inputs(3, 2), lengths=[3, 1])
    assert h_n is None
    assert packed[1:, 1].abs().max() == 0
    with pytest.raises(ValueError, match="memory"):
        model(inputs(3, 2), torch.eye(2, dtype=torch.complex128).expand(1, 2, 2, 2) / 2)


def test_the_circuit_is_a_copy() -> None:
    c = circuit()
    model = qf.QRNN(3, c)
    c.rx(0.5, 0)
    assert model.circuit == circuit() != c


def test_device_and_dtype() -> None:
    with torch.device("meta"):
        assert qf.QRNN(3, circuit()).encoder.weight.device.type == "meta"
    model = qf.QRNN(3, circuit(), device="cpu", dtype=torch.float64)
    assert model.encoder.weight.dtype == torch.float64
    output, h_n = model.float()(inputs(4, 2).float())
    assert output.dtype == torch.float32
    assert h_n.dtype == torch.complex64
    assert qf.QRNN(3, circuit(), output="z").double()(inputs(4, 2))[0].dtype == torch.float64
    with torch.autocast("cpu"), pytest.raises(TypeError, match="autocast"):
        qf.QRNN(3, circuit())(inputs(4, 2).float())


def test_repr() -> None:
    text = repr(qf.QRNN(3, circuit(), batch_first=True, gradient=qf.SPSA(c=0.2), output="z"))
    for part in ("QRNN", "3, Circuit(n_qubits=4", "output='z'", "SPSA(c=0.2", "batch_first=True", "(encoder): Linear"):
        assert part in text


def test_compile_fullgraph() -> None:
    model = layer()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = inputs(4, 2)
    expected = parameter_gradients(model, value_of(*model(x)))
    torch.testing.assert_close(parameter_gradients(model, value_of(*compiled(x))), expected)


X = inputs(5, 2)


@pytest.mark.parametrize(
    ("kind", "match", "call"),
    [
        (ValueError, "stack layers", lambda: layer(num_layers=2)),
        (ValueError, "stack layers", lambda: layer(bidirectional=True)),
        (ValueError, "stack layers", lambda: layer(dropout=0.1)),
        (ValueError, "'probabilities' or 'z'", lambda: layer(output="x")),
        (ValueError, "'adjoint', 'parameter-shift'", lambda: layer(gradient="backprop")),
        (ValueError, "'auto', 'native'", lambda: layer(backend="aer")),
        (ValueError, "at least 1", lambda: layer(shots=0)),
        (ValueError, "at least 1", lambda: qf.QRNN(0)),
        (TypeError, "integer", lambda: qf.QRNN(1.0)),
        (TypeError, "float32 or torch.float64", lambda: qf.QRNN(1, dtype=torch.float16)),
        (ValueError, "encoder.to", lambda: qf.QRNN(3, encoder=nn.Linear(3, 55), dtype=torch.float64)),
        (ValueError, "2 .unbatched. or 3 dimensions", lambda: layer()(X[None])),
        (ValueError, r"3 features, got the shape \(7, 5, 2\)", lambda: layer()(torch.rand(7, 5, 2))),
        (TypeError, r"such as qf\.cells", lambda: qf.QRNN(3, "crx_chain")),
        (ValueError, "measures nothing", lambda: qf.QRNN(3, qf.Circuit(1, 1).rx(qf.Angle(0), 0))),
        (TypeError, "torch.float32.*torch.float64", lambda: layer()(X.float())),
        (TypeError, "torch.float16", lambda: layer()(X.half())),
        (TypeError, "float32 or float64", lambda: layer().half()(X.half())),
        (TypeError, "torch.int64", lambda: layer()(X.long())),
        (TypeError, "tensor or a PackedSequence", lambda: layer()(X.tolist())),
        (ValueError, r"hx must have the shape \(1, 2, 4, 4\)", lambda: layer()(X, memory(3))),
        (ValueError, r"hx must have the shape \(1, 2, 4, 4\)", lambda: layer()(X, memory(2)[0])),
        (ValueError, r"hx must have the shape \(1, 4, 4\)", lambda: layer()(X[:, 0], memory(1))),
        (TypeError, "complex128", lambda: layer()(X, memory(2).to(torch.complex64))),
        (TypeError, "hx", lambda: layer()(X, 3)),
        (ValueError, r"must map \(2, 5, 3\) to \(2, 5, 27\)", lambda: qf.QRNN(3, circuit(), encoder=nn.Identity())(X)),
    ],
)
@pytest.mark.parametrize("gradient", ["adjoint", "fdsa"])
def test_bad_input(
    kind: type[Exception], match: str, call: object, gradient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = qf.QRNN.__init__
    monkeypatch.setattr(qf.QRNN, "__init__", lambda *a, **k: create(*a, **{"gradient": gradient, **k}))
    with pytest.raises(kind, match=match):
        call()
