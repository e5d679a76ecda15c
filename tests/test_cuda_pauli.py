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


def problem(circuit: qf.Circuit, dtype: torch.dtype, *, with_memory: bool) -> list[Tensor | None]:
    """Angles, memory, and gradients by probabilities and final memory."""
    generator = torch.Generator().manual_seed(0)
    n_sequences, n_steps, dim = 5, 3, 2 ** len(circuit.memory)

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
    arguments = problem(CIRCUITS[name], torch.float64, with_memory=with_memory)
    for found, expected in zip(
        emulated(CIRCUITS[name], EmulatedDevice(), *arguments), on_cpu(CIRCUITS[name], *arguments), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
