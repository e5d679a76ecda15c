"""Device code of the Pauli engine on an emulated GPU, against the engine of the CPU."""

from __future__ import annotations

import pytest
import qrnn_fast as qf
import torch
from emulated import EmulatedDevice
from qrnn_fast import _core
from qrnn_fast.cuda.pauli import PauliEngine
from torch import Tensor

CIRCUITS = {
    "crx_chain": qf.cells.crx_chain(6),
    "reuploading": qf.cells.reuploading(4),
    "echo_state": qf.cells.echo_state(4, repeats=1),
}


def problem(
    circuit: qf.Circuit, dtype: torch.dtype = torch.float64, *, with_memory: bool = True, n_steps: int = 3
) -> list[Tensor | None]:
    """Angles, memory, and gradients by probabilities and final memory."""
    generator = torch.Generator().manual_seed(0)
    n_sequences, dim = 5, 2 ** len(circuit.memory)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    angles, grad_probs = (
        normal(n_sequences, n_steps, circuit.n_angles),
        normal(n_sequences, n_steps, 2 ** len(circuit.readout)),
    )
    if not with_memory:
        return [angles.to(dtype), None, grad_probs.to(dtype), None]
    root = torch.view_as_complex(normal(n_sequences, dim, dim, 2))
    rho = root @ root.mH
    rho = torch.view_as_real(rho / rho.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]).contiguous()
    return [x.to(dtype) for x in (angles, rho, grad_probs, normal(n_sequences, dim, dim, 2))]


def on_cpu(
    circuit: qf.Circuit, angles: Tensor, memory: Tensor | None, grad: Tensor, grad_memory: Tensor | None
) -> list[Tensor]:
    plan, [a, m, g, h] = (
        _core.Plan(circuit._core, "pauli"),
        [None if x is None else x.numpy() for x in (angles, memory, grad, grad_memory)],
    )
    return [torch.from_numpy(x) for x in (*_core.forward(plan, a, m, 1), *_core.backward(plan, a, m, g, h, 1))]


def emulated(
    circuit: qf.Circuit,
    device: EmulatedDevice,
    angles: Tensor,
    memory: Tensor | None,
    grad: Tensor,
    grad_memory: Tensor | None,
) -> list[Tensor]:
    engine = PauliEngine(circuit, device)
    return [*engine.run(angles, memory), *engine.vjp(angles, memory, grad, grad_memory)]


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("name", CIRCUITS)
def test_agrees_with_the_cpu(name: str, with_memory: bool) -> None:
    arguments = problem(CIRCUITS[name], with_memory=with_memory)
    for found, expected in zip(
        emulated(CIRCUITS[name], EmulatedDevice(), *arguments), on_cpu(CIRCUITS[name], *arguments), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_single_precision() -> None:
    circuit = CIRCUITS["crx_chain"]
    found = emulated(circuit, EmulatedDevice(), *problem(circuit, torch.float32))
    for there, expected in zip(found, on_cpu(circuit, *problem(circuit)), strict=True):
        assert there.dtype == torch.float32
        torch.testing.assert_close(there.double(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "device",
    [
        EmulatedDevice(order=1),
        EmulatedDevice(order=7),
        EmulatedDevice(shared_bytes=2048),
        EmulatedDevice(memory_budget=100_000),
    ],
    ids=["reverse order", "random order", "workspace in global memory", "one block for all groups"],
)
def test_results_do_not_depend_on_how_the_device_works(device: EmulatedDevice) -> None:
    circuit = CIRCUITS["crx_chain"]
    for one, other in zip(
        emulated(circuit, EmulatedDevice(), *problem(circuit)),
        emulated(circuit, device, *problem(circuit)),
        strict=True,
    ):
        assert torch.equal(one, other) or device.shared_bytes == 2048
        torch.testing.assert_close(one, other, rtol=0, atol=1e-15)


def test_no_steps() -> None:
    circuit = CIRCUITS["crx_chain"]
    arguments = problem(circuit, n_steps=0)
    for found, expected in zip(
        emulated(circuit, EmulatedDevice(), *arguments), on_cpu(circuit, *arguments), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_an_angle_that_is_not_finite_spoils_its_sequence_alone() -> None:
    circuit = CIRCUITS["crx_chain"]
    angles, _, grad, _ = problem(circuit, with_memory=False)
    assert angles is not None
    assert grad is not None
    angles[1, 1, 0] = float("inf")
    probs, memory, grad_angles, _ = emulated(circuit, EmulatedDevice(), angles, None, grad, None)
    expected = on_cpu(circuit, angles, None, grad, None)
    assert torch.equal(probs.isfinite(), expected[0].isfinite())
    assert not memory[1].isfinite().any()
    assert not grad_angles[1, 1:].isfinite().all()
    assert grad_angles[[0, 2, 3, 4]].isfinite().all()


def test_too_little_memory_is_told() -> None:
    circuit = CIRCUITS["crx_chain"]
    with pytest.raises(ValueError, match=r"a sequence of 3 steps needs .* GB on the GPU, where 0\.0 GB are granted"):
        emulated(circuit, EmulatedDevice(memory_budget=100), *problem(circuit))
