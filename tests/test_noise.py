"""The channels of qf.noise against textbook formulas, and where a noise model puts them."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import qrnn_fast as qf
import torch
from numpy.typing import NDArray
from qrnn_fast import Circuit, NoiseModel, noise

FLIP = noise.bit_flip(0.1)
DAMP = noise.amplitude_damping(0.2)
PAIR = noise.depolarizing(0.1, 2)
PAULIS = {"I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}


def acted(kraus: NDArray[np.complex128], rho: NDArray[np.complex128]) -> NDArray[np.complex128]:
    np.testing.assert_allclose(sum(k.conj().T @ k for k in kraus), np.eye(len(rho)), atol=1e-14)
    return np.sum([k @ rho @ k.conj().T for k in kraus], axis=0)


def state(dim: int) -> NDArray[np.complex128]:
    rng = np.random.default_rng(dim)
    root = rng.normal(size=(dim, dim)) + 1j * rng.normal(size=(dim, dim))
    rho = root @ root.conj().T
    return rho / np.trace(rho)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_depolarizing(n: int, share: float) -> None:
    rho, p = state(2**n), share * 4**n / (4**n - 1)
    np.testing.assert_allclose(
        acted(noise.depolarizing(p, n), rho), (1 - p) * rho + p * np.eye(2**n) / 2**n, atol=1e-15
    )


def test_pauli_channel() -> None:
    """The last letter of a string is the first qubit, the low bit of an index."""
    rho = state(4)
    zx = np.kron(PAULIS["Z"], PAULIS["X"])
    expected = 0.7 * rho + 0.3 * zx @ rho @ zx.conj().T
    np.testing.assert_allclose(acted(noise.pauli_channel({"ZX": 0.3}), rho), expected, atol=1e-15)
    np.testing.assert_allclose(acted(noise.pauli_channel({"ZX": 0.3, "II": 0.7}), rho), expected, atol=1e-15)
    flipped = acted(noise.bit_flip(0.25), np.diag([1, 0]).astype(complex))
    np.testing.assert_allclose(flipped, np.diag([0.75, 0.25]), atol=1e-15)


def test_damping() -> None:
    rho = state(2)
    gamma, lam = 0.3, 0.4
    damped = acted(noise.amplitude_damping(gamma), rho)
    np.testing.assert_allclose(damped[1, 1], (1 - gamma) * rho[1, 1], atol=1e-15)
    np.testing.assert_allclose(damped[0, 1], math.sqrt(1 - gamma) * rho[0, 1], atol=1e-15)
    dephased = acted(noise.phase_damping(lam), rho)
    np.testing.assert_allclose(np.diag(dephased), np.diag(rho), atol=1e-15)
    np.testing.assert_allclose(dephased[0, 1], math.sqrt(1 - lam) * rho[0, 1], atol=1e-15)


@pytest.mark.parametrize(("t1", "t2"), [(50, 30), (50, 70), (50, 100), (math.inf, 20), (math.inf, math.inf)])
@pytest.mark.parametrize("excited", [0.0, 0.1, 1.0])
def test_thermal_relaxation(t1: float, t2: float, excited: float) -> None:
    rho, time = state(2), 7.0
    relaxed = acted(noise.thermal_relaxation(t1, t2, time, excited), rho)
    stays = math.exp(-time / t1)
    np.testing.assert_allclose(relaxed[1, 1], stays * rho[1, 1] + (1 - stays) * excited, atol=1e-15)
    np.testing.assert_allclose(relaxed[0, 1], math.exp(-time / t2) * rho[0, 1], atol=1e-15)


BAD_CHANNELS: list[tuple[Any, str]] = [
    (lambda: noise.depolarizing(1.34), "from 0 to 1.33333, got 1.34"),
    (lambda: noise.depolarizing(0.1, 3), "n_qubits must be 1 or 2, got 3"),
    (lambda: noise.bit_flip(-0.1), "the probability of X must be a number from 0 to 1, got -0.1"),
    (lambda: noise.amplitude_damping(float("nan")), "gamma must be a number from 0 to 1, got nan"),
    (lambda: noise.phase_damping("0.1"), "lam must be a number"),
    (lambda: noise.pauli_channel({"X": 0.1, "ZZ": 0.1}), "all as many"),
    (lambda: noise.pauli_channel({"A": 0.1}), "letters of I, X, Y and Z"),
    (lambda: noise.pauli_channel({}), "letters of I, X, Y and Z"),
    (lambda: noise.pauli_channel({"X": 0.6, "Y": 0.6}), "must add up to 1, got 1.2"),
    (lambda: noise.pauli_channel({"I": 0.6, "Y": 0.1}), "must add up to 1, got 0.7"),
    (lambda: noise.thermal_relaxation(0, 1, 1), "t1 must be a positive number"),
    (lambda: noise.thermal_relaxation(1, 2.1, 1), "t2 must be at most 2 t1 = 2, got 2.1"),
    (lambda: noise.thermal_relaxation(1, 1, -1), "time must be a number"),
    (lambda: noise.thermal_relaxation(*[float("inf")] * 3), "time must be finite where t1 is infinite"),
    (lambda: noise.thermal_relaxation(1, 1, 1, 1.1), "excited_population must be a number"),
]


@pytest.mark.parametrize(("call", "message"), BAD_CHANNELS)
def test_bad_channels(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def names(circuit: Circuit) -> list[tuple[str, tuple[int, ...]]]:
    return [(op.name, op.qubits) for op in circuit.operations]


def step() -> Circuit:
    c = Circuit(2)
    return c.rx(c.angle(), 0).crx(0.3, 0, 1).reset(0).measure([0, 1]).reset(1)


def test_where_noise_acts() -> None:
    """After gates and resets, before measurements; behind the last reset of a step means in front of the next one."""
    model = NoiseModel().add(FLIP, ["rx", "crx", "measure", "reset"])
    flip = "channel"
    noisy = model.apply(step())
    assert names(noisy) == [
        (flip, (1,)),
        *[("rx", (0,)), (flip, (0,))],
        *[("crx", (0, 1)), (flip, (0,)), (flip, (1,))],
        *[("reset", (0,)), (flip, (0,))],
        *[(flip, (0,)), (flip, (1,)), ("measure", (0, 1))],
        ("reset", (1,)),
    ]
    assert (noisy.memory, noisy.readout, noisy.n_angles) == ((0,), (0, 1), 1)


def test_order_and_precedence() -> None:
    """In the order added; entries for certain qubits, in the gate's order, replace those for any."""
    model = NoiseModel().add(FLIP, "cx").add(PAIR, "cx").add(DAMP, "cx", (1, 0))
    first, second = (
        [op.kraus for op in model.apply(Circuit(2).cx(*qubits).measure(0)).operations if op.name == "channel"]
        for qubits in ((0, 1), (1, 0))
    )
    np.testing.assert_array_equal(np.array(first[0]), FLIP)
    np.testing.assert_allclose(np.array(first[2]), PAIR, atol=1e-15)
    assert len(first) == 3
    np.testing.assert_array_equal(np.array(second), [DAMP, DAMP])


