"""What Python and PyTorch add to the engine: crx_chain, 8 qubits, T = 20, one sequence, one thread.

Targets: `evolve` at most 25 us above the engine's own time; with the gradient at most 60 us above the engine's two
calls and what torch.autograd takes for a function that does nothing; a whole training update at batch 1 (Linear,
circuit, Linear, loss, backward, Adam) by the adjoint at most 0.4 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from qrnn_fast import _core
from test_training import update
from timing import in_blocks, seconds

DTYPES = {"f32": torch.float32, "f64": torch.float64}


class Nothing(torch.autograd.Function):
    """Two outputs of the right shapes, and a gradient of zeros: torch's own part of a forward and a backward pass."""

    @staticmethod
    def forward(ctx: Any, angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(angles)
        ctx.set_materialize_grads(False)
        return angles.new_empty(1, 20, 16), angles.new_empty(1, 16, 16, 2)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(ctx.saved_tensors[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_evolve(dtype: str) -> None:
    circuit = qf.cells.crx_chain(8)
    plan = _core.Plan(circuit._core)
    angles, weights = torch.rand(1, 20, 55, dtype=DTYPES[dtype]), torch.rand(1, 20, 16, dtype=DTYPES[dtype])
    tracked = angles.clone().requires_grad_()

    def differentiated(function: Callable[[torch.Tensor], tuple[torch.Tensor, Any]]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(function(tracked)[0], tracked, weights)

    calls = [
        lambda: _core.forward(plan, angles, None, 1),
        lambda: _core.backward(plan, angles, None, weights, None, 1),
        lambda: qf.evolve(circuit, angles),
        differentiated(lambda t: qf.evolve(circuit, t)),
        differentiated(Nothing.apply),
    ]
    forward, backward, evolve, gradient, torchs_own = in_blocks(calls)
    above, above_both = evolve - forward, gradient - forward - backward
    print(
        f"\n{dtype}: engine {forward * 1e6:.1f} us, adjoint {backward * 1e6:.1f} us; evolve {above * 1e6:.1f} us above "
        f"(target 25); with the gradient {above_both * 1e6:.1f} us above, torch's own {torchs_own * 1e6:.1f} us of "
        f"that, the rest {(above_both - torchs_own) * 1e6:.1f} us (target 60)"
    )
    assert above <= 25e-6
    assert above_both - torchs_own <= 60e-6


def test_adjoint_update_at_batch_1() -> None:
    time = seconds(update(1, 1, torch.float32, gradient="adjoint"), rounds=1000, warmup=50)
    print(f"\nadjoint update at batch 1: {time * 1e3:.3f} ms (target 0.4)")
    assert time <= 0.4e-3
