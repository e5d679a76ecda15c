"""The OpenMP library of the process: PyTorch's, which the extension uses as well."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import torch

_NAMES = ("libgomp", "libomp", "libiomp")


def openmp_libraries() -> list[str]:
    """The files of the OpenMP libraries in this process; empty where the system, other than Linux, does not tell."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    files = {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if "/" in line}
    return sorted(file for file in files if Path(file).name.startswith(_NAMES))


def _show_to_the_extension() -> None:
    """Let the extension, which is linked to no OpenMP library, find the one that PyTorch has loaded.

    PyTorch's wheels for x86-64 show theirs to all that is loaded later; those for aarch64 do not.
    """
    if sys.platform != "linux" or hasattr(ctypes.CDLL(None), "GOMP_parallel"):
        return
    folder = Path(torch.__file__).parent
    # Before others that are there as well, Qiskit Aer's for one.
    loaded = sorted(openmp_libraries(), key=lambda file: not Path(file).is_relative_to(folder))
    if loaded:
        ctypes.CDLL(loaded[0], mode=os.RTLD_GLOBAL | os.RTLD_NOLOAD)


_show_to_the_extension()