def test_readout_errors() -> None:
    model = NoiseModel().add_readout_error((0.1, 0.2)).add_readout_error(np.eye(4)[[1, 0, 3, 2]], (2, 0))
    circuit = Circuit(4).measure([3, 2, 1, 0]).reset([0, 1])
    errors = {e.qubits: np.array(e.confusion) for e in model.apply(circuit).readout_errors}
    assert set(errors) == {(2, 0), (1,), (3,)}
    np.testing.assert_array_equal(errors[1,], [[0.9, 0.2], [0.1, 0.8]])
    # The pair's first qubit, 2, is told wrongly; it is bit 1 of an outcome.
    probs, _ = qf.evolve(circuit, torch.zeros(1, 0, dtype=torch.float64), noise=model)
    expected = torch.zeros(2, 2, 2, 2, dtype=torch.float64)  # qubits 0, 1, 2, 3
    told = torch.tensor([0.9, 0.1], dtype=torch.float64)
    expected[0, :, 1, :] = told[:, None] * told
    torch.testing.assert_close(probs.flatten(), expected.flatten(), rtol=0, atol=1e-15)


MISFITS: list[tuple[Any, str]] = [
    (
        NoiseModel().add(FLIP, ["sx"]).add(PAIR, "cz"),
        r"noise for sx, cz, .* made of crx, measure, reset, rx .*transpile",
    ),
    (NoiseModel().add(FLIP, "sx").add_readout_error((0.1, 0.1)), "sx, readout"),
    (NoiseModel().add(FLIP, "rx", 5), "noise for rx on 5, .*qubits 0..1"),
    (NoiseModel().add_readout_error((0.1, 0.1), 7), "noise for readout on 7"),
    (NoiseModel().add_readout_error(np.eye(4), (1, 2)), r"reads qubits \(1, 2\) together, .* only \[1\]"),
]


