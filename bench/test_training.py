"""Whole weight updates, and how they compare with PyTorch + Aer, side by side in one run, one thread for ours.

Targets: an Adam update by the adjoint at batch 32 under 3 ms. Batch 1, crx_chain with 8 qubits, T = 20, context 1: an
SPSA update (2 samples, 5 circuits) 5,000 times faster than with Aer at 1,024 shots and 1,000 times faster than with
Aer's exact way; an FDSA update (110 weights, 221 circuits) 50,000 and 5,000 times.

Aer's SPSA update is the same layer with backend=Aer, all circuits of a gradient in one job, Aer choosing its threads.
Aer's FDSA update is taken as 221 times one circuit, measured in the same run.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import qrnn_fast as qf
import torch
from timing import seconds

STEPS = 20


def update(batch: int, input_size: int, dtype: torch.dtype, **settings: object) -> Callable[[], None]:
    """One training step: encoder, circuit, head, loss on steps 5 on, backward, Adam."""
    torch.manual_seed(0)
    model = qf.QRNN(input_size, dtype=dtype, **settings)  # type: ignore[arg-type]
    head = torch.nn.Linear(model.output_size, 2, dtype=dtype)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    x = torch.rand(STEPS, batch, input_size, dtype=dtype)
    target = torch.rand(STEPS - 5, batch, 2, dtype=dtype)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        output, _ = model(x)
        (head(output[5:]) - target).square().mean().backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
def test_adjoint_update_at_batch_32(median_of: Callable[..., float], dtype: torch.dtype) -> None:
    assert median_of(update(32, 1, dtype, gradient="adjoint"), rounds=200) < 3e-3


@pytest.mark.parametrize("shots", [1024, None], ids=["1024 shots", "exact"])
def test_against_aer(shots: int | None) -> None:
    aer = qf.backends.Aer(shots=shots)
    circuit = qf.cells.crx_chain(8)
    angles = torch.rand(1, STEPS, circuit.n_angles, dtype=torch.float64)
    ours = {m: seconds(update(1, 1, torch.float32, gradient=m), rounds=100) for m in ("spsa", "fdsa")}
    one_circuit = seconds(lambda: aer.run(circuit, angles, None, seed=1), rounds=5, warmup=1)
    theirs = {
        "spsa": seconds(update(1, 1, torch.float32, gradient="spsa", backend=aer), rounds=3, warmup=1),
        "fdsa": 221 * one_circuit,
    }
    targets = {"spsa": 5000, "fdsa": 50000} if shots else {"spsa": 1000, "fdsa": 5000}
    print(f"\nAer, {f'{shots} shots' if shots else 'exact'}: {one_circuit:.3f} s a circuit")
    for method, target in targets.items():
        print(
            f"{method}: {ours[method] * 1e3:.3f} ms an update, Aer {theirs[method]:.2f} s, "
            f"{theirs[method] / ours[method]:,.0f} times (target {target:,})"
        )
    for method, target in targets.items():
        assert theirs[method] >= target * ours[method]
