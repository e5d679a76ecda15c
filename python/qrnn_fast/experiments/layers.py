"""The recurrent layers that a run may train, by the name of their cell."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qrnn_fast import cells
from qrnn_fast.circuit import Circuit
from qrnn_fast.encoders import InputsAndWeights


class DataQubits(nn.Module):
    """The features of a step on a register of data qubits: qubit k takes feature k mod `n_features`.

    Args:
        n_features: features per step, at most as many as qubits.
        n_qubits: data qubits.
        arccos: whether a qubit takes the arc cosine of its feature, which is cut to [-1, 1] first.

    Raises:
        ValueError: more features than qubits.

    Shape:
        (..., n_features) to (..., n_qubits).
    """

    def __init__(self, n_features: int, n_qubits: int, *, arccos: bool) -> None:
        super().__init__()
        if n_features > n_qubits:
            raise ValueError(
                f"this cell has {n_qubits} data qubits, half of its qubits, for {n_features} features per step; use "
                f"at least {2 * n_features} qubits, a smaller context, or a cell whose angles are linear in the input"
            )
        self.n_qubits = n_qubits
        self.copies = math.ceil(n_qubits / n_features)
        self.arccos = arccos

    def forward(self, x: Tensor) -> Tensor:
        """What each data qubit takes."""
        spread = torch.cat([x] * self.copies, -1)[..., : self.n_qubits]
        return spread.clamp(-1, 1).acos() if self.arccos else spread

    def extra_repr(self) -> str:
        return f"{self.n_qubits}, arccos={self.arccos}"


def data_and_weights(
    n_inputs: int, circuit: Circuit, repeats: int, dtype: torch.dtype, *, arccos: bool
) -> nn.Sequential:
    """The encoder of a circuit of two registers: the input on its data qubits, which are read, and weights."""
    n_data = len(circuit.readout)
    return nn.Sequential(
        DataQubits(n_inputs, n_data, arccos=arccos),
        InputsAndWeights(n_data, circuit.n_angles - n_data, dtype=dtype),
    )


def echo_state_encoder(n_inputs: int, circuit: Circuit, repeats: int, dtype: torch.dtype) -> nn.Linear:
    """Angles W_in x + W_bias with the random weights of 'Quantum Observers' (arXiv:2505.06799).

    W_in is drawn from N(pi / (8 c r), pi / (24 c r)), W_bias from N(pi / (12 c r), pi / (36 c r)), mean and standard
    deviation, for c features and r repeats.
    """
    encoder = nn.Linear(n_inputs, circuit.n_angles, dtype=dtype)
    unit = math.pi / (n_inputs * repeats)
    nn.init.normal_(encoder.weight, unit / 8, unit / 24)
    nn.init.normal_(encoder.bias, unit / 12, unit / 36)
    return encoder


class Cell(NamedTuple):
    """What a quantum cell's name stands for.

    Attributes:
        circuit: one time step, for an even number of qubits and a number of repeats.
        encoder: for the number of inputs, the circuit, the repeats and a dtype; None for QRNN's own linear one.
        has_repeats: whether the number of repeats is free; it is 1 where not.
    """

    circuit: Callable[[int, int], Circuit]
    encoder: Callable[[int, Circuit, int, torch.dtype], nn.Module] | None = None
    has_repeats: bool = True


_PLAIN, _ARCCOS = (functools.partial(data_and_weights, arccos=arccos) for arccos in (False, True))
QUANTUM = {
    "crx_chain": Cell(cells.crx_chain),
    "rx_rz_chain": Cell(cells.rx_rz_chain),
    "reuploading": Cell(cells.reuploading),
    "echo_state": Cell(cells.echo_state, echo_state_encoder),
    "emcz2": Cell(lambda n, repeats: cells.emcz2(n // 2, n // 2, repeats, repeats), _PLAIN),
    "emcz3": Cell(lambda n, repeats: cells.emcz3(n // 2, n // 2, repeats, repeats), _PLAIN),
    "recurrent_block": Cell(lambda n, _: cells.recurrent_block(n // 2, n // 2), _ARCCOS, has_repeats=False),
    "takaki": Cell(lambda n, repeats: cells.takaki(n // 2, n // 2, repeats), _ARCCOS),
}


class ClassicalCell(NamedTuple):
    """What a classical cell's name stands for.

    Attributes:
        layer: PyTorch's.
        n_gates: how many gates, candidates included, it has of the size of its hidden state.
    """

    layer: Callable[..., nn.Module]
    n_gates: int

    def hidden_size(self, n_inputs: int, n_targets: int, n_qubits: int) -> int:
        """The size with about as many parameters as a QRNN of a `crx_chain`, both with their linear heads.

        Args:
            n_inputs: features per step.
            n_targets: outputs of the head.
            n_qubits: of the `crx_chain`.
        """
        wanted = (7 * n_qubits - 1) * (n_inputs + 1) + (2 ** (n_qubits // 2) + 1) * n_targets

        def n_parameters(hidden: int) -> int:  # PyTorch has two biases for each gate
            return self.n_gates * hidden * (n_inputs + hidden + 2) + (hidden + 1) * n_targets

        return min(range(1, wanted), key=lambda hidden: abs(n_parameters(hidden) - wanted))


CLASSICAL = {"gru": ClassicalCell(nn.GRU, 3), "lstm": ClassicalCell(nn.LSTM, 4)}
CELLS = (*QUANTUM, *CLASSICAL)
