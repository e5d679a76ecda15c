"""Density matrices of the carried qubits."""

from __future__ import annotations

import torch
from torch import Tensor


def check_memory(memory: Tensor) -> None:
    """Raise ValueError unless every matrix of `memory` is a density matrix, positive semidefinite included.

    `evolve` itself checks all but positivity, which takes an eigendecomposition; with shots, that as well.

    Args:
        memory: (..., d, d) complex64 or complex128.

    Raises:
        ValueError: not square, not finite, not Hermitian, of a trace other than 1, or with a negative eigenvalue; to
            1e-4 for complex64 and 1e-6 for complex128.
        TypeError: not a complex tensor.
    """
    given = f"{memory.dtype}" if isinstance(memory, Tensor) else type(memory).__name__
    if not isinstance(memory, Tensor) or memory.dtype not in (torch.complex64, torch.complex128):
        raise TypeError(f"memory must be a complex64 or complex128 tensor, got {given}")
    if memory.dim() < 2 or memory.shape[-1] != memory.shape[-2]:
        raise ValueError(f"memory must have the shape (..., d, d), got {tuple(memory.shape)}")
    tolerance = 1e-6 if memory.dtype == torch.complex128 else 1e-4
    rho = memory.detach()
    if not torch.view_as_real(rho.resolve_conj()).isfinite().all():
        raise ValueError("memory is not a density matrix: it holds a number that is not finite")
    if (rho - rho.mH).abs().amax(dim=(-2, -1)).gt(tolerance).any():
        raise ValueError("memory is not a density matrix: it is not Hermitian")
    traces = rho.diagonal(dim1=-2, dim2=-1).sum(-1).real
    if (traces - 1).abs().gt(tolerance).any():
        raise ValueError(f"memory is not a density matrix: its trace is {traces.flatten().tolist()}, not 1")
    smallest = torch.linalg.eigvalsh(rho).amin().item() if rho.numel() else 0.0
    if smallest < -tolerance:
        raise ValueError(f"memory is not a density matrix: its smallest eigenvalue is {smallest}, below 0")


def eigenstates(memory: Tensor) -> tuple[Tensor, Tensor]:
    """Pure states that a memory is a mixture of, for `sample` to draw from.

    Args:
        memory: (B, d, d) complex, density matrices.

    Returns:
        The eigenvectors (B, K, d), and their weights summed up (B, K) float64, in the order of descending weight; K is
        what the mixture of highest rank needs.

    Raises:
        ValueError: as of `check_memory`.
    """
    check_memory(memory)
    weights, columns = torch.linalg.eigh((memory + memory.mH) / 2)
    weights = weights.double().clamp(min=0).flip(-1)
    # Weights beyond rounding: an eigenvector that is drawn once in 2^32 times is left out.
    rank = max(1, int((weights > 2.0**-32).sum(-1).amax())) if weights.numel() else 1
    return columns.mT.flip(-2)[:, :rank].contiguous(), weights[:, :rank].cumsum(-1)
