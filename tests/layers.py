"""Small layers, inputs and memories for the tests of QRNN."""

from __future__ import annotations

import qrnn_fast as qf
import torch
from qrnn_fast import cells
from torch import Tensor, nn

GRADIENTS = [
    "adjoint",
    "parameter-shift",
    qf.FDSA(c=1e-4, wrt="angles"),
    qf.FDSA(c=1e-4, wrt="weights"),
]


def circuit() -> qf.Circuit:
    return cells.crx_chain(n_qubits=4)


def layer(**settings: object) -> qf.QRNN:
    torch.manual_seed(0)
    return qf.QRNN(3, circuit(), dtype=torch.float64, **settings)


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def memory(n: int) -> Tensor:
    lower = torch.randn(n, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.complex128)
    rho = lower @ lower.mH
    return (rho / rho.diagonal(dim1=1, dim2=2).sum(1).real[:, None, None]).unsqueeze(0)


def parameter_gradients(model: nn.Module, value: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(value, [p for p in model.parameters() if p.requires_grad]))


def value_of(output: Tensor, h_n: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, output.shape[-1], dtype=output.dtype)
    return (output.square() * weights).sum() + h_n[..., 0, 1].imag.sum() + h_n[..., 0, 0].abs().square().sum()
