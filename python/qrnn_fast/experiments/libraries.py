"""What a process computes with besides the packages whose versions are told."""

from __future__ import annotations

import importlib.util

import torch

from qrnn_fast.openmp import openmp_libraries


def libraries() -> dict[str, str]:
    """OpenMP, the GPU, and whether circuits can be sent to IBM's processors."""
    return {
        "openmp": ", ".join(openmp_libraries()) or "not told by this system",
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "PyTorch sees no GPU",
        "runtime": "qiskit_ibm_runtime"
        if importlib.util.find_spec("qiskit_ibm_runtime")
        else "not installed: pip install 'qrnn_fast[runtime]'",
    }
