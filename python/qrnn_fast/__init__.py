"""Fast, exact simulation and training of quantum recurrent neural networks."""
from qrnn_fast.circuit import Angle, Circuit

__all__ = ["Angle", "Circuit"]
