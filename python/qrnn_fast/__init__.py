"""Fast, exact simulation and training of quantum recurrent neural networks."""

import torch  # noqa: F401  before the extension, which uses the OpenMP library that torch has loaded

from qrnn_fast import cells
from qrnn_fast.circuit import Angle, Circuit

__all__ = ["Angle", "Circuit", "cells"]
