"""A long training run: 100,000 updates, by exact gradients and by SPSA over shots, in memory that stays as it is.

    python bench/soak.py [updates]

Code 1 where the resident memory behind the last update is more than 4 MB above that behind the first tenth of them, or
where threads or open files have become more.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from pathlib import Path

from qrnn_fast.experiments import runs
from qrnn_fast.experiments.settings import Settings

METHODS = {"adjoint": {}, "spsa": {"shots": 16}}
MAY_GROW = 4e6  # bytes; a leak of 64 bytes an update is 3 MB in 45,000


def usage() -> tuple[int, int, int]:
    """Resident memory in bytes, threads, open files."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def soak(method: str, updates: int, folder: Path) -> bool:
    """Train by one method; whether it took no more in the end than in the beginning."""
    settings = Settings(
        gradient=method,
        qubits=4,
        context=1,
        steps=6,
        washout=2,
        stride=2,
        batch_size=8,
        epochs=updates,
        updates=updates,
        lr=1e-4,
        validate_every=0,
        threads=1,
        **METHODS[method],
    )
    told: list[tuple[int, int, int]] = []
    began = time.perf_counter()

    def on_update(update: int, loss: float) -> None:
        if update % (updates // 10) == 0:
            gc.collect()  # what Python has not yet got round to is no leak
            told.append(usage())
            resident, threads, files = told[-1]
            seconds = time.perf_counter() - began
            columns = f"{resident / 1e6:8.2f} MB  {threads} threads  {files} files"
            print(f"{method:8} {update:7} updates {seconds:7.1f} s  {columns}", flush=True)

    runs.begin(settings, folder).run(on_update)
    (first, *others), (last, *others_in_the_end) = told[0], told[-1]
    return last - first <= MAY_GROW and others_in_the_end == others


def main(updates: int = 100_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flat = [soak(method, updates // len(METHODS), Path(folder, method)) for method in METHODS]
    sys.exit(not all(flat))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
