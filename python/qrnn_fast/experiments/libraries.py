"""What a process computes with besides the packages whose versions are told."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_OPENMP = ("libgomp", "libomp", "libiomp")


def openmp_libraries() -> list[str]:
    """The files of the OpenMP libraries in this process; empty where the system, other than Linux, does not tell."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    files = {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if "/" in line}
    return sorted(file for file in files if Path(file).name.startswith(_OPENMP))


def libraries() -> dict[str, str]:
    """OpenMP, the GPU, and whether circuits can be sent to IBM's processors."""
    return {
        "openmp": ", ".join(openmp_libraries()) or "not told by this system",
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "PyTorch sees no GPU",
        "runtime": "qiskit_ibm_runtime"
        if importlib.util.find_spec("qiskit_ibm_runtime")
        else "not installed: pip install 'qrnn_fast[runtime]'",
    }
