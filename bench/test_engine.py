"""The engine alone: crx_chain, 8 qubits, T = 20, one thread.

Targets, against the yardstick run beside it: forward and gradient at most 1.6 times its time; a run of 2,969 steps
under 10 ms. Circuits of other shapes stay within 1.5 times crx_chain's time per planned operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import yardstick
from qrnn_fast import Angle, Circuit, _core, cells
from timing import interleaved
from torch import Tensor

BATCH, STEPS = 128, 20
DTYPES = {"f64": torch.float64, "f32": torch.float32}


def problem(
    circuit: Circuit, dtype: torch.dtype, batch: int = BATCH, steps: int = STEPS
) -> tuple[_core.Plan, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    angles = torch.empty(batch, steps, circuit.n_angles, dtype=dtype).uniform_(-3, 3, generator=generator)
    weights = torch.randn(batch, steps, 2 ** len(circuit.readout), dtype=dtype, generator=generator)
    return _core.Plan(circuit._core), angles, weights


def calls(circuit: Circuit, dtype: torch.dtype = torch.float64) -> dict[str, Callable[[], object]]:
    plan, angles, weights = problem(circuit, dtype)
    return {
        "fwd": lambda: _core.forward(plan, angles, None, 1),
        "grad": lambda: _core.backward(plan, angles, None, weights, None, 1),
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["fwd", "grad"])
def test_batch(median_of: Callable[..., float], kind: str, dtype: str) -> None:
    call = calls(cells.crx_chain(8), DTYPES[dtype])[kind]
    per_step = median_of(call, isa=_core.instruction_set()) / (BATCH * STEPS)
    print(f"\n{kind} {dtype} on {_core.instruction_set()}: {per_step * 1e6:.3f} us per sequence and step")
    limit = yardstick.figures()[f"{kind} {dtype} B={BATCH} T={STEPS} thr=1"]
    print(f"yardstick {limit * 1e6:.3f} us, ratio {per_step / limit:.2f}")
    assert per_step <= 1.6 * limit


def test_long_run(median_of: Callable[..., float]) -> None:
    plan, angles, _ = problem(cells.crx_chain(8), torch.float64, 1, 2969)
    assert median_of(lambda: _core.forward(plan, angles, None, 1)) < 10e-3


def by_hand(n: int, order: list[int], *, rx_as_u: bool = False, coupling: str = "crx") -> Circuit:
    """crx_chain gate by gate: qubits relabelled, RX written as U, or another controlled rotation in place of CRX."""
    circuit = Circuit(n, 7 * n - 1)

    def rotate(slot: int, qubit: int) -> None:
        circuit.rz(Angle(slot), qubit)
        if rx_as_u:
            circuit.u(Angle(slot + 1), -math.pi / 2, math.pi / 2, qubit)
        else:
            circuit.rx(Angle(slot + 1), qubit)
        circuit.rz(Angle(slot + 2), qubit)

    for k in range(n):
        rotate(3 * k, order[k])
    for k in range(n - 1):
        circuit.append(coupling, (order[k], order[k + 1]), [Angle(3 * n + k)])
    for k in range(n):
        rotate(4 * n - 1 + 3 * k, order[k])
    return circuit.measure(order[1::2]).reset(order[1::2])


VARIANTS = {
    "relabelled": lambda: by_hand(8, [3, 7, 1, 0, 5, 2, 6, 4]),
    "RX as U": lambda: by_hand(8, list(range(8)), rx_as_u=True),
    "CRY chain": lambda: by_hand(8, list(range(8)), coupling="cry"),
    "n = 6": lambda: cells.crx_chain(6),
    "n = 10": lambda: cells.crx_chain(10),
    "rx_rz_chain": lambda: cells.rx_rz_chain(8),
}


@pytest.mark.parametrize("kind", ["fwd", "grad"])
@pytest.mark.parametrize("name", VARIANTS)
def test_other_circuits(name: str, kind: str) -> None:
    circuit, base = VARIANTS[name](), cells.crx_chain(8)
    times = interleaved([calls(circuit)[kind], calls(base)[kind]], rounds=40)
    operations = [_core.Plan(c._core).operations for c in (circuit, base)]
    ratio = (times[0] / operations[0]) / (times[1] / operations[1])
    print(
        f"\n{name}, {kind}: {times[0] / (BATCH * STEPS) * 1e6:.3f} us, {operations[0]:.0f} operations, "
        f"{ratio:.2f} times crx_chain's time per operation"
    )
    assert ratio <= 1.5
