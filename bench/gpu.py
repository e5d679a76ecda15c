"""The engines on a GPU, beside the fraction of its measured peak; prints a table and stores it as JSON.

    python bench/gpu.py [--out bench/results/gpu.json]

Targets on an H200, crx_chain, 8 qubits, T = 20: at least 2e9 sequence-steps a second forward in float32 and 5e8 with
the gradient from 65,536 sequences on; 32 sequences within 100 us a call; FDSA over 110 weights at batch 32 within 1 ms.
echo_state, 16 qubits, three repeats, context 3: 3,000 steps within 5 minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import qrnn_fast as qf
import torch
from qrnn_fast import _core

STEPS = 20


def seconds(f: Callable[[], object], rounds: int = 15) -> float:
    """Median over rounds, after two that do not count: the time between two events on the stream."""
    times = []
    for i in range(rounds + 2):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        f()
        end.record()
        end.synchronize()
        if i > 1:
            times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def peak(dtype: torch.dtype) -> float:
    """Multiply-adds a second of the card, measured on a matrix product without tensor cores' reduced precision."""
    torch.set_float32_matmul_precision("highest")
    n = 8192
    a, b = torch.randn(n, n, device="cuda", dtype=dtype), torch.randn(n, n, device="cuda", dtype=dtype)
    return n**3 / seconds(lambda: a @ b, 5)


def gradient(circuit: qf.Circuit, angles: torch.Tensor) -> Callable[[], object]:
    leaf = angles.clone().requires_grad_()

    def call() -> object:
        probs, _ = qf.evolve(circuit, leaf)
        return torch.autograd.grad(probs.sum(), leaf)

    return call


def rows() -> list[dict[str, object]]:
    """One for each case: sequence-steps a second, and the fraction of the peak that its planned operations take."""
    circuit = qf.cells.crx_chain(8)
    operations = _core.Plan(circuit._core).operations
    found: list[dict[str, object]] = []
    for dtype, name in ((torch.float32, "float32"), (torch.float64, "float64")):
        most = peak(dtype)
        for batch in (1, 32, 1024, 65_536, 262_144):
            angles = torch.randn(batch, STEPS, circuit.n_angles, device="cuda", dtype=dtype)
            for kind, call, passes in (
                ("forward", lambda a=angles: qf.evolve(circuit, a), 1),
                ("gradient", gradient(circuit, angles), 4),
            ):
                time = seconds(call)
                rate = batch * STEPS / time
                share = rate * operations * passes / most
                found.append(
                    {
                        "case": f"crx_chain {kind}",
                        "dtype": name,
                        "batch": batch,
                        "us": time * 1e6,
                        "rate": rate,
                        "share": share,
                    }
                )
    model = qf.QRNN(1, circuit, batch_first=True, gradient=qf.FDSA(wrt="weights")).cuda()
    x = torch.randn(32, STEPS, 1, device="cuda")
    time = seconds(lambda: model(x)[0].sum().backward())
    found.append(
        {"case": "FDSA, 110 weights", "dtype": "float32", "batch": 32, "us": time * 1e6, "rate": 0, "share": 0}
    )
    network = qf.cells.echo_state(16, generator=torch.Generator().manual_seed(0))
    angles = torch.randn(1, 30, network.n_angles, device="cuda", dtype=torch.float64)
    time = seconds(lambda: qf.evolve(network, angles), 3) * 100
    found.append(
        {
            "case": "echo_state 16, 3,000 steps (from 30)",
            "dtype": "float64",
            "batch": 1,
            "us": time * 1e6,
            "rate": 3000 / time,
            "share": 0,
        }
    )
    return found


def main() -> None:
    """Measures, prints, stores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    card = torch.cuda.get_device_name()
    result = rows()
    print(f"{card}, torch {torch.__version__}, qrnn_fast {version('qrnn_fast')}")
    for row in result:
        print("{case:38}{dtype:9}{batch:8,}{us:14,.1f} us{rate:12.2e} /s{share:8.1%}".format(**row))
    if out is not None:
        out.write_text(json.dumps({"card": card, "torch": torch.__version__, "rows": result}, indent=1))


if __name__ == "__main__":
    main()
