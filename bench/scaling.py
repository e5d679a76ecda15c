"""How time grows with qubits, steps, sequences and parameters, for qrnn_fast and for other ways to compute the same.

    python bench/scaling.py --out FILE.json [--only PANEL ...] [--limit SECONDS]

One thread, float64, exact but for Aer's shots; seconds per sequence and step. Every peer's probabilities are compared
with ours in the same run. A call that would take longer than the limit is made for fewer steps and sequences, whose
time per sequence and step stands for the whole ("scaled"); where even one step would, the cell stays empty.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
import qrnn_fast as qf
import report
import torch
from peers import PEERS, SHOTS, torch_columns
from torch import Tensor

OURS = "qrnn_fast"
CIRCUITS: dict[str, Callable[[int], qf.Circuit]] = {
    "crx_chain": lambda n: qf.cells.crx_chain(n),
    "reuploading, repeats 2": lambda n: qf.cells.reuploading(n, 2),
    "echo_state, r = 3": lambda n: qf.cells.echo_state(n, 3, generator=torch.Generator().manual_seed(0)),
}


@dataclass(frozen=True)
class Cell:
    """One point of a panel; `x` is where it stands on the panel's axis."""

    panel: str
    x: int
    circuit: str
    n_qubits: int
    n_steps: int = 20
    n_sequences: int = 1
    gradient: bool = False


@dataclass(frozen=True)
class Figure:
    """Seconds per sequence and step: median of `rounds` calls, and half the distance between their quartiles."""

    who: str
    seconds: float
    spread: float
    rounds: int
    scaled: bool
    error: float  # largest difference from our probabilities


def table() -> list[Cell]:
    """Every axis swept from the same point: 8 qubits, 20 steps, one sequence."""
    cells = [Cell(f"n, {name}", n, name, n) for name in CIRCUITS for n in (4, 6, 8, 10, 12)]
    cells += [Cell("T", t, "crx_chain", 8, n_steps=t) for t in (1, 20, 200, 3000)]
    cells += [Cell("B", b, "crx_chain", 8, n_sequences=b) for b in (1, 32, 1024, 4096)]
    cells += [Cell("P, gradient", 7 * n - 1, "crx_chain", n, gradient=True) for n in (4, 6, 8, 10, 12)]
    return cells


def ours(circuit: qf.Circuit, angles: Tensor) -> Tensor:
    return qf.evolve(circuit, angles)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file; plot and Markdown go beside it")
    parser.add_argument("--only", nargs="*", default=[], help="panels whose name begins so; the file keeps the others")
    parser.add_argument("--limit", type=float, default=8.0, help="seconds that one call of a peer may take")
    options = parser.parse_args()
    torch.set_num_threads(1)
    peers = dict(PEERS)
    if importlib.util.find_spec("pennylane") is None:
        print("PennyLane is not installed: left out")
        del peers["PennyLane"]

    rows: list[dict[str, Any]] = []
    too_slow: dict[tuple[str, str], float] = {}  # (circuit, who): seconds per step, at the last n
    for cell in table():
        if options.only and not cell.panel.startswith(tuple(options.only)):
            continue
        circuit = CIRCUITS[cell.circuit](cell.n_qubits)
        generator = torch.Generator().manual_seed(1)
        shape = (cell.n_sequences, cell.n_steps, circuit.n_angles)
        angles = (torch.rand(shape, dtype=torch.float64, generator=generator) * 2 - 1) * 3
        methods: dict[str, Callable[[qf.Circuit, Tensor], Tensor]] = {OURS: ours, **peers}
        if cell.gradient:
            methods = {OURS: ours, "torch by hand": torch_columns}
        figures = []
        for who, method in methods.items():
            key = (f"{cell.circuit} {cell.gradient}", who)
            # Two more qubits make a density matrix 16 times as large, and a pure state 4 times.
            growth = 4 if who == "Aer, 1,024 shots" else 16
            if cell.panel.startswith(("n", "P")) and growth * too_slow.get(key, 0) > 2 * options.limit:
                continue
            figure = measure(who, method, circuit, angles, cell.gradient, math.inf if who == OURS else options.limit)
            too_slow[key] = figure.seconds
            figures.append(figure)
        rows.append({**asdict(cell), "figures": [asdict(f) for f in figures]})
        print(f"{cell.panel:24} {cell.x:5}  " + "  ".join(f"{f.who} {f.seconds:.2e}" for f in figures), flush=True)
    if options.only and options.out.exists():
        done = {(row["panel"], row["x"]): row for row in rows}
        before = json.loads(options.out.read_text())["cells"]
        rows = [done.pop((row["panel"], row["x"]), row) for row in before] + list(done.values())
    result = {"machine": machine.describe(), "cells": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, options.out)
    print(report.summary(result))


def measure(
    who: str,
    method: Callable[[qf.Circuit, Tensor], Tensor],
    circuit: qf.Circuit,
    angles: Tensor,
    gradient: bool,
    limit: float,
) -> Figure:
    """Time a method on as much of the angles as the limit allows, and compare its answer with ours."""
    weights = torch.linspace(-1, 1, 2 ** len(circuit.readout), dtype=torch.float64)

    def call(part: Tensor) -> Tensor:
        if not gradient:
            with torch.no_grad():
                return method(circuit, part)
        part = part.detach().requires_grad_()
        probs = method(circuit, part)
        (found,) = torch.autograd.grad((probs * weights).sum(), part)
        return found

    n_rows, n_steps = angles.shape[:2]
    part = angles
    if limit < math.inf:
        first = angles[:1, : min(2, n_steps)]
        call(first)  # compilers, transpilers, caches
        each = seconds_of(lambda: call(first)) / first.shape[1]
        affordable = max(1, int(limit / each))
        steps = min(n_steps, affordable)
        part = angles[: max(1, min(n_rows, affordable // steps)), :steps]
    result = call(part)
    times = [seconds_of(lambda: call(part))]
    while sum(times) < 0.3 and len(times) < 200:
        times.append(seconds_of(lambda: call(part)))
    with torch.no_grad():
        expected = ours(circuit, part) if not gradient else None
    error = (
        (result - expected).abs().max().item()
        if expected is not None
        else gradient_error(result, circuit, part, weights)
    )
    tolerance = 6 * math.sqrt(0.25 / SHOTS) if "shots" in who else 1e-9
    if not error <= tolerance:
        raise SystemExit(f"{who} differs from qrnn_fast by {error:.1e} in {circuit!r}")
    each = part.shape[0] * part.shape[1]
    quartiles = statistics.quantiles(times, n=4) if len(times) > 3 else [min(times), 0.0, max(times)]
    return Figure(
        who,
        statistics.median(times) / each,
        (quartiles[2] - quartiles[0]) / 2 / each,
        len(times),
        part.shape != angles.shape,
        error,
    )


def gradient_error(found: Tensor, circuit: qf.Circuit, angles: Tensor, weights: Tensor) -> float:
    tracked = angles.detach().requires_grad_()
    (expected,) = torch.autograd.grad((ours(circuit, tracked) * weights).sum(), tracked)
    return (found - expected).abs().max().item()


def seconds_of(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