@pytest.mark.parametrize(("model", "message"), MISFITS)
def test_models_that_do_not_fit(model: NoiseModel, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.apply(step())
    with pytest.raises(ValueError, match=message):
        qf.QRNN(3, step(), noise=model)


def test_an_empty_model_is_no_noise() -> None:
    assert NoiseModel().is_empty
    assert NoiseModel().apply(step()) == step()


REFUSED: list[tuple[Any, str]] = [
    (lambda m: m.add(PAIR, "rx"), "rx acts on 1 qubit"),
    (lambda m: m.add(PAIR, "measure"), "measure acts on 1 qubit"),
    (lambda m: m.add(FLIP, ["rx", "iswap"]), "unknown op 'iswap'; noise is for rx, "),
    (lambda m: m.add(FLIP, "crx", 0), r"crx acts on 2 qubits, got qubits=\(0,\)"),
    (lambda m: m.add(FLIP, "rx", -1), "numbers from 0 on, got -1"),
    (lambda m: m.add(FLIP, "crx", (1, 1)), "each once"),
    (lambda m: m.add(0.9 * FLIP, "rx"), "must satisfy"),
    (lambda m: m.add_readout_error((0.1, 0.2)).add_readout_error((0.1, 0.2)), "on every qubit already"),
    (lambda m: m.add_readout_error(np.eye(4), (0, 1)).add_readout_error((0.1, 0.2), 1), r"\(0, 1\) already"),
    (lambda m: m.add_readout_error([[0.9, 0.1], [0.2, 0.8]]), "columns of a confusion matrix"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(NoiseModel())


def test_compared_by_content() -> None:
    def make() -> NoiseModel:
        return NoiseModel().add(FLIP, "rx").add(DAMP, "rx").add_readout_error((0.1, 0.2))

    model = make()
    for same in (make(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same == model
        assert hash(same) == hash(model)
    for other in (NoiseModel(), make().add(FLIP, "rx", 0), NoiseModel().add(DAMP, "rx").add(FLIP, "rx")):
        assert other != model
    assert repr(model) == "NoiseModel(rx, readout)"


def test_evolve_follows_changes_of_the_model() -> None:
    circuit, angles = step(), torch.full((2, 1), 0.4)
    model = NoiseModel().add(FLIP, "rx")
    once, _ = qf.evolve(circuit, angles, noise=model)
    assert torch.equal(qf.evolve(circuit, angles, noise=model)[0], once)
    twice, _ = qf.evolve(circuit, angles, noise=model.add(FLIP, "rx"))
    assert torch.equal(twice, qf.evolve(model.apply(circuit), angles)[0])
    assert not torch.equal(twice, once)
    with pytest.raises(TypeError, match=r"noise must be a qf.NoiseModel or None, got float; .*from_qiskit"):
        qf.evolve(circuit, angles, noise=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("gradient", ["adjoint", qf.FDSA(c=1e-3, wrt="weights")])
def test_layers(gradient: Any) -> None:
    model = NoiseModel().add(DAMP, ["rx", "crx"]).add_readout_error((0.1, 0.2))
    circuit = qf.cells.crx_chain(4)
    torch.manual_seed(0)
    layer = qf.QRNN(2, circuit, noise=model, gradient=gradient, dtype=torch.float64)
    assert "noise=NoiseModel(rx, crx, readout)" in repr(layer)
    x = torch.randn(3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected, final = qf.evolve(model.apply(circuit), layer.encoder(x.transpose(0, 1)))
    model.add(FLIP, "rz")  # the layer keeps a copy
    for again in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        output, h_n = again(x)
        assert torch.equal(output, expected.transpose(0, 1))
        assert torch.equal(h_n[0], final)
    assert set(layer.state_dict()) == {"encoder.weight", "encoder.bias"}
    weights = layer.encoder.weight
    (ours,) = torch.autograd.grad(output_value(layer(x)[0]), weights)
    (exact,) = torch.autograd.grad(output_value(expected), weights)
    torch.testing.assert_close(ours, exact, rtol=0, atol=1e-12 if gradient == "adjoint" else 1e-4)


def output_value(output: torch.Tensor) -> torch.Tensor:
    return (output**2).sum()
