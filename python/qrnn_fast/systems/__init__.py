"""Dynamical systems to learn from, and how their records are split, scaled and cut into windows."""

from qrnn_fast.systems.catalogue import NAMES, find_system
from qrnn_fast.systems.columns import column_numbers
from qrnn_fast.systems.kuramoto_sivashinsky import KuramotoSivashinsky, KuramotoSivashinsky2D
from qrnn_fast.systems.lorenz import Lorenz
from qrnn_fast.systems.system import System
from qrnn_fast.systems.windows import Scaling, load_record, split_row, window_starts

__all__ = [
    "NAMES",
    "KuramotoSivashinsky",
    "KuramotoSivashinsky2D",
    "Lorenz",
    "Scaling",
    "System",
    "column_numbers",
    "find_system",
    "load_record",
    "split_row",
    "window_starts",
]
