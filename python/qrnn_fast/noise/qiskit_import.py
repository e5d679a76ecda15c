"""Qiskit Aer's noise models as models of qrnn_fast; imports Qiskit."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.circuit import Delay
from qiskit.quantum_info import Choi, SuperOp
from qiskit_aer.noise import NoiseModel as AerNoiseModel
from qiskit_aer.noise.passes import RelaxationNoisePass

from qrnn_fast.noise.channels import from_choi
from qrnn_fast.noise.model import NoiseModel

# Noise on these is dropped: no circuit of qrnn_fast holds them.
_IDLE = ("id", "delay")


def from_qiskit(model: Any) -> NoiseModel:
    """The model that a qiskit_aer.noise.NoiseModel describes.

    Noise on "id" and "delay" is left out, since no circuit of qrnn_fast holds them.

    Args:
        model: a qiskit_aer.noise.NoiseModel; its entries must be for gates of the op table, reset or measure.

    Raises:
        ValueError: errors on three qubits or more, for unknown instructions, of maps that are no channels, added by
            transpiler passes, or in reading several qubits together.
        TypeError: `model` is something else.
    """
    if not isinstance(model, AerNoiseModel):
        raise TypeError(f"from_qiskit takes a qiskit_aer.noise.NoiseModel, got {type(model).__name__}")
    for transform in model._custom_noise_passes:
        # The pass that from_backend adds; it acts on delays.
        if not (isinstance(transform, RelaxationNoisePass) and transform._ops == (Delay,)):
            raise ValueError(
                f"Qiskit's noise model holds the transpiler pass {type(transform).__name__}, which cannot be taken over"
            )
    ours = NoiseModel()
    # Aer 0.18 offers no other way to its errors than attributes of its own.
    for name, error in model._default_quantum_errors.items():
        _add(ours, error, name, None)
    for name, errors in model._local_quantum_errors.items():
        for qubits, error in errors.items():
            _add(ours, error, name, tuple(qubits))
    if model._default_readout_error is not None:
        ours.add_readout_error(model._default_readout_error.probabilities.T)
    for qubits, error in model._local_readout_errors.items():
        if len(qubits) > 1:
            raise ValueError(
                f"Qiskit's noise model holds a readout error on qubits {tuple(qubits)} together, which Aer does not "
                "apply to measurements qubit by qubit; take it out and use NoiseModel.add_readout_error"
            )
        ours.add_readout_error(error.probabilities.T, qubits)
    return ours


def _add(ours: NoiseModel, error: Any, name: str, qubits: tuple[int, ...] | None) -> None:
    if name in _IDLE:
        return
    entry = f"the error on {name!r}" + ("" if qubits is None else f" on qubits {qubits}")
    if error.num_qubits > 2:
        raise ValueError(f"{entry} of Qiskit's noise model acts on {error.num_qubits} qubits; accepted: 1 or 2")
    try:
        ours.add(from_choi(np.asarray(Choi(SuperOp(error)).data)), name, qubits)
    except ValueError as problem:
        raise ValueError(f"{entry} of Qiskit's noise model cannot be taken over: {problem}") from problem
