"""The factor engine: columns of amplitudes, for circuits that keep all qubits.

Target: the published echo-state network's setting (12 qubits, 3 repeats, context 3), exact, over 2,000 steps within
60 s on two cores.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from qrnn_fast import Circuit, _core, cells
from qrnn_fast.systems import Lorenz

CIRCUITS: dict[str, Callable[[], Circuit]] = {
    "echo_state 8": lambda: echo_state(8),
    "echo_state 10": lambda: echo_state(10),
    "reuploading 8, repeats 2": lambda: cells.reuploading(8, 2),
    "crx_chain 8, repeats 3": lambda: cells.crx_chain(8, 3),
}


def echo_state(n_qubits: int, repeats: int = 3) -> Circuit:
    return cells.echo_state(n_qubits, repeats, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["fwd", "grad"])
@pytest.mark.parametrize("name", CIRCUITS)
def test_engines(median_of: Callable[..., float], name: str, kind: str) -> None:
    """The chosen engine's time; it is at most 1.5 times that of the other."""
    circuit = CIRCUITS[name]()
    generator = torch.Generator().manual_seed(0)
    angles = torch.empty(8, 8, circuit.n_angles, dtype=torch.float64).uniform_(-3, 3, generator=generator)
    weights = torch.randn(8, 8, 2 ** len(circuit.readout), dtype=torch.float64, generator=generator)

    def call(plan: _core.Plan) -> Callable[[], object]:
        if kind == "fwd":
            return lambda: _core.forward(plan, angles, None, 1)
        return lambda: _core.backward(plan, angles, None, weights, None, 1)

    plan = _core.Plan(circuit._core)
    chosen = median_of(call(plan), rounds=7, engine=plan.engine)
    other = _core.Plan(circuit._core, {"pauli": "factor", "factor": "pauli"}[plan.engine])
    run = call(other)
    run()
    start = time.perf_counter()
    run()
    override = time.perf_counter() - start
    print(
        f"\n{name}, {kind}: {plan.engine} {chosen / 64 * 1e6:.1f} us per sequence and step, "
        f"{chosen / 64 / plan.operations * 1e9:.3f} ns per multiply-add of the forward pass; "
        f"{other.engine} {override / 64 * 1e6:.1f} us"
    )
    assert chosen < 1.5 * override


def test_echo_state_over_2000_steps(benchmark: Callable[..., object]) -> None:
    n, repeats, context, steps = 12, 3, 3, 2000
    rng = np.random.default_rng(0)
    x = Lorenz(rows=steps + context).record()[:, 0]
    x = (x - x.min()) / (x.max() - x.min())
    windows = np.stack([x[context - 1 - k : context - 1 - k + steps] for k in range(context)], -1)
    weight = rng.normal(math.pi / (8 * context * repeats), math.pi / (24 * context * repeats), (context, 3 * n))
    bias = rng.normal(math.pi / (12 * context * repeats), math.pi / (36 * context * repeats), 3 * n)
    angles = torch.from_numpy(windows @ weight + bias)[None]
    plan = _core.Plan(echo_state(n, repeats)._core)
    results: list[tuple[torch.Tensor, torch.Tensor]] = []
    start = time.perf_counter()
    benchmark.pedantic(lambda: results.append(_core.forward(plan, angles, None, 2)), rounds=1)  # type: ignore[attr-defined]
    elapsed = time.perf_counter() - start
    probs, memory = results[0]
    smallest = torch.linalg.eigvalsh(memory[0]).min()
    print(
        f"\n{steps} steps in {elapsed:.1f} s; probabilities sum to 1 within {(probs.sum(-1) - 1).abs().max():.1e}, "
        f"smallest eigenvalue of the memory {smallest:.1e}"
    )
    assert smallest > -1e-12
    assert elapsed < 60
