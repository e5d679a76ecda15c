"""Device code of the Pauli engine on an emulated GPU, against the engine of the CPU."""

from __future__ import annotations

import pytest
import qrnn_fast as qf
import torch
from cuda_problems import on_cpu, problem
from emulated import EmulatedDevice
from qrnn_fast.cuda.pauli import PauliEngine
from torch import Tensor

CIRCUITS = {
    "crx_chain": qf.cells.crx_chain(6),
    "reuploading": qf.cells.reuploading(4),
    "echo_state": qf.cells.echo_state(4, repeats=1),
}


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
        emulated(CIRCUITS[name], EmulatedDevice(), *arguments), on_cpu("pauli", CIRCUITS[name], *arguments), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_single_precision() -> None:
    circuit = CIRCUITS["crx_chain"]
    found = emulated(circuit, EmulatedDevice(), *problem(circuit, torch.float32))
    for there, expected in zip(found, on_cpu("pauli", circuit, *problem(circuit)), strict=True):
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
        emulated(circuit, EmulatedDevice(), *arguments), on_cpu("pauli", circuit, *arguments), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_an_angle_that_is_not_finite_spoils_its_sequence_alone() -> None:
    circuit = CIRCUITS["crx_chain"]
    angles, _, grad, _ = problem(circuit, with_memory=False)
    assert angles is not None
    assert grad is not None
    angles[1, 1, 0] = float("inf")
    probs, memory, grad_angles, _ = emulated(circuit, EmulatedDevice(), angles, None, grad, None)
    expected = on_cpu("pauli", circuit, angles, None, grad, None)
    assert torch.equal(probs.isfinite(), expected[0].isfinite())
    assert not memory[1].isfinite().any()
    assert not grad_angles[1, 1:].isfinite().all()
    assert grad_angles[[0, 2, 3, 4]].isfinite().all()


def test_too_little_memory_is_told() -> None:
    circuit = CIRCUITS["crx_chain"]
    with pytest.raises(ValueError, match=r"a sequence of 3 steps needs .* GB on the GPU, where 0\.0 GB are granted"):
        emulated(circuit, EmulatedDevice(memory_budget=100), *problem(circuit))
