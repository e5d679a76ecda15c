"""Noise: the usual channels, and models that attach them to a circuit's gates."""

from qrnn_fast.noise.channels import (
    amplitude_damping,
    bit_flip,
    depolarizing,
    pauli_channel,
    phase_damping,
    thermal_relaxation,
)
from qrnn_fast.noise.model import NoiseModel

__all__ = [
    "NoiseModel",
    "amplitude_damping",
    "bit_flip",
    "depolarizing",
    "pauli_channel",
    "phase_damping",
    "thermal_relaxation",
]
