"""Fast, exact simulation and training of quantum recurrent neural networks."""

import qrnn_fast.openmp  # noqa: F401  before the extension, which uses the library it shows
from qrnn_fast import backends, cells, noise
from qrnn_fast.circuit import Angle, Circuit
from qrnn_fast.encoders import InputsAndWeights
from qrnn_fast.estimators import FDSA, SPSA, Adjoint, ParameterShift
from qrnn_fast.evolve import evolve
from qrnn_fast.fallback import FallbackWarning
from qrnn_fast.memory import check_memory
from qrnn_fast.nn import QRNN
from qrnn_fast.noise import NoiseModel
from qrnn_fast.qiskit_io import from_qasm3, from_qiskit
from qrnn_fast.qlstm import QLSTM
from qrnn_fast.qpu_time import estimate
from qrnn_fast.sampling import sample

__all__ = [
    "FDSA",
    "QLSTM",
    "QRNN",
    "SPSA",
    "Adjoint",
    "Angle",
    "Circuit",
    "FallbackWarning",
    "InputsAndWeights",
    "NoiseModel",
    "ParameterShift",
    "backends",
    "cells",
    "check_memory",
    "estimate",
    "evolve",
    "from_qasm3",
    "from_qiskit",
    "noise",
    "sample",
]
