"""Encoders: what turns an input into the angles of a circuit, beside the linear one that QRNN makes by itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class InputsAndWeights(nn.Module):
    """Angles of a circuit that has slots for its input and slots for weights of its own.

    The usual form of circuits from elsewhere: the input's features stand in the first slots as they are, the others
    hold trainable angles, the same at every step and for every sequence.

    Args:
        n_inputs: features per step, and slots that take them, at least 1.
        n_weights: trainable angles, at least 1.
        dtype: torch.float32 or torch.float64.

    Raises:
        ValueError: a number below 1.

    Attributes:
        weights: (n_weights,), radians, drawn from U(-pi, pi).

    Shape:
        (..., n_inputs) to (..., n_inputs + n_weights).
    """

    def __init__(self, n_inputs: int, n_weights: int, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        if n_inputs < 1 or n_weights < 1:
            raise ValueError(f"n_inputs and n_weights must be at least 1, got {n_inputs} and {n_weights}")
        self.n_inputs = n_inputs
        self.weights = nn.Parameter(torch.empty(n_weights, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        nn.init.uniform_(self.weights, -math.pi, math.pi)

    def forward(self, x: Tensor) -> Tensor:
        """Append the weights to every row of the input."""
        if x.shape[-1] != self.n_inputs:
            raise ValueError(f"the input must have {self.n_inputs} features, got the shape {tuple(x.shape)}")
        return torch.cat([x, self.weights.expand(*x.shape[:-1], -1)], -1)

    def extra_repr(self) -> str:
        return f"{self.n_inputs}, {len(self.weights)}"
