"""Problems for the exact engines' device code, and what the engines of the CPU make of them."""

from __future__ import annotations

import qrnn_fast as qf
import torch
from qrnn_fast import _core
from torch import Tensor


def problem(
    circuit: qf.Circuit,
    dtype: torch.dtype = torch.float64,
    *,
    with_memory: bool = True,
    n_steps: int = 3,
    n_sequences: int = 5,
) -> list[Tensor | None]:
    """Angles, memory, and gradients by probabilities and final memory."""
    generator = torch.Generator().manual_seed(0)
    dim = 2 ** len(circuit.memory)

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
    engine: str, circuit: qf.Circuit, angles: Tensor, memory: Tensor | None, grad: Tensor, grad_memory: Tensor | None
) -> list[Tensor]:
    """Probabilities, final memory, and gradients by angles and by the initial memory."""
    plan = _core.Plan(circuit._core, engine)
    initial, grad_final = (None if x is None else torch.view_as_complex(x) for x in (memory, grad_memory))
    probs, final = _core.forward(plan, angles, initial, 1)
    grad_angles, grad_initial = _core.backward(plan, angles, initial, grad, grad_final, 1)
    return [probs, torch.view_as_real(final), grad_angles, torch.view_as_real(grad_initial)]
