"""Sampling: pure-state trajectories against Qiskit Aer at the same number of shots.

Targets for crx_chain, 8 qubits, T = 20, 1,024 shots, one core: 0.035 us per shot and step in float32, and 800 times
faster than Aer per circuit. 16 and 20 qubits run in the memory that `Circuit.plan` tells.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

import pytest
import qrnn_fast as qf
import torch
from timing import seconds

DTYPES = {"f32": torch.float32, "f64": torch.float64}
SHOTS = 1024


def random_angles(circuit: qf.Circuit, n_rows: int, n_steps: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n_rows, n_steps, circuit.n_angles, generator=generator, dtype=dtype) * 6 - 3


@pytest.mark.parametrize("n_rows", [1, 32])
@pytest.mark.parametrize("dtype", DTYPES)
def test_crx_chain(median_of: Callable[..., float], dtype: str, n_rows: int) -> None:
    circuit = qf.cells.crx_chain(8)
    a, backend = random_angles(circuit, n_rows, 20, DTYPES[dtype]), qf.backends.Native(threads=1)
    time = median_of(lambda: backend.run(circuit, a, None, shots=SHOTS), rounds=50 if n_rows == 1 else 7)
    per_shot = time / (n_rows * SHOTS * 20)
    print(f"\n{dtype}, B = {n_rows}: {per_shot * 1e9:.1f} ns per shot and step (target 35 in f32)")
    assert per_shot <= (0.035e-6 if dtype == "f32" else 0.11e-6)


def test_against_aer() -> None:
    circuit = qf.cells.crx_chain(8)
    a = random_angles(circuit, 1, 20, torch.float32)
    aer, native = qf.backends.Aer(shots=SHOTS, max_parallel_threads=1), qf.backends.Native(threads=1)
    theirs = seconds(lambda: aer.run(circuit, a, None, seed=1), rounds=3, warmup=1)
    ours = seconds(lambda: native.run(circuit, a, None, shots=SHOTS, seed=1), rounds=50)
    print(f"\nAer {theirs:.3f} s a circuit, ours {ours * 1e3:.3f} ms: {theirs / ours:.0f} times faster (target 800)")
    assert theirs / ours >= 800


@pytest.mark.parametrize("n_qubits", [16, 20])
def test_many_qubits(n_qubits: int) -> None:
    circuit = qf.cells.crx_chain(n_qubits)
    cost = circuit.plan().sampling
    a, before = random_angles(circuit, 1, 20, torch.float32), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    time = seconds(lambda: qf.sample(circuit, a, SHOTS, backend=qf.backends.Native(threads=1)), rounds=1, warmup=1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    print(
        f"\n{n_qubits} qubits: {time / SHOTS / 20 * 1e6:.2f} us per shot and step; {cost.bytes / 1e6:.2f} MB of states "
        f"a thread told beforehand, {grown:.1f} MB more than before at the peak"
    )
    assert grown * 1e6 < cost.bytes + 64e6
