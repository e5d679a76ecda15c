"""Compiles every kernel of every cell for several architectures; no GPU is needed.

python tests/compile_kernels.py [ARCHITECTURE ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import qrnn_fast as qf
from qrnn_fast import _core
from qrnn_fast.cuda.nvrtc import compile_kernels

CELLS = {
    "crx_chain": qf.cells.crx_chain(8),
    "rx_rz_chain": qf.cells.rx_rz_chain(8),
    "reuploading": qf.cells.reuploading(4, repeats=2),
    "echo_state": qf.cells.echo_state(4),
    "emcz2": qf.cells.emcz2(),
    "emcz3": qf.cells.emcz3(),
    "recurrent_block": qf.cells.recurrent_block(),
    "takaki": qf.cells.takaki(),
}


def sources() -> Iterator[tuple[str, str]]:
    """Names and texts."""
    for name, circuit in CELLS.items():
        for real in ("float", "double"):
            yield f"{name:16}pauli      {real}", _core.CudaPauliPlan(circuit._core).source(real, 8)
            yield f"{name:16}factor     {real}", _core.CudaFactorPlan(circuit._core).source(real, 4)
            plan = _core.TrajectoryPlan(circuit._core)
            yield f"{name:16}trajectory {real}", _core.trajectory_source(plan, real)
    for real in ("float", "double"):
        yield f"{'':16}marginal   {real}", _core.marginal_source(real)


def compiled(job: tuple[str, str, str]) -> str:
    name, source, architecture = job
    start = time.perf_counter()
    code = compile_kernels(source, architecture)
    return f"{name:36}{architecture:8}{len(code) / 1e3:8.0f} kB{time.perf_counter() - start:8.1f} s"


def main() -> None:
    """Prints a line for each; the first that is refused ends it."""
    architectures = sys.argv[1:] or ["sm_80", "sm_90", "sm_100"]
    jobs = [(name, source, architecture) for name, source in sources() for architecture in architectures]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # so that all are compiled, not looked up
        with ProcessPoolExecutor() as pool:
            for line in pool.map(compiled, jobs):
                print(line, flush=True)
    print(f"{len(jobs)} compiled")


if __name__ == "__main__":
    main()
