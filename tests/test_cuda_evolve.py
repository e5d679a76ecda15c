"""qf.evolve and qf.QRNN where the angles are on a GPU: an emulated one, and torch's tensors without numbers."""

from __future__ import annotations

import pytest
import qrnn_fast as qf
import torch
from emulated import EmulatedDevice
from qrnn_fast.backends import gpu
from qrnn_fast.cuda.factor import FactorEngine
from qrnn_fast.estimators import Estimator, Evaluation
from torch import Tensor

CIRCUIT = qf.cells.crx_chain(4)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    """The emulated GPU, which all tensors are taken to be on."""
    device = EmulatedDevice()
    monkeypatch.setattr(gpu, "device_of", lambda angles: device)
    return device


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("gradient", ["adjoint", "parameter-shift", qf.FDSA(wrt="angles"), qf.SPSA(wrt="angles")])
def test_gradients_agree_with_the_cpu(
    gradient: str | qf.FDSA, request: pytest.FixtureRequest, generator: torch.Generator
) -> None:
    def gradients() -> tuple[Tensor, Tensor]:
        angles = random(2, 3, CIRCUIT.n_angles).requires_grad_()
        probs, memory = qf.evolve(CIRCUIT, angles, gradient=gradient, generator=torch.Generator().manual_seed(3))
        assert memory is not None
        ((probs * random(2, 3, 4)).sum() + torch.view_as_real(memory)[..., 0].square().sum()).backward()
        assert angles.grad is not None
        return probs, angles.grad

    expected = gradients()
    request.getfixturevalue("device")
    for found, there in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(found, there, rtol=0, atol=1e-10)


def test_readout_errors_and_channels(request: pytest.FixtureRequest) -> None:
    noise = qf.NoiseModel().add(qf.noise.bit_flip(0.1), "crx").add_readout_error((0.03, 0.05))
    angles = random(2, 3, CIRCUIT.n_angles)
    expected, _ = qf.evolve(CIRCUIT, angles, noise=noise)
    request.getfixturevalue("device")
    torch.testing.assert_close(qf.evolve(CIRCUIT, angles, noise=noise)[0], expected, rtol=0, atol=1e-13)


@pytest.mark.usefixtures("device")
def test_signs_that_torch_keeps_as_marks() -> None:
    angles = torch.view_as_complex(random(2, 3, CIRCUIT.n_angles, 2)).conj().imag
    assert angles.is_neg()
    assert torch.equal(qf.evolve(CIRCUIT, angles)[0], qf.evolve(CIRCUIT, angles.clone())[0])


@pytest.mark.usefixtures("device")
def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ValueError, match=r"angles must have the shape \(B, T, 27\), got \(1, 2, 5\)"):
        qf.evolve(CIRCUIT, random(1, 2, 5))
    with pytest.raises(ValueError, match=r"memory must have the shape \(1, 4, 4\), got \(1, 2, 2\)"):
        qf.evolve(CIRCUIT, random(1, 2, CIRCUIT.n_angles), torch.eye(2, dtype=torch.complex128)[None] / 2)


class Elsewhere:
    """A backend on the device that has no numbers: torch refuses to mix its tensors with others."""

    name, devices = "elsewhere", ("meta",)

    def run(self, circuit: qf.Circuit, angles: Tensor, memory: Tensor | None, **_: object) -> tuple[Tensor, Tensor]:
        dim = 2 ** len(circuit.memory)
        final = angles.new_empty(len(angles), dim, dim, dtype=torch.complex128)
        return angles.new_empty(*angles.shape[:2], 2 ** len(circuit.readout)), final


@pytest.mark.parametrize("estimator", [qf.FDSA(), qf.SPSA(), qf.ParameterShift()])
def test_estimators_work_where_the_angles_are(estimator: Estimator) -> None:
    evaluation = Evaluation(CIRCUIT, Elsewhere(), None)
    angles = torch.empty(2, 3, CIRCUIT.n_angles, device="meta")
    grad_probs = torch.empty(2, 3, 4, device="meta")
    gradient, _ = estimator.vjp(evaluation, angles, None, grad_probs, None, 0, None)
    assert gradient.shape == angles.shape
    assert gradient.is_meta


def test_backends_of_the_cpu_refuse() -> None:
    angles = torch.empty(2, 3, CIRCUIT.n_angles, device="meta")
    with pytest.raises(ValueError, match="backend 'native' does not compute on meta"):
        Evaluation(CIRCUIT, qf.backends.Native(), None).run(angles, None, 0)


@pytest.mark.parametrize("sampling", ["trajectories", "marginal"])
def test_shots_are_those_of_the_cpu(sampling: str, request: pytest.FixtureRequest) -> None:
    backend, angles = qf.backends.Native(sampling=sampling), random(2, 3, CIRCUIT.n_angles)

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        generator, ids = torch.Generator().manual_seed(3), torch.tensor([4, 2])
        probs, memory = qf.evolve(CIRCUIT, angles, shots=40, generator=generator, backend=backend, sequence_ids=ids)
        assert memory is not None
        outcomes = qf.sample(CIRCUIT, angles, shots=40, generator=generator, backend=backend, sequence_ids=ids)
        return probs, memory, outcomes

    expected = draw()
    request.getfixturevalue("device")
    for found, there in zip(draw(), expected, strict=True):
        torch.testing.assert_close(found, there, rtol=0, atol=1e-12)


def test_the_engine_that_is_asked_for(request: pytest.FixtureRequest) -> None:
    angles, backend = random(2, 3, CIRCUIT.n_angles), qf.backends.Native(engine="factor")
    expected, _ = qf.evolve(CIRCUIT, angles, backend=backend)
    request.getfixturevalue("device")
    torch.testing.assert_close(qf.evolve(CIRCUIT, angles, backend=backend)[0], expected, rtol=0, atol=1e-12)
    assert isinstance(gpu._exact_engine(CIRCUIT.to_string(), "factor", gpu.device_of(angles)), FactorEngine)
