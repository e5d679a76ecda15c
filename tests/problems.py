"""A small circuit with everything in it, and random angles, memories and losses for it."""

from __future__ import annotations

import qrnn_fast as qf
import torch
from torch import Tensor


def circuit(n_qubits: int = 4) -> qf.Circuit:
    """Memory on the even qubits, readout on the odd ones; every slot twice, once scaled and moved."""
    c = qf.Circuit(n_qubits)
    slots = [c.angle() for _ in range(2 * n_qubits)]
    for k in range(n_qubits):
        c.rx(slots[2 * k], k).rz(slots[2 * k + 1], k)
    for k in range(n_qubits - 1):
        c.crx(0.5 * slots[k] + 0.1, k, k + 1)
    for k in range(n_qubits):
        c.ry(slots[2 * k + 1], k)
    odd = range(1, n_qubits, 2)
    return c.measure(odd).reset(odd)


def angles(c: qf.Circuit, *leading: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*leading, c.n_angles, generator=generator, dtype=torch.float64).to(dtype)


def factor(c: qf.Circuit, *leading: int, seed: int = 1) -> Tensor:
    dim = 2 ** len(c.memory)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*leading, dim, dim, generator=generator, dtype=torch.complex128)


def density(lower: Tensor) -> Tensor:
    rho = lower @ lower.mH
    return rho / rho.diagonal(dim1=-2, dim2=-1).sum(-1).real[..., None, None]


def loss(probs: Tensor, memory: Tensor | None = None) -> Tensor:
    """A fixed linear function of the outputs, the same for cut and uncut sequences."""
    weights = torch.linspace(-1, 1, probs.shape[-1], dtype=probs.dtype)
    value = (probs * weights).sum()
    if memory is not None:
        pairs = torch.view_as_real(memory)
        value = value + (pairs * torch.linspace(-1, 2, pairs[0].numel(), dtype=pairs.dtype).view(pairs[0].shape)).sum()
    return value


class Flipped:
    """The native backend, with the outcomes in reverse order or not."""

    name = "flipped"

    def __init__(self, *, flip: bool) -> None:
        self.flip = flip

    def run(self, c: qf.Circuit, a: Tensor, memory: Tensor | None, **_: object):
        probs, final = qf.backends.Native().run(c, a, memory)
        return (probs.flip(-1).contiguous() if self.flip else probs), final
