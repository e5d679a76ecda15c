"""The hard-coded yardstick: a program that does nothing but crx_chain with 8 qubits, compiled and run beside ours.

Set QRNN_FAST_YARDSTICK to its source (a C++ file whose first line is the comment that says how to build it). It needs
AVX-512; where the machine has none, the benchmarks say so and report their own figures alone.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest
from qrnn_fast import _core


@lru_cache(maxsize=1)
def figures() -> dict[str, float]:
    """Median seconds per sequence and step, by names such as 'fwd f64 B=128 T=20 thr=1'; skips where it cannot run."""
    source = os.environ.get("QRNN_FAST_YARDSTICK")
    if not source:
        pytest.skip("no yardstick: QRNN_FAST_YARDSTICK is not set")
    if "avx512" not in _core.available_instruction_sets():
        pytest.skip("no yardstick: it needs AVX-512, which this processor lacks")
    path = Path(source).resolve()
    command = path.read_text().splitlines()[0].removeprefix("//").split("&&")[0]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "yardstick"
        arguments = shlex.split(command)
        arguments[arguments.index("-o") + 1] = str(program)
        subprocess.run(arguments, cwd=path.parent, check=True)
        output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^((?:fwd|grad) .*?thr=\d).*per seq-step min +\S+ med +(\S+) ns", output, re.MULTILINE)
    return {" ".join(name.split()): float(ns) * 1e-9 for name, ns in found}
