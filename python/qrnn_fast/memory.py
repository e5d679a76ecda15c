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
    """Pure states that a memory is a mixture of, for shots to begin in.

    On a GPU, torch waits for it here, once: it looks whether the decomposition has converged. Where eigenvalues
    coincide, the states depend on the device, and so does what is drawn from them; their mixture does not.

    Args:
        memory: (B, d, d) complex, density matrices (`check_memory` tells).

    Returns:
        The eigenvectors (B, d, d), one in each row, and their weights summed up (B, d) float64, in the order of
        descending weight.
    """
    weights, columns = torch.linalg.eigh((memory + memory.mH) / 2)
    weights = weights.double().flip(-1)
    # Weights beyond rounding: an eigenvector that would be drawn once in 2^32 times is never drawn.
    weights = weights.where(weights > 2.0**-32, 0.0)
    return columns.mT.flip(-2).contiguous(), weights.cumsum(-1)
