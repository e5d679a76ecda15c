"""The compiled engines on NumPy arrays; memories are (real, imaginary) pairs, those that come back as well."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from qrnn_fast import _core


def forward(plan: _core.Plan, angles: np.ndarray, memory: np.ndarray | None, threads: int) -> tuple[Any, Any]:
    """Probabilities and the memory after the last step."""
    return _arrays(_core.forward(plan, torch.from_numpy(angles), _complex(memory), threads))


def backward(
    plan: _core.Plan,
    angles: np.ndarray,
    memory: np.ndarray | None,
    grad_probs: np.ndarray,
    grad_memory: np.ndarray | None,
    threads: int,
) -> tuple[Any, Any]:
    """Gradients by the angles and by the initial memory."""
    grads = torch.from_numpy(grad_probs)
    return _arrays(
        _core.backward(plan, torch.from_numpy(angles), _complex(memory), grads, _complex(grad_memory), threads)
    )


def _complex(pairs: np.ndarray | None) -> torch.Tensor | None:
    return None if pairs is None else torch.view_as_complex(torch.from_numpy(pairs))


def _arrays(found: tuple[torch.Tensor, torch.Tensor]) -> tuple[Any, Any]:
    first, memory = found
    return first.numpy(), torch.view_as_real(memory).numpy()
